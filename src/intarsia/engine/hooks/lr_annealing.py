"""Schedules of the learning rate that fall to a lower end, given as ``min_lr`` or ``min_lr_ratio``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.lr_updater import LrUpdaterHook
from intarsia.optim.schedules import curves

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class AnnealingLrUpdaterHook(LrUpdaterHook):
    """What they share.

    Args:
        min_lr: Lower end, or
        min_lr_ratio: the same as a part of the group's first rate.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(self, min_lr: float | None = None, min_lr_ratio: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        curves.floor_of(1.0, min_lr, min_lr_ratio)
        self.min_lr, self.min_lr_ratio = min_lr, min_lr_ratio

    def floor(self, base_lr: float) -> float:
        """The lower end for a group that started with ``base_lr``."""
        return curves.floor_of(base_lr, self.min_lr, self.min_lr_ratio)


@HOOKS.register_module()
class CosineAnnealingLrUpdaterHook(AnnealingLrUpdaterHook):
    """The rate falls as half a cosine wave (policy ``CosineAnnealing``); arguments as the base."""

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cosine`."""
        done, total = self.progress(runner)
        return curves.cosine(base_lr, self.floor(base_lr), done / total)


@HOOKS.register_module()
class LinearAnnealingLrUpdaterHook(AnnealingLrUpdaterHook):
    """The rate falls as a straight line (policy ``LinearAnnealing``); arguments as the base."""

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.linear`."""
        done, total = self.progress(runner)
        return curves.linear(base_lr, self.floor(base_lr), done / total)


@HOOKS.register_module()
class FlatCosineAnnealingLrUpdaterHook(AnnealingLrUpdaterHook):
    """The rate stays for a while and then falls as half a cosine wave (policy ``FlatCosineAnnealing``).

    Args:
        start_percent: Part of the run, in [0, 1), in which it stays.
        kwargs: Arguments of :class:`AnnealingLrUpdaterHook`.
    """

    def __init__(self, start_percent: float = 0.75, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= start_percent <= 1:
            raise ValueError(f'start_percent must be in [0, 1), not {start_percent}')
        self.start_percent = start_percent

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.flat_cosine`."""
        return curves.flat_cosine(base_lr, self.floor(base_lr), *self.progress(runner), self.start_percent)


@HOOKS.register_module()
class CosineRestartLrUpdaterHook(AnnealingLrUpdaterHook):
    """A cosine for every period (policy ``CosineRestart``).

    Args:
        periods: Epochs or iterations of each; together at least the run.
        restart_weights: Height at which each begins, of what the first rate is above the lower end.
        kwargs: Arguments of :class:`AnnealingLrUpdaterHook`.
    """

    def __init__(self, periods: Sequence[int], restart_weights: Sequence[float] = (1.0,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(periods) != len(restart_weights):
            raise ValueError(
                f'each of periods needs one of restart_weights, but there are {len(periods)} and {len(restart_weights)}'
            )
        self.periods, self.restart_weights = periods, restart_weights

    def before_run(self, runner: BaseRunner) -> None:
        """Look whether the periods reach to the end."""
        super().before_run(runner)
        total = self.progress(runner)[1]
        if sum(self.periods) < total:
            unit = 'epochs' if self.by_epoch else 'iterations'
            raise ValueError(f'the run lasts {total} {unit}, but the periods of CosineRestart {sum(self.periods)}')

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cosine_restart`."""
        done = self.progress(runner)[0]
        return curves.cosine_restart(base_lr, self.floor(base_lr), done, self.periods, self.restart_weights)


@HOOKS.register_module()
class CosineAnnealingCooldownLrUpdaterHook(AnnealingLrUpdaterHook):
    """Half a cosine wave, and a lower rate for the rest (policy ``CosineAnnealingCooldown``).

    Args:
        cool_down_ratio: The rest's rate as a part of the lower end.
        cool_down_time: Epochs or iterations of the rest.
        kwargs: Arguments of :class:`AnnealingLrUpdaterHook`.
    """

    def __init__(self, cool_down_ratio: float = 0.1, cool_down_time: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cool_down_ratio, self.cool_down_time = cool_down_ratio, cool_down_time

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cosine_cooldown`."""
        floor, (done, total) = self.floor(base_lr), self.progress(runner)
        return curves.cosine_cooldown(base_lr, floor, done, total, self.cool_down_time, self.cool_down_ratio)


@HOOKS.register_module()
class TINLrUpdaterHook(LrUpdaterHook):
    """Half a cosine wave that begins after the warm-up (policy ``TIN``).

    From Temporal Interlacing Network (Shao, Qian and Liu, 2020, arXiv:2001.06499).

    Args:
        min_lr: Lower end.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(self, min_lr: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.min_lr = min_lr

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cosine`; during the warm-up its fraction is negative."""
        (done, total), warmup = self.progress(runner), self._warmup_length(runner)
        return curves.cosine(base_lr, self.min_lr, (done - warmup) / (total - warmup))
