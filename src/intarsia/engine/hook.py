"""What a hook is, and how its methods are bound to the stages of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from intarsia.core.errors import closest
from intarsia.engine.stage import Stage

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

StageCall = Callable[['BaseRunner'], None]


class Hook:
    """Something that happens at stages of a run; the methods are named as in :class:`~intarsia.engine.stage.Stage`.

    A subclass defines the methods it needs: ``def after_train_iter(self, runner)``. A stage it does not define
    costs nothing. A method whose name is almost that of a stage is refused when the class is made.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        stages = {str(s) for s in Stage}
        for name, value in vars(cls).items():
            if name.startswith(('before_', 'after_')) and name not in stages and inspect.isfunction(value):
                close = closest(name, stages, 0.85)
                if close:
                    raise TypeError(f"{cls.__name__}.{name} is no stage of a run. Did you mean '{close}'?")

    # helpers, with the names the older runner gave them

    def every_n_epochs(self, runner: BaseRunner, n: int) -> bool:
        """Whether the epoch that ends is a multiple of ``n`` (counted from 1)."""
        return n > 0 and (runner.epoch + 1) % n == 0

    def every_n_iters(self, runner: BaseRunner, n: int) -> bool:
        """Whether the iteration that ends is a multiple of ``n`` (counted from 1)."""
        return n > 0 and (runner.iter + 1) % n == 0

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
    from the runner.
    """
    for name in (stage, stage.general):
        method = getattr(hook, name, None) if name is not None else None
        if callable(method):
            return _adapted(method)
    return None


_FROM_RUNNER: dict[str, Callable[[BaseRunner], Any]] = {
    'batch_idx': lambda runner: runner.inner_iter,
    'data_batch': lambda runner: runner.data_batch,
    'outputs': lambda runner: runner.outputs,
}


def _adapted(method: Callable[..., None]) -> StageCall:
    names = list(inspect.signature(method).parameters)[1:]
    if not names:
        return method
    unknown = [n for n in names if n not in _FROM_RUNNER]
    if unknown:
        raise TypeError(f'{method.__qualname__} wants {unknown[0]!r}; a hook gets the runner and nothing else.')
    return lambda runner: method(runner, **{name: _FROM_RUNNER[name](runner) for name in names})
