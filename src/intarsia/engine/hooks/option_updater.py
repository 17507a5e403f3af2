"""What the updaters of learning rate and momentum share: when they set the option, and the warm-up."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from intarsia.engine.hook import Hook
from intarsia.optim.schedules import curves
from intarsia.optim.schedules.options import SharedOption, base_value, optimizers_of

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

WARMUPS = ('constant', 'linear', 'exp')


class OptionUpdaterHook(Hook):
    """Sets an option of every parameter group of every optimizer, once for each distinct base value.

    Args:
        by_epoch: Whether the option follows epochs (set before each) or iterations.
        warmup: Shape of the warm-up: the regular value times (momentum: divided by) a factor that reaches 1 at its
            end.
        warmup_iters: Length of the warm-up in iterations.
        warmup_ratio: First factor of the warm-up, in (0, 1].
        warmup_by_epoch: Whether ``warmup_iters`` counts epochs.
    """

    option: ClassVar[str]
    warmup_divides: ClassVar[bool] = False

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: Literal['constant', 'linear', 'exp'] | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.1,
        warmup_by_epoch: bool = False,
    ) -> None:
        if warmup is not None:
            if warmup not in WARMUPS:
                raise ValueError(f"warmup is 'constant', 'linear' or 'exp', not {warmup!r}")
            if warmup_iters <= 0:
                raise ValueError(f'warmup_iters must be positive, not {warmup_iters}')
            if not 0 < warmup_ratio <= 1:
                raise ValueError(f'warmup_ratio must be in (0, 1], not {warmup_ratio}')
        self.by_epoch = by_epoch
        self.warmup = warmup
        self.warmup_ratio = warmup_ratio
        self.warmup_epochs = warmup_iters if warmup is not None and warmup_by_epoch else None
        self.warmup_iters: int | None = None if self.warmup_epochs else warmup_iters if warmup is not None else 0
        self._by_base: dict[Any, SharedOption] = {}
        self._regular: dict[Any, float] = {}
        self._has_warned = False

    def value_at(self, runner: BaseRunner, base: Any) -> float | None:
        """The regular value at this moment of the groups of one base; None keeps the value they have."""
        raise NotImplementedError(f'{type(self).__name__} does not say what {self.option} is')

    def bases_of(self, name: str, optimizer: Any) -> Sequence[Hashable]:
        """What :meth:`value_at` is given for each parameter group: the value the group started with."""
        return [base_value(group, self.option) for group in optimizer.param_groups]

    def progress(self, runner: BaseRunner) -> tuple[int, int]:
        """Epochs done and in all, or iterations, as ``by_epoch`` says."""
        done, total = (runner.epoch, runner.max_epochs) if self.by_epoch else (runner.iter, runner.max_iters)
        return done, total or 0

    # ------------------------------------------------------------------ stages

    def before_run(self, runner: BaseRunner) -> None:
        """Note the values the groups start with."""
        self._by_base = {}
        for name, optimizer in optimizers_of(runner.optimizer).items():
            for base, group in zip(self.bases_of(name, optimizer), optimizer.param_groups, strict=True):
                self._by_base.setdefault(base, SharedOption(self.option, ())).add(group)

    def after_load_checkpoint(self, runner: BaseRunner) -> None:
        """An optimizer that was loaded has new groups."""
        if self._by_base:
            self.before_run(runner)

    def before_train_epoch(self, runner: BaseRunner) -> None:
        """Set the epoch's value."""
        self._warmup_length(runner)
        if self.by_epoch:
            self._set_regular(runner)

    def before_train_iter(self, runner: BaseRunner) -> None:
        """Set the iteration's value, where it changes with iterations."""
        done, length = runner.iter, self.warmup_iters
        if length is None:
            length = self._warmup_length(runner)
        if not self.by_epoch:
            self._set_regular(runner)
        if done < length:
            assert self.warmup is not None
            factor = curves.warmup_factor(self.warmup, done, length, self.warmup_ratio)
            factor = 1 / factor if self.warmup_divides else factor
            self._set({base: value * factor for base, value in self._regular.items()})
        elif done == length and self.by_epoch:
            self._set(self._regular)

    # ------------------------------------------------------------------ values

    def _warmup_length(self, runner: BaseRunner) -> int:
        """Iterations of the warm-up, once the length of an epoch is known."""
        if self.warmup_iters is None:
            assert self.warmup_epochs is not None
            self.warmup_iters = self.warmup_epochs * len(runner.data_loader)
        return self.warmup_iters

    def _set_regular(self, runner: BaseRunner) -> None:
        values = {base: self.value_at(runner, base) for base in self._by_base}
        if None in values.values():
            values = {base: self._kept(runner, base) if v is None else v for base, v in values.items()}
        self._regular = values  # type: ignore[assignment]
        self._set(self._regular)

    def _kept(self, runner: BaseRunner, base: Any) -> float:
        if not self._has_warned:
            self._has_warned = True
            count, unit = self.progress(runner)[0], 'epoch' if self.by_epoch else 'iteration'
            runner.logger.warning(
                f'{type(self).__name__} gives no {self.option} at {unit} {count}; the last one is kept'
            )
        return self._regular[base] if base in self._regular else self._by_base[base].value

    def _set(self, values: Mapping[Any, float]) -> None:
        for base, value in values.items():
            self._by_base[base].set(value)
