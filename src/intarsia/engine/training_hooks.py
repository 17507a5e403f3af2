"""The sections of a config that stand for hooks, and the seat of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.priority import Priority
from intarsia.engine.schedule_hooks import schedule_hooks

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

Seat = tuple[Any, int | str | Priority]


def register_training_hooks(
    runner: BaseRunner,
    lr_config: Any,
    optimizer_config: Any = None,
    checkpoint_config: Any = None,
    log_config: Any = None,
    momentum_config: Any = None,
    timer_config: Any = None,
    custom_hooks_config: Any = None,
    weight_decay_config: Any = None,
) -> None:
    """Register the hooks of a training, each in its seat.

    Args:
        runner: Who gets them.
        lr_config: ``dict(policy=...)``, a list of schedules, a hook, or None.
        optimizer_config: Arguments of OptimizerHook, the node of another hook, a hook, or None for a model that
            updates itself.
        checkpoint_config: Arguments of CheckpointHook, a hook, or None.
        log_config: ``dict(interval=..., hooks=[...])`` or None.
        momentum_config: As ``lr_config``.
        timer_config: Node of the timer, a hook, or None.
        custom_hooks_config: List of nodes with ``priority``, or of hooks.
        weight_decay_config: A list of schedules, or None.
    """
    seats: list[Seat] = [*schedule_hooks(runner, lr_config, momentum_config, weight_decay_config)]
    if optimizer_config is not None:
        seats.append((_built(optimizer_config, 'OptimizerHook')[0], Priority.ABOVE_NORMAL))
    if timer_config is not None:
        seats.append((_built(timer_config, 'IterTimerHook')[0], Priority.LOW))
    seats += _logger_hooks(log_config or {})
    seats += [_built(node, None) for node in custom_hooks_config or ()]
    if checkpoint_config is not None:  # after the custom hooks of its seat, so that it holds what they have done
        seats.append((_built(checkpoint_config, 'CheckpointHook')[0], Priority.NORMAL))
    for hook, seat in seats:
        runner.register_hook(hook, seat)


def _logger_hooks(log_config: Mapping[str, Any]) -> Iterator[Seat]:
    for node in log_config.get('hooks', ()):
        hook, seat = _built({'interval': log_config.get('interval', 10), **node}, None)
        yield hook, seat if 'priority' in node else Priority.VERY_LOW


def _built(node: Any, default_type: str | None) -> Seat:
    """A hook from its node, and the seat the node asks for; a hook that is one already stays."""
    arguments = ({'type': default_type, **node} if default_type else dict(node)) if isinstance(node, Mapping) else {}
    asked = arguments.pop('priority', None)
    hook = HOOKS.build(arguments) if isinstance(node, Mapping) else node
    return hook, getattr(hook, 'priority', Priority.NORMAL) if asked is None else asked
