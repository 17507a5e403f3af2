"""The prediction for one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class ClassificationResult:
    """The prediction for one image.

    Attributes:
        label: The most probable class, 0 ... C-1.
        score: Its probability, 0 ... 1.
        class_name: Its name, if the model knows the names.
        scores: Probability of every class, float32 ``(C,)``.
        labels: The predicted classes, the most probable first: ``(label,)``, or in multi-label classification any
            number of them.
    """

    label: int
    score: float
    class_name: str | None
    scores: np.ndarray
    labels: tuple[int, ...]

    @classmethod
    def of(
        cls, scores: np.ndarray, labels: tuple[int, ...], classes: Sequence[str] | None = None
    ) -> ClassificationResult:
        """Build a result from probabilities and the decision.

        Args:
            scores: Probability of every class, float32 ``(C,)``.
            labels: The predicted classes, the most probable first.
            classes: Names of the classes.
        """
        label = int(scores.argmax())
        name = classes[label] if classes is not None else None
        return cls(label, float(scores[label]), name, scores, labels)

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
