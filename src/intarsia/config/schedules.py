"""The check of ``lr_config``, ``momentum_config`` and ``weight_decay_config``, and what their policies are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from intarsia.config.components import Finding, check_component, find_signature
from intarsia.core.errors import closest
from intarsia.core.registries import HOOKS, SCHEDULES

SUFFIXES = {'lr_config': 'LrUpdaterHook', 'momentum_config': 'MomentumUpdaterHook', 'weight_decay_config': None}
"""Fields that hold schedules, and what the hooks of a single schedule are called; weight decay has none."""


def policy_hook(policy: str, suffix: str) -> str:
    """The hook of a single schedule: an all lower-case name is capitalized, ``'step'`` -> ``'StepLrUpdaterHook'``."""
    return link_of(policy) + suffix


def link_of(policy: str) -> str:
    """The link of a list of schedules: ``'step'`` -> ``'Step'``."""
    return policy.title() if policy == policy.lower() else policy


def check_schedules(values: Mapping[str, Any]) -> Iterator[Finding]:
    """All mistakes in the schedules of a run."""
    for field, suffix in SUFFIXES.items():
        schedule = values.get(field)
        if isinstance(schedule, Mapping) and suffix is not None:
            yield from _check_single(schedule, field, suffix, values)
        elif isinstance(schedule, (list, tuple)):
            for number, link in enumerate(schedule):
                yield from _check_link(link, f'{field}.{number}', values)


# ---------------------------------------------------------------------- a single schedule


def _check_single(schedule: Mapping[str, Any], path: str, suffix: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    arguments = {k: v for k, v in schedule.items() if k not in ('policy', 'type')}
    if 'type' in schedule:
        hook = schedule['type']
    elif not isinstance(schedule.get('policy'), str):
        yield Finding('missing-argument', f"'{path}' needs a 'policy'.", path)
        return
    else:
        hook = policy_hook(schedule['policy'], suffix)
        if hook not in HOOKS:
            known = [n.removesuffix(suffix) for n in HOOKS.names() if n.endswith(suffix) and n != suffix]
            message = f"there is no policy '{schedule['policy']}'. There are: {', '.join(known)}."
            yield Finding('unknown-component', message, f'{path}.policy', closest(schedule['policy'], known))
            return
    yield from check_component(hook, arguments, HOOKS, path)
    yield from _check_floor(hook, arguments, path)
    if arguments.get('warmup') is not None and not arguments.get('warmup_iters'):
        yield Finding('missing-argument', "a warm-up needs 'warmup_iters'.", path)
    if arguments.get('by_epoch') is True and _counts_epochs(values) is False and 'Fixed' not in str(hook):
        yield Finding('bad-config', _NEVER.format('by_epoch=True'), f'{path}.by_epoch')
    yield from _check_periods(arguments, path, _length(values, arguments.get('by_epoch')))


_NEVER = '{} follows epochs, but this run counts iterations: the value would never change.'


def _check_floor(hook: Any, arguments: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """A lower end of a built-in policy that is given twice, or not at all: ``min_lr`` or ``min_lr_ratio``."""
    if not isinstance(hook, str) or hook not in HOOKS or HOOKS.user_component(hook) is not None:
        return
    known = find_signature(hook, HOOKS).arguments
    for name in known:
        if name.startswith('min_') and f'{name}_ratio' in known:
            given = [n for n in (name, f'{name}_ratio') if arguments.get(n) is not None]
            if len(given) != 1:
                code = 'bad-config' if given else 'missing-argument'
                yield Finding(code, f"give either '{name}' or '{name}_ratio'.", path)


def _check_periods(arguments: Mapping[str, Any], path: str, length: float | None) -> Iterator[Finding]:
    """The periods of a cosine with restarts, which must reach to the end."""
    periods, weights = arguments.get('periods'), arguments.get('restart_weights', (1,))
    if not isinstance(periods, Sequence) or not isinstance(weights, Sequence):
        return
    if len(periods) != len(weights):
        message = f"each of 'periods' needs one of 'restart_weights', but there are {len(periods)} and {len(weights)}."
        yield Finding('bad-config', message, f'{path}.periods')
    elif length is not None and all(isinstance(p, int) for p in periods) and sum(periods) < length:
        message = f"'periods' last {sum(periods)} altogether, but the run lasts {length}."
        yield Finding('bad-config', message, f'{path}.periods')


# ---------------------------------------------------------------------- a list of schedules


def _check_link(link: Any, path: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    if not isinstance(link, Mapping):
        yield Finding('wrong-type', f'a schedule is a dict with a policy, not {link!r:.80}.', path)
        return
    policy = link.get('policy')
    if not isinstance(policy, str):
        yield Finding('missing-argument', f"'{path}' needs a 'policy'.", path)
        return
    if link_of(policy) not in SCHEDULES:
        known = SCHEDULES.names()
        message = f"a list of schedules knows no policy '{policy}'. It knows: {', '.join(known)}."
        yield Finding('unknown-component', message, f'{path}.policy', closest(policy, known))
        return
    arguments = {k: v for k, v in link.items() if k != 'policy'}
    yield from check_component(link_of(policy), arguments, SCHEDULES, path)
    if None not in (arguments.get('min_value'), arguments.get('min_ratio')):
        yield Finding('bad-config', "give either 'min_value' or 'min_ratio'.", path)
    yield from _check_periods(arguments, path, None)
    yield from _check_span(arguments, path, values, is_timed=link_of(policy) != 'ReduceOnPlateau')


def _check_span(
    arguments: Mapping[str, Any], path: str, values: Mapping[str, Any], is_timed: bool
) -> Iterator[Finding]:
    begin, end = arguments.get('begin', 0), arguments.get('end')
    by_epoch, every_iter = arguments.get('by_epoch'), arguments.get('every_iter', False)
    if not isinstance(begin, (int, float)) or not isinstance(end, (int, float, type(None))):
        return
    length = _length(values, by_epoch)
    if begin < 0 or (end is not None and end <= begin):
        yield Finding(
            'bad-config', f'the span [{begin}, {end}) is empty.', f'{path}.{"end" if begin >= 0 else "begin"}'
        )
    elif length is not None and begin >= length:
        yield Finding('bad-config', f'the span begins at {begin}, but the run lasts {length}.', f'{path}.begin')
    if every_iter and by_epoch is False:
        message = "'every_iter' is for spans that count epochs; by_epoch=False moves at every iteration anyway."
        yield Finding('bad-config', message, f'{path}.every_iter')
    elif by_epoch is True and not every_iter and is_timed and _counts_epochs(values) is False:
        yield Finding('bad-config', _NEVER.format('by_epoch=True'), f'{path}.by_epoch')


# ---------------------------------------------------------------------- the run


def _counts_epochs(values: Mapping[str, Any]) -> bool | None:
    """Whether the run counts epochs; None if that is not known (a runner of the user's own)."""
    runner = values.get('runner')
    if not isinstance(runner, Mapping):
        return False if values.get('total_iters') is not None else True if values.get('total_epochs') else None
    return {'EpochBasedRunner': True, 'IterBasedRunner': False}.get(str(runner.get('type', 'EpochBasedRunner')))


def _length(values: Mapping[str, Any], by_epoch: Any) -> int | None:
    """Epochs or iterations of the run, as ``by_epoch`` counts; None if that is not known."""
    counts_epochs = _counts_epochs(values)
    if counts_epochs is None or by_epoch not in (None, counts_epochs):
        return None
    runner = values.get('runner')
    unit = 'epochs' if counts_epochs else 'iters'
    length = runner.get(f'max_{unit}') if isinstance(runner, Mapping) else values.get(f'total_{unit}')
    return length if isinstance(length, int) else None
