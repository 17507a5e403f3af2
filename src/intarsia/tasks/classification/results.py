"""The prediction for one image."""

from __future__ import annotations

from intarsia.models.class_scores import ClassScores


class ClassificationResult(ClassScores):
    """The prediction for one image; ``scores`` are probabilities."""
