"""Schedules of the learning rate. To add one, subclass :class:`LrUpdaterHook` and write ``get_lr``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.option_updater import OptionUpdaterHook
from intarsia.optim.schedules import curves

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class LrUpdaterHook(OptionUpdaterHook):
    """Sets the learning rate of every parameter group; seat VERY_HIGH. Arguments as :class:`OptionUpdaterHook`.

    A policy ``'MyOwn'`` in ``lr_config`` means the registered subclass ``MyOwnLrUpdaterHook``.
    """

    option = 'lr'

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float | None:
        """The regular rate at this moment of a group that started with ``base_lr``; None keeps what it has."""
        raise NotImplementedError(f'{type(self).__name__} has no get_lr(runner, base_lr)')

    def value_at(self, runner: BaseRunner, base: float) -> float | None:
        """See :meth:`get_lr`."""
        return self.get_lr(runner, base)


@HOOKS.register_module()
class FixedLrUpdaterHook(LrUpdaterHook):
    """The rate stays (policy ``fixed``); arguments as :class:`LrUpdaterHook`."""

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """``base_lr``."""
        return base_lr


@HOOKS.register_module()
class StepLrUpdaterHook(LrUpdaterHook):
    """The rate falls by ``gamma`` at steps (policy ``step``).

    Args:
        step: Epochs or iterations at which it falls, or one number for its multiples.
        gamma: Factor of each fall.
        min_lr: Lowest rate.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.1, min_lr: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.step, self.gamma, self.min_lr = curves.checked_steps(step), gamma, min_lr

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.step`."""
        return curves.step(base_lr, self.progress(runner)[0], self.step, self.gamma, self.min_lr)


@HOOKS.register_module()
class ExpLrUpdaterHook(LrUpdaterHook):
    """The rate falls by ``gamma`` at every epoch or iteration (policy ``exp``).

    Args:
        gamma: Factor of each fall.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(self, gamma: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.exponential`."""
        return curves.exponential(base_lr, self.progress(runner)[0], self.gamma)


@HOOKS.register_module()
class PolyLrUpdaterHook(LrUpdaterHook):
    """The rate falls as a power of what is left (policy ``poly``).

    Args:
        power: The power.
        min_lr: Where it would end.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(self, power: float = 1.0, min_lr: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power, self.min_lr = power, min_lr

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.polynomial`."""
        return curves.polynomial(base_lr, *self.progress(runner), self.power, self.min_lr)


@HOOKS.register_module()
class InvLrUpdaterHook(LrUpdaterHook):
    """The rate falls as ``(1 + gamma * progress) ** -power`` (policy ``inv``).

    Args:
        gamma: Speed of the fall.
        power: Its power.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(self, gamma: float, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma, self.power = gamma, power

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.inverse`."""
        return curves.inverse(base_lr, self.progress(runner)[0], self.gamma, self.power)


@HOOKS.register_module()
class RelativeStepLrUpdaterHook(LrUpdaterHook):
    """The rate is looked up in a table, whatever the groups started with (policy ``RelativeStep``).

    Args:
        steps: Epochs or iterations until which each of
        lrs: these rates holds; the last one stays.
        warmup_epochs: Epochs or iterations before that in which the rate rises from ``warmuplr_start`` to ``lrs[0]``.
        warmuplr_start: Where it rises from.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(
        self,
        steps: Sequence[int],
        lrs: Sequence[float],
        warmup_epochs: int = 0,
        warmuplr_start: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not steps or len(steps) != len(lrs):
            raise ValueError(f'each of steps needs one of lrs, but there are {len(steps)} and {len(lrs)}')
        self.steps, self.lrs, self.rise, self.warmuplr_start = steps, lrs, warmup_epochs, warmuplr_start

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.table`."""
        done = self.progress(runner)[0]
        if self.rise and done <= self.rise:
            return curves.linear(self.warmuplr_start, self.lrs[0], done / self.rise)
        return curves.table(done, self.steps, self.lrs)
