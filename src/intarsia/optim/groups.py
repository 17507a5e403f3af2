"""The table of parameter groups that is logged at the start of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

BOOKKEEPING = frozenset(
    'params lr weight_decay initial_lr lr_scale layer_id group_name param_name param_names step'.split()  # noqa: SIM905
)
"""Entries of a group that say nothing, or nothing new, about how it is trained."""

MAX_NAMES = 4


def remember_reasons(optimizer: Any, reasons: Mapping[nn.Parameter, str]) -> Any:
    """Attach to an optimizer why its parameters have their options; its state dict stays as it is.

    Args:
        optimizer: The optimizer.
        reasons: A few words by parameter.

    Returns:
        The optimizer.
    """
    optimizer.group_reasons = dict(reasons)
    return optimizer


def describe_groups(model: nn.Module, optimizer: Any) -> str:
    """A table of what is trained how: options, number of parameters and elements, names, and the rule behind it.

    Groups that are trained alike for the same reason share a row. Parameters of the model that no optimizer has are
    the last rows.

    Args:
        model: The model; a wrapper's ``module`` is looked through.
        optimizer: The optimizer, or several by name.

    Returns:
        Lines of text without a trailing newline.
    """
    inner = getattr(model, 'module', model)
    names = {parameter: name for name, parameter in inner.named_parameters()}
    optimizers = optimizer if isinstance(optimizer, Mapping) else {'': optimizer}
    strange = [type(each).__name__ for each in optimizers.values() if not hasattr(each, 'param_groups')]
    if strange:
        return f'unknown: {", ".join(strange)} has no param_groups'
    options = _options_that_differ(optimizers.values())
    rows: dict[tuple[str, ...], _Row] = {}
    for label, parameter, group, reason in _all_parameters(optimizers, names):
        values = [_cell(group.get(option)) for option in ('lr', 'weight_decay', *options)]
        rows.setdefault((label, *values, reason), _Row()).add(parameter, names.get(parameter, 'not of the model'))
    header = ['optimizer', 'lr', 'weight decay', *options, 'parameters', 'elements', 'why', 'names']
    table = [
        [label, *values, str(len(row.names)), f'{row.elements:,}', reason, _listed(row.names, names.values())]
        for (label, *values, reason), row in rows.items()
    ]
    return _aligned([header, *table], text_columns=('optimizer', 'why', 'names'))


@dataclass
class _Row:
    names: list[str] = field(default_factory=list)
    elements: int = 0

    def add(self, parameter: Tensor, name: str) -> None:
        self.names.append(name)
        self.elements += parameter.numel()


def _all_parameters(
    optimizers: Mapping[str, torch.optim.Optimizer], names: Mapping[Tensor, str]
) -> Iterator[tuple[str, Tensor, dict[str, Any], str]]:
    """Label of the optimizer, parameter, its group and the reason; then those that no optimizer has."""
    seen = set()
    for label, optimizer in optimizers.items():
        reasons = getattr(optimizer, 'group_reasons', {})
        for group in optimizer.param_groups:
            for parameter in group['params']:
                seen.add(parameter)
                yield label, parameter, group, reasons.get(parameter, '') if parameter.requires_grad else 'frozen'
    for parameter in names:
        if parameter not in seen:
            yield '', parameter, {}, 'left out' if parameter.requires_grad else 'left out, frozen'


def _options_that_differ(optimizers: Iterable[torch.optim.Optimizer]) -> list[str]:
    """Options besides rate and decay that are not the same in all groups of an optimizer."""
    found: dict[str, None] = {}
    for optimizer in optimizers:
        groups = optimizer.param_groups
        keys = dict.fromkeys(k for group in groups for k in group if k not in BOOKKEEPING)
        found |= {k: None for k in keys if len({_cell(group.get(k)) for group in groups}) > 1}
    return list(found)


def _cell(value: Any) -> str:
    if value is None:
        return ''
    number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    return f'{number:.4g}' if isinstance(number, float) else str(number)


def _aligned(rows: Sequence[Sequence[str]], text_columns: Sequence[str]) -> str:
    """Columns of equal width without the empty ones, numbers to the right."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    padded = []
    for head, *cells in columns:
        width = max(map(len, (head, *cells)))
        padded.append([c.ljust(width) if head in text_columns else c.rjust(width) for c in (head, *cells)])
    return '\n'.join('  '.join(cells).rstrip() for cells in zip(*padded, strict=True))


# ---------------------------------------------------------------------- many names in few words


def _listed(chosen: Sequence[str], everything: Iterable[str]) -> str:
    """``'backbone: conv1, layer{1-4}'``: what the names have in common, then the rest of them."""
    parts = abbreviate(chosen, everything)
    columns = zip(*(part.split('.')[:-1] for part in parts), strict=False) if len(parts) > 1 else ()
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns)]
    rest = ['.'.join(part.split('.')[len(shared) :]) for part in parts]
    more = len(rest) - MAX_NAMES
    listed = ', '.join(rest) if more <= 1 else ', '.join(rest[:MAX_NAMES]) + f' and {more} more'
    return f'{".".join(shared)}: {listed}' if shared else listed


def abbreviate(chosen: Sequence[str], everything: Iterable[str]) -> list[str]:
    """Short names for a choice of parameters.

    A part of the model that is chosen as a whole is named instead of its parameters, and names that differ in numbers
    are one: ``['layers.{0-11}.attn.qkv.weight', 'head']``.

    Args:
        chosen: Names of the parameters.
        everything: Names of all parameters of the model.
    """
    complete = _sizes(everything)
    present = _sizes(chosen)
    parts = dict.fromkeys(next(p for p in _prefixes(n) if present[p] == complete.get(p, 0) or p == n) for n in chosen)
    families: dict[str, list[list[int]]] = {}
    for part in parts:
        numbers = [int(number) for number in re.findall(r'\d+', part)]
        families.setdefault(re.sub(r'\d+', '#', part), []).append(numbers)
    return [_family(pattern, members) or 'all' for pattern, members in families.items()]


def _prefixes(name: str) -> list[str]:
    """``['', 'a', 'a.b']`` for ``'a.b'``."""
    words = name.split('.')
    return ['.'.join(words[:i]) for i in range(len(words) + 1)]


def _sizes(names: Iterable[str]) -> dict[str, int]:
    """How many of the names lie below each prefix."""
    sizes: dict[str, int] = {}
    for name in names:
        for prefix in _prefixes(name):
            sizes[prefix] = sizes.get(prefix, 0) + 1
    return sizes


def _family(pattern: str, members: list[list[int]]) -> str:
    """The pattern with the numbers that its members have at each place."""
    ranges = iter([_range(sorted(set(numbers))) for numbers in zip(*members, strict=True)])
    return re.sub('#', lambda _: next(ranges), pattern)


def _range(numbers: list[int]) -> str:
    first, last = numbers[0], numbers[-1]
    if first == last:
        return str(first)
    return f'{{{first}-{last}}}' if len(numbers) == last - first + 1 else f'{{{",".join(map(str, numbers))}}}'
