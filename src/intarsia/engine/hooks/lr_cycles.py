"""Schedules of the learning rate that rise before they fall. They follow iterations."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.lr_updater import LrUpdaterHook
from intarsia.optim.schedules import curves

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


def only_by_iteration(by_epoch: bool, policy: str) -> None:
    """Refuse ``by_epoch=True``."""
    if by_epoch:
        raise ValueError(f'{policy} follows iterations: by_epoch must be False')


def peak_and_end(target_ratio: float | Sequence[float]) -> tuple[float, float]:
    """Both targets of a cycle; the end is a 100000th of the peak if only that is given."""
    given = [target_ratio] if isinstance(target_ratio, (int, float)) else list(target_ratio)
    if len(given) not in (1, 2):
        raise ValueError(f'target_ratio is a number or two, not {target_ratio!r}')
    return given[0], given[1] if len(given) == 2 else given[0] / 1e5


def check_cycle(step_ratio_up: float, gamma: float) -> None:
    """Refuse what makes no cycle."""
    if not 0 <= step_ratio_up < 1:
        raise ValueError(f'step_ratio_up must be in [0, 1), not {step_ratio_up}')
    if not 0 < gamma <= 1:
        raise ValueError(f'gamma must be in (0, 1], not {gamma}')


def cycle_length(runner: BaseRunner, cyclic_times: int) -> int:
    """Iterations of one of ``cyclic_times`` cycles."""
    total = runner.max_iters or 0
    if cyclic_times < 1 or total < cyclic_times:
        raise ValueError(f'a run of {total} iterations cannot have {cyclic_times} cycles')
    return total // cyclic_times


def per_group(given: float | Sequence[float] | Mapping[str, Any], name: str, optimizer: Any) -> Sequence[float]:
    """One value for every group: the same for all, a list, or either by name of the optimizer."""
    if isinstance(given, Mapping):
        if name not in given:
            raise ValueError(f"there is an optimizer '{name}', but values only for {', '.join(given)}")
        return per_group(given[name], name, optimizer)
    count = len(optimizer.param_groups)
    if isinstance(given, (int, float)):
        return [given] * count
    if len(given) != count:
        raise ValueError(f'{name} has {count} parameter groups, but there are {len(given)} values')
    return given


@HOOKS.register_module()
class CyclicLrUpdaterHook(LrUpdaterHook):
    """Cycles from the first rate to a peak and down to an end (policy ``cyclic``).

    Args:
        by_epoch: Must be False.
        target_ratio: Peak and end as multiples of the first rate; the end is a 100000th of the peak by default.
        cyclic_times: Cycles of the run.
        step_ratio_up: Part of a cycle, in [0, 1), in which the rate rises.
        anneal_strategy: Shape of both slopes.
        gamma: What the height of the peak is multiplied with from cycle to cycle, in (0, 1].
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(
        self,
        by_epoch: bool = False,
        target_ratio: float | Sequence[float] = (10, 1e-4),
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

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cyclic`."""
        return curves.cyclic(base_lr, runner.iter, self.length, self.up, self.ratios, self.gamma, self.anneal)


@HOOKS.register_module()
class OneCycleLrUpdaterHook(LrUpdaterHook):
    """One cycle, whatever the groups started with: up to ``max_lr`` and down to nearly nothing (policy ``OneCycle``).

    Args:
        max_lr: The peak: one for all parameter groups, a list, or either by name of the optimizer.
        total_steps: Iterations of the cycle, at least those of the run; by default these.
        pct_start: Part of the cycle, in [0, 1], in which the rate rises.
        anneal_strategy: Shape of the slopes.
        div_factor: The peak divided by it is the start,
        final_div_factor: and that divided by this is the end.
        three_phase: Go down to the start as fast as up, and from there to the end.
        by_epoch: Must be False.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(
        self,
        max_lr: float | Sequence[float] | Mapping[str, Any],
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal['cos', 'linear'] = 'cos',
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        by_epoch: bool = False,
        **kwargs: Any,
    ) -> None:
        only_by_iteration(by_epoch, 'OneCycle')
        if not 0 <= pct_start <= 1:
            raise ValueError(f'pct_start must be in [0, 1], not {pct_start}')
        super().__init__(by_epoch=by_epoch, **kwargs)
        self.max_lr, self.total_steps, self.pct_start = max_lr, total_steps, pct_start
        self.div_factor, self.final_div_factor, self.three_phase = div_factor, final_div_factor, three_phase
        self.anneal = curves.ANNEALINGS[anneal_strategy]

    def bases_of(self, name: str, optimizer: Any) -> Sequence[Hashable]:
        """The start of the cycle, from ``max_lr``."""
        super().bases_of(name, optimizer)
        return [peak / self.div_factor for peak in per_group(self.max_lr, name, optimizer)]

    def before_run(self, runner: BaseRunner) -> None:
        """Fix the length."""
        super().before_run(runner)
        iters = runner.max_iters or 0
        self.length = iters if self.total_steps is None else self.total_steps
        if self.length < iters:
            raise ValueError(f'the run lasts {iters} iterations, but total_steps of OneCycle is {self.length}')

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.one_cycle`."""
        levels = base_lr, base_lr * self.div_factor, base_lr / self.final_div_factor
        return curves.one_cycle(levels, runner.iter, self.length, self.pct_start, self.three_phase, self.anneal)
