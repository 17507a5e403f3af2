"""Schedules of a config -> hooks in their seats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from intarsia.config.schedules import SUFFIXES, link_of, policy_hook
from intarsia.core.arguments import signature_of
from intarsia.core.registries import HOOKS, SCHEDULES
from intarsia.engine.hooks.schedule_list import (
    LrScheduleHook,
    MomentumScheduleHook,
    ScheduleListHook,
    WeightDecayScheduleHook,
)
from intarsia.engine.priority import Priority

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

SEATS: dict[str, tuple[type[ScheduleListHook], Priority]] = {
    'lr_config': (LrScheduleHook, Priority.VERY_HIGH),
    'momentum_config': (MomentumScheduleHook, Priority.HIGH),
    'weight_decay_config': (WeightDecayScheduleHook, Priority.HIGH),
}


def schedule_hooks(
    runner: BaseRunner, lr_config: Any, momentum_config: Any = None, weight_decay_config: Any = None
) -> list[tuple[Any, Priority]]:
    """The hooks of a run's schedules, and the seat of each.

    Args:
        runner: Who will get them.
        lr_config: ``dict(policy=...)``, a list of such with spans, a hook, or None.
        momentum_config: The same.
        weight_decay_config: A list, a hook, or None.
    """
    configs = zip(SEATS, (lr_config, momentum_config, weight_decay_config), strict=True)
    return [(_build(runner, name, config), SEATS[name][1]) for name, config in configs if config]


def _build(runner: BaseRunner, name: str, config: Any) -> Any:
    suffix = SUFFIXES[name]
    if isinstance(config, Sequence):
        return SEATS[name][0]([_build_link(node) for node in config])
    if not isinstance(config, Mapping):
        return config
    if suffix is None:
        raise TypeError(f'{name} is a list of schedules, not {config!r}')
    return _build_single(runner, dict(config), suffix)


def _build_link(node: Mapping[str, Any]) -> Any:
    arguments = dict(node)
    return SCHEDULES.build({'type': link_of(arguments.pop('policy')), **arguments})


def _build_single(runner: BaseRunner, node: dict[str, Any], suffix: str) -> Any:
    """Build a schedule; one whose constructor asks for ``runner``, as some tutorials write it, gets it."""
    hook_type = node.pop('type', None) or policy_hook(node.pop('policy'), suffix)
    if not runner.by_epoch:
        node.setdefault('by_epoch', False)
    wants_runner = 'runner' in signature_of(HOOKS.get(hook_type) if isinstance(hook_type, str) else hook_type).arguments
    return HOOKS.build({'type': hook_type, **node}, **({'runner': runner} if wants_runner else {}))
