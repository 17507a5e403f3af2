"""A score for every class, and what it means for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, eq=False)
class ClassScores:
    """The prediction for one sample.

    Attributes:
        label: The class with the greatest score, 0 ... C-1.
        score: Its score.
        class_name: Its name, if the model knows the names.
        scores: Score of every class, float32 ``(C,)``; usually probabilities.
        labels: The predicted classes, the best first: ``(label,)``, or where a sample has several any number of them.
        classes: Names of all classes, if the model knows them.
    """

    label: int
    score: float
    class_name: str | None
    scores: np.ndarray
    labels: tuple[int, ...]
    classes: Sequence[str] | None = None

    @classmethod
    def of(
        cls, scores: np.ndarray, labels: tuple[int, ...] | None = None, classes: Sequence[str] | None = None
    ) -> Self:
        """Build a result from scores and the decision.

        Args:
            scores: Score of every class, float32 ``(C,)``.
            labels: The predicted classes, the best first; None decides for the one with the greatest score.
            classes: Names of the classes.
        """
        label = int(scores.argmax())
        name = classes[label] if classes is not None else None
        return cls(label, float(scores[label]), name, scores, (label,) if labels is None else labels, classes)

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k best classes, the best first: names (or numbers) and scores."""
        best = np.argsort(-self.scores, kind='stable')[:k].tolist()
        return [(self.classes[i] if self.classes else str(i), float(self.scores[i])) for i in best]

    def __str__(self) -> str:
        """``Ankle boot (0.997)``; the number of the class if its name is not known."""
        return f'{self.class_name or self.label} ({self.score:.3f})'

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values, for JSON."""
        return {
            'label': self.label,
            'score': self.score,
            'class_name': self.class_name,
            'labels': list(self.labels),
            'scores': self.scores.tolist(),
        }
