"""The hooks that run a list of schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.engine.hook import Hook
from intarsia.optim.schedules.chain import Chain
from intarsia.optim.schedules.link import Link, RunLength
from intarsia.optim.schedules.options import Group, SharedOption, base_value, optimizers_of
from intarsia.optim.schedules.plateau import ReduceOnPlateau

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class _Lanes(NamedTuple):
    """A chain, and the groups that each of its values is for."""

    chain: Chain
    options: list[SharedOption]


class ScheduleListHook(Hook):
    """Sets an option of every parameter group as a list of schedules says.

    Values follow from the iteration alone; the exception is ReduceOnPlateau, whose decisions checkpoints carry.

    Args:
        links: In the order of the list.
    """

    option: ClassVar[str]

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = list(links)
        self.plateaus = [link for link in links if isinstance(link, ReduceOnPlateau)]
        self._lanes: list[_Lanes] = []
        self._next_change: float = 0

    def before_run(self, runner: BaseRunner) -> None:
        """Note the values the groups start with."""
        optimizers = optimizers_of(runner.optimizer)
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                base_value(group, self.option)
        for link in self.links:
            if link.optimizer is not None and link.optimizer not in optimizers:
                message = f"a schedule is for the optimizer '{link.optimizer}', but there are {', '.join(optimizers)}."
                path = f'{self.option}_config'
                raise ConfigError(Problem('bad-config', message, path, suggestion=closest(link.optimizer, optimizers)))
        self._lanes, self._next_change = [], 0

    def after_load_checkpoint(self, runner: BaseRunner) -> None:
        """Begin anew: an optimizer that was loaded has new groups, and the iteration is another."""
        self._lanes, self._next_change = [], 0

    def before_train_iter(self, runner: BaseRunner) -> None:
        """Set the values, if they change."""
        if runner.iter >= self._next_change:
            self._set(runner)

    def after_evaluation(self, runner: BaseRunner) -> None:
        """Show the metrics to the links that follow one."""
        progress = runner.progress
        for link in self.plateaus:
            counts_epochs = runner.by_epoch if link.by_epoch is None else link.by_epoch
            done = progress.epoch if counts_epochs else progress.iter
            if link.observe(runner.metrics, done, progress.iter):
                runner.logger.info(f'{link.monitor} is on a plateau: {self.option} times {link.factor:g}')
                self._next_change = 0
                for lanes in self._lanes:
                    lanes.chain.recheck()

    def state_dict(self) -> dict[str, Any]:
        """The decisions of the links that follow a metric."""
        return {'plateaus': [link.state_dict() for link in self.plateaus]} if self.plateaus else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        for link, each in zip(self.plateaus, state.get('plateaus', ()), strict=False):
            link.load_state_dict(each)

    # ------------------------------------------------------------------ values

    def _set(self, runner: BaseRunner) -> None:
        if not self._lanes:
            self._lanes = self._make_lanes(runner)
        for chain, options in self._lanes:
            for option, value in zip(options, chain.at(runner.iter), strict=True):
                option.set(value)
        self._next_change = min((lanes.chain.next_change for lanes in self._lanes), default=float('inf'))

    def _make_lanes(self, runner: BaseRunner) -> list[_Lanes]:
        length = _length_of(runner)
        fitted = [link.fitted(length) for link in self.links]
        return [
            self._lanes_of(name, optimizer.param_groups, [f for f in fitted if f.optimizer in (None, name)], length)
            for name, optimizer in optimizers_of(runner.optimizer).items()
        ]

    def _lanes_of(self, name: str, groups: Sequence[Group], links: Sequence[Link], length: RunLength) -> _Lanes:
        for values in [v for link in links if (v := link.own_values) is not None]:
            if len(values) != len(groups):
                raise ValueError(f'{name} has {len(groups)} parameter groups, but a schedule has {len(values)} values')
        apart = any(link.own_values is not None for link in links)
        lanes: dict[Any, SharedOption] = {}
        for number, group in enumerate(groups):
            base = base_value(group, self.option)
            lanes.setdefault((base, number if apart else 0), SharedOption(self.option, ())).add(group)
        bases = [base for base, _ in lanes]
        return _Lanes(Chain(links, bases, length.epoch_length if length.epochs else None), list(lanes.values()))


def _length_of(runner: BaseRunner) -> RunLength:
    iters = runner.max_iters or 0
    if runner.by_epoch and runner.max_epochs:
        return RunLength(runner.max_epochs, iters, iters // runner.max_epochs)
    return RunLength(None, iters, len(runner.data_loader))


class LrScheduleHook(ScheduleListHook):
    """A list in ``lr_config``; seat VERY_HIGH."""

    option = 'lr'


class MomentumScheduleHook(ScheduleListHook):
    """A list in ``momentum_config``; seat HIGH."""

    option = 'momentum'


class WeightDecayScheduleHook(ScheduleListHook):
    """A list in ``weight_decay_config``; seat HIGH."""

    option = 'weight_decay'
