"""Schedules of the momentum. To add one, subclass :class:`MomentumUpdaterHook` and write ``get_momentum``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.lr_cycles import check_cycle, cycle_length, only_by_iteration, peak_and_end, per_group
from intarsia.engine.hooks.option_updater import OptionUpdaterHook
from intarsia.optim.schedules import curves

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class MomentumUpdaterHook(OptionUpdaterHook):
    """Sets the momentum (the first beta of Adam and its relatives) of every parameter group; seat HIGH.

    A policy ``'MyOwn'`` in ``momentum_config`` means the registered subclass ``MyOwnMomentumUpdaterHook``.

    Args:
        by_epoch: As in :class:`OptionUpdaterHook`.
        warmup: The same.
        warmup_iters: The same.
        warmup_ratio: The warm-up divides the momentum by a factor that starts here, in (0, 1].
        warmup_by_epoch: As in :class:`OptionUpdaterHook`.
    """

    option = 'momentum'
    warmup_divides = True

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: Literal['constant', 'linear', 'exp'] | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.9,
        warmup_by_epoch: bool = False,
    ) -> None:
        super().__init__(by_epoch, warmup, warmup_iters, warmup_ratio, warmup_by_epoch)

    def get_momentum(self, runner: BaseRunner, base_momentum: float) -> float | None:
        """The regular momentum of a group that started with ``base_momentum``; None keeps what it has."""
        raise NotImplementedError(f'{type(self).__name__} has no get_momentum(runner, base_momentum)')

    def value_at(self, runner: BaseRunner, base: Any) -> float | None:
        """See :meth:`get_momentum`."""
        return self.get_momentum(runner, base)


@HOOKS.register_module()
class StepMomentumUpdaterHook(MomentumUpdaterHook):
    """The momentum falls by ``gamma`` at steps (policy ``step``).

    Args:
        step: Epochs or iterations at which it falls, or one number for its multiples.
        gamma: Factor of each fall.
        min_momentum: Lowest momentum.
        kwargs: Arguments of :class:`MomentumUpdaterHook`.
    """

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.5, min_momentum: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.step, self.gamma, self.min_momentum = curves.checked_steps(step), gamma, min_momentum

    def get_momentum(self, runner: BaseRunner, base_momentum: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.step`."""
        return curves.step(base_momentum, self.progress(runner)[0], self.step, self.gamma, self.min_momentum)


class AnnealingMomentumUpdaterHook(MomentumUpdaterHook):
    """What the two that fall to a lower end share.

    Args:
        min_momentum: Lower end, or
        min_momentum_ratio: the same as a part of the group's first momentum.
        kwargs: Arguments of :class:`MomentumUpdaterHook`.
    """

    anneal: curves.Annealing

    def __init__(
        self, min_momentum: float | None = None, min_momentum_ratio: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        curves.floor_of(1.0, min_momentum, min_momentum_ratio, 'min_momentum')
        self.min_momentum, self.min_momentum_ratio = min_momentum, min_momentum_ratio

    def get_momentum(self, runner: BaseRunner, base_momentum: float) -> float:
        """The shape named ``anneal``."""
        done, total = self.progress(runner)
        floor = curves.floor_of(base_momentum, self.min_momentum, self.min_momentum_ratio)
        return self.anneal(base_momentum, floor, done / total)


@HOOKS.register_module()
class CosineAnnealingMomentumUpdaterHook(AnnealingMomentumUpdaterHook):
    """The momentum falls as half a cosine wave (policy ``CosineAnnealing``); arguments as the base."""

    anneal = staticmethod(curves.cosine)


@HOOKS.register_module()
class LinearAnnealingMomentumUpdaterHook(AnnealingMomentumUpdaterHook):
    """The momentum falls as a straight line (policy ``LinearAnnealing``); arguments as the base."""

    anneal = staticmethod(curves.linear)


@HOOKS.register_module()
class CyclicMomentumUpdaterHook(MomentumUpdaterHook):
    """Cycles from the first momentum to a turning point and on to an end (policy ``cyclic``).

    Args:
        by_epoch: Must be False.
        target_ratio: Turning point and end as multiples of the first momentum.
        cyclic_times: Cycles of the run.
        step_ratio_up: Part of a cycle, in [0, 1), until the turning point.
        anneal_strategy: Shape of both slopes.
        gamma: What the distance to the turning point is multiplied with from cycle to cycle, in (0, 1].
        kwargs: Arguments of :class:`MomentumUpdaterHook`.
    """

    def __init__(
        self,
        by_epoch: bool = False,
        target_ratio: float | Sequence[float] = (0.85 / 0.95, 1.0),
        cyclic_times: int = 1,
        step_ratio_up: float = 0.4,
        anneal_strategy: Literal['cos', 'linear'] = 'cos',
        gamma: float = 1.0,
        **kwargs: Any,
    ) -> None:
        only_by_iteration(by_epoch, 'cyclic')
        check_cycle(step_ratio_up, gamma)
        super().__init__(by_epoch=by_epoch, **kwargs)
        self.ratios = peak_and_end(target_ratio)
        self.cyclic_times, self.step_ratio_up, self.gamma = cyclic_times, step_ratio_up, gamma
        self.anneal = curves.ANNEALINGS[anneal_strategy]

    def before_run(self, runner: BaseRunner) -> None:
        """Divide the run."""
        super().before_run(runner)
        self.length = cycle_length(runner, self.cyclic_times)
        self.up = int(self.step_ratio_up * self.length)

    def get_momentum(self, runner: BaseRunner, base_momentum: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cyclic`."""
        return curves.cyclic(base_momentum, runner.iter, self.length, self.up, self.ratios, self.gamma, self.anneal)


@HOOKS.register_module()
class OneCycleMomentumUpdaterHook(MomentumUpdaterHook):
    """From ``max_momentum`` down to ``base_momentum`` and up again, whatever the groups started with (``OneCycle``).

    Args:
        base_momentum: Lower turning point: one for all parameter groups, a list, or either by name of the optimizer.
        max_momentum: Start and end, in the same form.
        pct_start: Part of the run, in [0, 1], in which the momentum falls.
        anneal_strategy: Shape of the slopes.
        three_phase: Rise as fast as it fell, and stay.
        by_epoch: Must be False.
        kwargs: Arguments of :class:`MomentumUpdaterHook`.
    """

    def __init__(
        self,
        base_momentum: float | Sequence[float] | Mapping[str, Any] = 0.85,
        max_momentum: float | Sequence[float] | Mapping[str, Any] = 0.95,
        pct_start: float = 0.3,
        anneal_strategy: Literal['cos', 'linear'] = 'cos',
        three_phase: bool = False,
        by_epoch: bool = False,
        **kwargs: Any,
    ) -> None:
        only_by_iteration(by_epoch, 'OneCycle')
        if not 0 <= pct_start <= 1:
            raise ValueError(f'pct_start must be in [0, 1], not {pct_start}')
        super().__init__(by_epoch=by_epoch, **kwargs)
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        self.pct_start, self.three_phase = pct_start, three_phase
        self.anneal = curves.ANNEALINGS[anneal_strategy]

    def bases_of(self, name: str, optimizer: Any) -> Sequence[Hashable]:
        """Both turning points of every group."""
        super().bases_of(name, optimizer)
        low, high = (per_group(m, name, optimizer) for m in (self.base_momentum, self.max_momentum))
        return list(zip(high, low, high, strict=True))

    def value_at(self, runner: BaseRunner, base: tuple[float, float, float]) -> float:
        """See :func:`intarsia.optim.schedules.curves.one_cycle`."""
        return curves.one_cycle(base, runner.iter, runner.max_iters or 0, self.pct_start, self.three_phase, self.anneal)
