"""The options of parameter groups that schedules set: ``lr``, ``momentum``, ``weight_decay``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from intarsia.core.errors import IntarsiaError

Group = dict[str, Any]


def optimizers_of(optimizer: Any) -> dict[str, Any]:
    """Optimizers by name: those of a dict, else the one by its class; none for a model that updates itself."""
    if optimizer is None:
        return {}
    return dict(optimizer) if isinstance(optimizer, Mapping) else {type(optimizer).__name__: optimizer}


def option_key(group: Group, option: str) -> str:
    """The entry of ``group`` that holds ``option``: the momentum of Adam and its relatives is the first of ``betas``.

    Raises:
        IntarsiaError: The optimizer has no such option.
    """
    key = 'betas' if option == 'momentum' and 'momentum' not in group else option
    if key not in group:
        known = ', '.join(k for k in group if k != 'params')
        raise IntarsiaError(f'a schedule sets {option}, but this optimizer has no such option. It has: {known}.')
    return key


def base_value(group: Group, option: str) -> float:
    """The value that ``group`` had at the start of the run; noted in the group, so that a resumed run knows it."""
    return group.setdefault(f'initial_{option}', SharedOption(option, [group]).value)


class SharedOption:
    """An option of parameter groups that always have the same value of it.

    Args:
        option: Its name.
        groups: At least one.

    Raises:
        IntarsiaError: A group has no such option.
    """

    def __init__(self, option: str, groups: Iterable[Group]) -> None:
        self.option = option
        self._with_betas: list[Group] = []
        self._others: list[Group] = []
        for group in groups:
            self.add(group)

    def add(self, group: Group) -> None:
        """One more group."""
        (self._with_betas if option_key(group, self.option) == 'betas' else self._others).append(group)

    @property
    def value(self) -> float:
        """What the groups have."""
        return self._others[0][self.option] if self._others else self._with_betas[0]['betas'][0]

    def set(self, value: float) -> None:
        """Give all groups ``value``."""
        for group in self._others:
            group[self.option] = value
        for group in self._with_betas:
            group['betas'] = (value, *group['betas'][1:])
