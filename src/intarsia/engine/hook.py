"""What a hook is, and how its methods are bound to the stages of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from intarsia.core.errors import closest
from intarsia.engine.stage import Stage

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

StageCall = Callable[['BaseRunner'], None]

ONE_X_STAGES: dict[str, Stage | None] = {
    'before_train': Stage.BEFORE_RUN,
    'after_train': Stage.AFTER_RUN,
    'before_val': Stage.BEFORE_EVALUATION,
    'after_val': Stage.AFTER_EVALUATION,
    'before_test': None,
    'after_test': None,
    'before_test_epoch': None,
    'after_test_epoch': None,
    'before_test_iter': None,
    'after_test_iter': None,
}
"""Further stages of the 1.x generation, and which of ours they are; None never happens in a training."""


class Hook:
    """Something that happens at stages of a run; the methods are named as in :class:`~intarsia.engine.stage.Stage`.

    A subclass defines the methods it needs: ``def after_train_iter(self, runner)``. A stage it does not define
    costs nothing. A method whose name is almost that of a stage is refused when the class is made.

    What a hook must know again after a resume it gives in :meth:`state_dict`; checkpoints carry it.

    Attributes:
        priority: The seat of a hook that is registered without one; see :class:`~intarsia.engine.priority.Priority`.
    """

    priority: int | str = 'NORMAL'

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        stages = {*map(str, Stage), *ONE_X_STAGES}
        for name, value in vars(cls).items():
            if name.startswith(('before_', 'after_')) and name not in stages and inspect.isfunction(value):
                close = closest(name, stages, 0.85)
                if close:
                    raise TypeError(f"{cls.__name__}.{name} is no stage of a run. Did you mean '{close}'?")

    def state_dict(self) -> dict[str, Any]:
        """What this hook must know after a resume: numbers, strings, tensors, and containers of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave; called when a run is resumed, before ``before_run``."""

    # helpers, with the names the older runner gave them

    def every_n_epochs(self, runner: BaseRunner, n: int) -> bool:
        """Whether the epoch that ends is a multiple of ``n`` (counted from 1)."""
        return n > 0 and (runner.epoch + 1) % n == 0

    def every_n_iters(self, runner: BaseRunner, n: int) -> bool:
        """Whether the iteration that ends is a multiple of ``n`` (counted from 1)."""
        return n > 0 and (runner.iter + 1) % n == 0

    every_n_train_iters = every_n_iters
    """The 1.x name."""

    def every_n_inner_iters(self, runner: BaseRunner, n: int) -> bool:
        """As :meth:`every_n_iters`, counted within the epoch."""
        return n > 0 and (runner.inner_iter + 1) % n == 0

    def end_of_epoch(self, runner: BaseRunner) -> bool:
        """Whether this is the last iteration of the epoch."""
        return runner.inner_iter + 1 == len(runner.data_loader)

    def is_last_epoch(self, runner: BaseRunner) -> bool:
        """Whether this is the last epoch of the run."""
        return runner.max_epochs is not None and runner.epoch + 1 == runner.max_epochs

    def is_last_iter(self, runner: BaseRunner) -> bool:
        """Whether this is the last iteration of the run."""
        return runner.max_iters is not None and runner.iter + 1 == runner.max_iters

    def get_triggered_stages(self) -> list[str]:
        """Names of the stages at which this hook is called."""
        return [str(stage) for stage in Stage if bound_call(self, stage) is not None]


def bound_call(hook: Any, stage: Stage) -> StageCall | None:
    """What to call for ``hook`` at ``stage``: its method, or the one of the general stage; None for nothing.

    Methods of the 1.x form ``(runner, batch_idx, data_batch, outputs)`` are wrapped: their further arguments come
    from the runner. What they call validation is our evaluation.
    """
    calls = [_adapted(method) for method in _methods(hook, stage)]
    if len(calls) < 2:
        return calls[0] if calls else None
    return lambda runner: [call(runner) for call in calls][-1]


def _methods(hook: Any, stage: Stage) -> list[Callable[..., None]]:
    names = (stage, stage.general) if stage.general else (stage,)
    own = [m for m in (getattr(hook, n, None) for n in names) if callable(m) and 'metrics' not in _further(m)][:1]
    older = [getattr(hook, old, None) for old, ours in ONE_X_STAGES.items() if ours is stage]
    if stage is Stage.AFTER_EVALUATION:
        method = getattr(hook, Stage.AFTER_VAL_EPOCH, None)
        older.insert(0, method if callable(method) and 'metrics' in _further(method) else None)
    return own + [m for m in older if callable(m)]


_FROM_RUNNER: dict[str, Callable[[BaseRunner], Any]] = {
    'batch_idx': lambda runner: runner.inner_iter,
    'data_batch': lambda runner: runner.data_batch,
    'outputs': lambda runner: runner.outputs,
    'metrics': lambda runner: runner.metrics,
    'checkpoint': lambda runner: runner.checkpoint,
}


def _further(method: Callable[..., Any]) -> list[str]:
    """Names of the arguments after the runner."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _adapted(method: Callable[..., None]) -> StageCall:
    names = _further(method)
    if not names:
        return method
    unknown = [n for n in names if n not in _FROM_RUNNER]
    if unknown:
        raise TypeError(f'{method.__qualname__} wants {unknown[0]!r}; a hook gets the runner and nothing else.')
    return lambda runner: method(runner, **{name: _FROM_RUNNER[name](runner) for name in names})
