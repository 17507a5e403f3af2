"""An evaluator made of metrics that are counted side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Report = Callable[[], Mapping[str, Any]]
"""Says values by name."""


class MetricEvaluator:
    """Metrics with what each reports; a subclass implements ``update``.

    Attributes:
        parts: The metrics, and how each reports: usually its ``compute``; ``dict`` reports nothing.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[Any, Report]] = []

    def compute(self) -> dict[str, Any]:
        """All metrics by name.

        Raises:
            ValueError: Nothing was counted, or two metrics have one name.
        """
        values: dict[str, Any] = {}
        for _, report in self.parts:
            found = report()
            twice = sorted(values.keys() & found.keys())
            if twice:
                raise ValueError(f'two metrics report {", ".join(twice)}; give one of them a prefix')
            values.update(found)
        return values

    def table(self) -> str:
        """Nothing: the metrics say it all."""
        return ''

    def state(self) -> list[Any]:
        """What each metric counted."""
        return [metric.state() for metric, _ in self.parts]

    def merge(self, state: Sequence[Any]) -> None:
        """Add the :meth:`state` of an evaluator of the same settings."""
        for (metric, _), counted in zip(self.parts, state, strict=True):
            metric.merge(counted)

    def reset(self) -> None:
        """Forget what was counted."""
        for metric, _ in self.parts:
            metric.reset()
