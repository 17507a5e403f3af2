"""The hook that ends a training which does not get better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.evaluation import infer_rule

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Ends the run after ``patience`` evaluations in a row that were not better than the best one before.

    Args:
        monitor: Name of the metric.
        rule: Whether more or less is better; None tells from the name.
        min_delta: How much better than the best a value must be to count, in units of the metric.
        strict: Whether an evaluation without the metric is an error; otherwise it is passed over with a warning.
        check_finite: Whether a value that is not finite ends the run; otherwise it counts as not better.
        patience: Evaluations.
        stopping_threshold: A value beyond it ends the run at once: the metric is as good as it need be.

    Raises:
        ValueError: The rule cannot be told from the name.
        ConfigError: ``strict``, and the evaluation has no such metric.
    """

    priority = 'LOWEST'

    def __init__(
        self,
        monitor: str,
        rule: Literal['greater', 'less'] | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        if rule not in ('greater', 'less', None):
            raise ValueError(f"rule must be 'greater', 'less' or None, not {rule!r}")
        self.monitor = monitor
        self.sign = 1 if (rule or infer_rule(monitor)) == 'greater' else -1
        self.min_delta = min_delta
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self.best: float | None = None
        self.num_waited = 0

    def after_evaluation(self, runner: BaseRunner) -> None:
        """Compare with the best so far, and ask for the end of the run if it is time."""
        if self.monitor not in runner.metrics:
            close = closest(self.monitor, runner.metrics)
            message = f"EarlyStoppingHook watches '{self.monitor}', but the metrics are {', '.join(runner.metrics)}."
            problem = Problem('bad-config', message, suggestion=close)
            if self.strict:
                raise ConfigError(problem)
            runner.logger.warning(str(problem))
            return
        reason = self.reason_to_stop(float(runner.metrics[self.monitor]))
        if reason:
            runner.logger.info(f'stopping early: {reason}')
            runner.request_stop()

    def reason_to_stop(self, value: float) -> str | None:
        """Count a value of the metric; why the run should end now, or None."""
        shown = 'no value' if self.best is None else f'{self.best:.4g}'
        if self.check_finite and not math.isfinite(value):
            return f'{self.monitor} is {value}; the best was {shown}'
        if self.stopping_threshold is not None and self.sign * value > self.sign * self.stopping_threshold:
            self.best = value
            return f'{self.monitor} is {value:.4g}, beyond the threshold {self.stopping_threshold:.4g}'
        if self._is_better(value):
            self.best, self.num_waited = value, 0
            return None
        self.num_waited += 1
        if self.num_waited < self.patience:
            return None
        return f'{self.monitor} was not better than {shown} in the last {self.num_waited} evaluations'

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        return self.best is None or self.sign * value >= self.sign * self.best + self.min_delta

    def state_dict(self) -> dict[str, Any]:
        """The best value, and how many evaluations were not better."""
        return {'best': self.best, 'num_waited': self.num_waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back :meth:`state_dict`."""
        self.best, self.num_waited = state['best'], int(state['num_waited'])
