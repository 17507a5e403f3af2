"""The prediction for one clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.models.class_scores import ClassScores

SHOWN = 5
"""Classes in the short text about a clip."""


class ActionResult(ClassScores):
    """What happens in a clip.

    ``scores`` are what ``test_cfg.average_clips`` says: mean probabilities for ``'prob'``, else the mean scores of the
    network.
    """

    def __str__(self) -> str:
        """``walk 0.91, run 0.05, crawl 0.02, ...``: the five best classes."""
        return ', '.join(f'{name} {score:.3f}' for name, score in self.top(SHOWN))


@dataclass(frozen=True, eq=False)
class FeatureResult:
    """The feature of a clip, of a model with ``test_cfg.feature_extraction``.

    Attributes:
        feature: float32 ``(D,)``, the mean over space, time and views.
    """

    feature: np.ndarray

    def __str__(self) -> str:
        """``a feature of 2048 numbers``."""
        return f'a feature of {len(self.feature)} numbers'

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values, for JSON."""
        return {'feature': self.feature.tolist()}
