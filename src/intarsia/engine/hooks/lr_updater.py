"""Schedules of the learning rate. To add one, subclass :class:`LrUpdaterHook` and write ``get_lr``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.optim.schedules import curves

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class LrUpdaterHook(Hook):
    """Sets the learning rate of every parameter group; seat VERY_HIGH.

    A policy ``'MyOwn'`` in ``lr_config`` means the registered subclass ``MyOwnLrUpdaterHook``.

    Args:
        by_epoch: Whether the rate follows epochs (set before each) or iterations.
        warmup: Shape of the warm-up: the regular rate times a factor that reaches 1 at its end.
        warmup_iters: Length of the warm-up in iterations.
        warmup_ratio: First factor of the warm-up, in (0, 1].
        warmup_by_epoch: Whether ``warmup_iters`` counts epochs.
    """

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: Literal['constant', 'linear', 'exp'] | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.1,
        warmup_by_epoch: bool = False,
    ) -> None:
        if warmup not in (None, 'constant', 'linear', 'exp'):
            raise ValueError(f"warmup is 'constant', 'linear' or 'exp', not {warmup!r}")
        if warmup is not None and warmup_iters <= 0:
            raise ValueError(f'warmup_iters must be positive, not {warmup_iters}')
        if warmup is not None and not 0 < warmup_ratio <= 1:
            raise ValueError(f'warmup_ratio must be in (0, 1], not {warmup_ratio}')
        self.by_epoch = by_epoch
        self.warmup = warmup
        self.warmup_ratio = warmup_ratio
        self.warmup_iters = warmup_iters if warmup is not None and not warmup_by_epoch else 0
        self.warmup_epochs = warmup_iters if warmup is not None and warmup_by_epoch else 0
        self._regular: dict[float, float] = {}

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """The regular rate at this moment of a group that started with ``base_lr``."""
        raise NotImplementedError(f'{type(self).__name__} has no get_lr(runner, base_lr)')

    def progress(self, runner: BaseRunner) -> tuple[int, int]:
        """Epochs done and in all, or iterations, as ``by_epoch`` says."""
        done, total = (runner.epoch, runner.max_epochs) if self.by_epoch else (runner.iter, runner.max_iters)
        return done, total or 0

    # ------------------------------------------------------------------ stages

    def before_run(self, runner: BaseRunner) -> None:
        """Note the rates the groups start with."""
        optimizers = runner.optimizer.values() if isinstance(runner.optimizer, dict) else [runner.optimizer]
        groups: list[dict[str, Any]] = [g for o in optimizers for g in o.param_groups]  # type: ignore[union-attr]
        self._by_base: dict[float, list[dict[str, Any]]] = defaultdict(list)
        for group in groups:
            self._by_base[group.setdefault('initial_lr', group['lr'])].append(group)

    def before_train_epoch(self, runner: BaseRunner) -> None:
        """Set the epoch's rate."""
        if self.warmup_epochs:
            self.warmup_iters = self.warmup_epochs * len(runner.data_loader)
        if self.by_epoch:
            self._set_regular(runner)

    def before_train_iter(self, runner: BaseRunner) -> None:
        """Set the iteration's rate, where it changes with iterations."""
        if not self.by_epoch:
            self._set_regular(runner)
        if runner.iter < self.warmup_iters:
            assert self.warmup is not None
            factor = curves.warmup_factor(self.warmup, runner.iter, self.warmup_iters, self.warmup_ratio)
            self._set({base: rate * factor for base, rate in self._regular.items()})
        elif runner.iter == self.warmup_iters and self.by_epoch:
            self._set(self._regular)

    def _set_regular(self, runner: BaseRunner) -> None:
        self._regular = {base: self.get_lr(runner, base) for base in self._by_base}
        self._set(self._regular)

    def _set(self, rates: Mapping[float, float]) -> None:
        for base, rate in rates.items():
            for group in self._by_base[base]:
                group['lr'] = rate


def floor_of(base: float, minimum: float | None, ratio: float | None, name: str = 'min_lr') -> float:
    """The lower end of a curve, given as a value or as a ratio of its start."""
    if (minimum is None) == (ratio is None):
        raise ValueError(f'give either {name} or {name}_ratio')
    return base * ratio if ratio is not None else minimum  # type: ignore[return-value]


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
        steps = [step] if isinstance(step, int) else list(step)
        if any(not isinstance(s, int) or s <= 0 for s in steps):
            raise ValueError(f'step must be a positive number or a list of such, not {step!r}')
        self.step, self.gamma, self.min_lr = step, gamma, min_lr

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
class CosineAnnealingLrUpdaterHook(LrUpdaterHook):
    """The rate falls as half a cosine wave (policy ``CosineAnnealing``).

    Args:
        min_lr: Where it would end, or
        min_lr_ratio: the same as a part of the group's first rate.
        kwargs: Arguments of :class:`LrUpdaterHook`.
    """

    def __init__(self, min_lr: float | None = None, min_lr_ratio: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        floor_of(1.0, min_lr, min_lr_ratio)
        self.min_lr, self.min_lr_ratio = min_lr, min_lr_ratio

    def get_lr(self, runner: BaseRunner, base_lr: float) -> float:
        """See :func:`intarsia.optim.schedules.curves.cosine`."""
        done, total = self.progress(runner)
        return curves.cosine(base_lr, floor_of(base_lr, self.min_lr, self.min_lr_ratio), done / total)
