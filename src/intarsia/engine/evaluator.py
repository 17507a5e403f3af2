"""What the engine asks of an evaluation: count results batch by batch, then say the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Evaluator(Protocol):
    """Turns results into metrics, in one process or in several.

    Counting in any number of batches, in any order, and merging the states of any number of processes must give the
    same metrics to the last bit. Processes that share an evaluation end it like this::

        states = gather(evaluator.state())      # one of each process, pickled
        evaluator.reset()
        for state in states:
            evaluator.merge(state)
        metrics = evaluator.compute()
    """

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Count one batch.

        Args:
            results: One result of the model for each sample.
            batch: What the loader gave for these samples, with their targets or, in ``sample_idx``, their indices.
        """
        ...

    def compute(self) -> dict[str, Any]:
        """Metrics by name, of all that was counted since the last reset: floats, or lists of floats (by class).

        Raises:
            ValueError: Nothing was counted.
        """
        ...

    def table(self) -> str:
        """The metrics of every class as text for people; empty if :meth:`compute` says it all."""
        ...

    def state(self) -> Any:
        """What was counted: arrays in plain containers, which can be pickled and sent to another process."""
        ...

    def merge(self, state: Any) -> None:
        """Add what another evaluator of the same settings counted.

        Args:
            state: Its :meth:`state`; not changed, and not kept either.
        """
        ...

    def reset(self) -> None:
        """Forget what was counted."""
        ...


class Evaluators:
    """Several evaluators as one.

    Args:
        evaluators: In the order of their values.
    """

    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        self.evaluators = list(evaluators)

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Count one batch in each."""
        for evaluator in self.evaluators:
            evaluator.update(results, batch)

    def compute(self) -> dict[str, Any]:
        """Metrics of all."""
        return {name: value for evaluator in self.evaluators for name, value in evaluator.compute().items()}

    def table(self) -> str:
        """Their tables."""
        return '\n'.join(filter(None, (evaluator.table() for evaluator in self.evaluators)))

    def state(self) -> list[Any]:
        """What each has counted."""
        return [evaluator.state() for evaluator in self.evaluators]

    def merge(self, state: Sequence[Any]) -> None:
        """Add what another process has counted."""
        for evaluator, part in zip(self.evaluators, state, strict=True):
            evaluator.merge(part)

    def reset(self) -> None:
        """Forget what was counted."""
        for evaluator in self.evaluators:
            evaluator.reset()
