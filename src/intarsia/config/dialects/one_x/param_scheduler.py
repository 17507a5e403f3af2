"""``param_scheduler`` -> lists of schedules in ``lr_config``, ``momentum_config`` and ``weight_decay_config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.components import Finding
from intarsia.core.errors import closest

OPTIONS = {'lr': 'lr_config', 'momentum': 'momentum_config', 'weight_decay': 'weight_decay_config'}
"""The field that holds the schedules of each option of an optimizer."""

SUFFIXES = {'LR': 'lr', 'Momentum': 'momentum', 'WeightDecay': 'weight_decay', 'ParamScheduler': None}
"""Endings of type names, and the option they move; None is what ``param_name`` says."""

SPAN = {'begin': 'begin', 'end': 'end', 'by_epoch': 'by_epoch', 'convert_to_iter_based': 'every_iter'}
FLOOR = {'eta_min': 'min_value', 'eta_min_ratio': 'min_ratio'}
SAME_IN_PLATEAU = 'monitor rule factor patience threshold threshold_rule cooldown min_value eps'
SAME_IN_CYCLE = 'total_steps pct_start anneal_strategy div_factor final_div_factor three_phase'
LINKS: dict[str, tuple[str, dict[str, str]]] = {
    'Constant': ('Constant', {'factor': 'factor'}),
    'Linear': ('Linear', {'start_factor': 'start_factor', 'end_factor': 'end_factor'}),
    'Step': ('Step', {'step_size': 'step', 'gamma': 'gamma'}),
    'MultiStep': ('Step', {'milestones': 'step', 'gamma': 'gamma'}),
    'Exponential': ('Exp', {'gamma': 'gamma'}),
    'CosineAnnealing': ('CosineAnnealing', {'T_max': 'length', **FLOOR}),
    'CosineRestart': ('CosineRestart', {'periods': 'periods', 'restart_weights': 'restart_weights', **FLOOR}),
    'Poly': ('Poly', {'power': 'power', 'eta_min': 'min_value'}),
    'PolyRatio': ('Poly', {'power': 'power', **FLOOR}),
    'OneCycle': ('OneCycle', {'eta_max': 'max_value', **{name: name for name in SAME_IN_CYCLE.split()}}),
    'QuadraticWarmup': ('QuadraticWarmup', {}),
    'ReduceOnPlateau': ('ReduceOnPlateau', {name: name for name in SAME_IN_PLATEAU.split()}),
}
"""What a type is called without its ending -> policy, and its own arguments by what they are called here."""

WITHOUT_MEANING = frozenset({'type', 'param_name', 'last_step', 'verbose', '_scope_'})
"""Keys that choose the type, or that a schedule without state does not need."""


def translate_param_scheduler(
    value: Any, path: str = 'param_scheduler'
) -> tuple[dict[str, list[dict[str, Any]]], list[Finding]]:
    """Translate the field.

    Args:
        value: A node, a list of nodes, or either by name of the optimizer.
        path: Its key path, for what is reported.

    Returns:
        Lists of schedules by field, only those that are not empty, and what could not be translated.
    """
    fields: dict[str, list[dict[str, Any]]] = {}
    findings: list[Finding] = []
    for node, place, optimizer in _nodes(value, path):
        field, link, found = _translate(node, place)
        findings += found
        if field:
            fields.setdefault(field, []).append({**link, 'optimizer': optimizer} if optimizer else link)
    return fields, findings


def _nodes(value: Any, path: str, optimizer: str | None = None) -> list[tuple[Any, str, str | None]]:
    """Every node with its key path and the optimizer it is for."""
    if isinstance(value, (list, tuple)):
        return [(node, f'{path}.{number}', optimizer) for number, node in enumerate(value)]
    if isinstance(value, Mapping) and 'type' not in value and optimizer is None:
        return [found for name, part in value.items() for found in _nodes(part, f'{path}.{name}', str(name))]
    return [] if value is None else [(value, path, optimizer)]


def _translate(node: Any, path: str) -> tuple[str | None, dict[str, Any], list[Finding]]:
    if not isinstance(node, Mapping):
        return None, {}, [Finding('wrong-type', f'a schedule is a dict with a type, not {node!r:.80}.', path)]
    name = _name_of(node.get('type'))
    kind, suffix = _split(name)
    if kind not in LINKS or suffix is None:
        close = closest(name, [f'{known}LR' for known in LINKS])
        return None, {}, [Finding('unknown-component', f"there is no schedule '{name}'.", f'{path}.type', close)]
    option = SUFFIXES[suffix] or node.get('param_name')
    if option not in OPTIONS:
        message = f"schedules move {', '.join(OPTIONS)}, not '{option}'."
        return None, {}, [Finding('bad-config', message, f'{path}.param_name', closest(str(option), OPTIONS))]
    policy, own = LINKS[kind]
    words = {**SPAN, **own}
    link: dict[str, Any] = {'policy': policy, 'by_epoch': True}
    if suffix == 'WeightDecay':
        link['keep_zero'] = True  # that of 1.x leaves parameters without decay alone
    link.update({words[key]: value for key, value in node.items() if key in words})
    findings = [
        Finding('unknown-argument', f"{name} has no argument '{key}'.", f'{path}.{key}', closest(str(key), words))
        for key in node
        if key not in words and key not in WITHOUT_MEANING
    ]
    return OPTIONS[option], _cleared(link), findings


def _cleared(link: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: lower ends of None, and a ratio of which the value beside it is not read."""
    if link.get('min_ratio') is not None and link['policy'] == 'Poly':
        link.pop('min_value', None)
    return {k: v for k, v in link.items() if v is not None and (k, v) != ('every_iter', False)}


def _name_of(kind: Any) -> str:
    """The bare name of a type: ``'mmengine.optim.LinearLR'`` and the class itself are ``'LinearLR'``."""
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def _split(name: str) -> tuple[str, str | None]:
    """``'LinearLR'`` -> ``('Linear', 'LR')``."""
    if name == 'PolyLRRatio':
        return 'PolyRatio', 'LR'
    suffix = next((s for s in SUFFIXES if name.endswith(s)), None)
    return name.removesuffix(suffix) if suffix else name, suffix
