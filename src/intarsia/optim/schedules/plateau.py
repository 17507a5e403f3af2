"""The link that follows a metric instead of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.core.registries import SCHEDULES
from intarsia.optim.schedules.link import Link, Values, spread


@SCHEDULES.register_module()
class ReduceOnPlateau(Link):
    """The value falls by ``factor`` whenever a metric has not become better for a while.

    Args:
        monitor: Name of the metric.
        rule: Whether less or more of it is better.
        factor: Factor of each fall, below 1.
        patience: Evaluations without progress that are borne.
        threshold: What counts as progress: a part of the best so far, or
        threshold_rule: a difference to it.
        cooldown: Evaluations after a fall that do not count.
        min_value: Lowest value: one for all parameter groups, or a list.
        eps: A smaller fall than this is left out.
        kwargs: Arguments of :class:`Link`; evaluations outside the span do not count.

    Attributes:
        falls: Iterations after which it fell; a fitted copy of the link shares the list.
    """

    def __init__(
        self,
        monitor: str = 'loss',
        rule: Literal['less', 'greater'] = 'less',
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: Literal['rel', 'abs'] = 'rel',
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if factor >= 1:
            raise ValueError(f'factor must be below 1, not {factor}')
        if threshold < 0:
            raise ValueError(f'threshold must not be negative, but is {threshold}')
        self.monitor, self.factor, self.patience, self.cooldown = monitor, factor, patience, cooldown
        self.threshold, self.threshold_rule = threshold, threshold_rule
        self.sign = 1 if rule == 'greater' else -1
        self.min_value, self.eps = min_value, eps
        self.best: float | None = None
        self.num_bad, self.cooling = 0, 0
        self.falls: list[int] = []

    @property
    def own_values(self) -> Sequence[float] | None:
        """The lowest values, if every group has its own."""
        return self.min_value if isinstance(self.min_value, Sequence) else None

    def observe(self, metrics: Mapping[str, Any], done: int, iteration: int) -> bool:
        """Take note of an evaluation.

        Args:
            metrics: What it gave.
            done: Epochs or iterations done, as the span counts.
            iteration: Iterations done.

        Returns:
            Whether the value falls now.

        Raises:
            ConfigError: The metric is not among them.
        """
        if not self.begin <= done < (math.inf if self.end is None else self.end):
            return False
        if self.monitor not in metrics:
            message = f"ReduceOnPlateau monitors '{self.monitor}', but the metrics are {', '.join(metrics)}."
            raise ConfigError(Problem('bad-config', message, suggestion=closest(self.monitor, metrics)))
        self._count(float(metrics[self.monitor]))
        if self.num_bad <= self.patience:
            return False
        self.num_bad, self.cooling = 0, self.cooldown
        self.falls.append(iteration)
        return True

    def _count(self, metric: float) -> None:
        if self._is_better(metric):
            self.best, self.num_bad = metric, 0
        else:
            self.num_bad += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.num_bad = 0

    def _is_better(self, metric: float) -> bool:
        if self.best is None:
            return not math.isnan(metric)
        needed = self.threshold * (self.best if self.threshold_rule == 'rel' else 1)
        return self.sign * metric > self.sign * (self.best + self.sign * needed)

    def step(self, values: Values, bases: Values, position: int) -> Values:
        """One fall."""
        floors = spread(self.min_value, len(values))
        moved = [max(v * self.factor, floor) for v, floor in zip(values, floors, strict=True)]
        return [new if v - new > self.eps else v for v, new in zip(values, moved, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """What it knows."""
        return {'best': self.best, 'num_bad': self.num_bad, 'cooling': self.cooling, 'falls': list(self.falls)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.best, self.num_bad, self.cooling = state['best'], state['num_bad'], state['cooling']
        self.falls[:] = state['falls']
