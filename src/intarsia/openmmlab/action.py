"""Functions of MMAction2 that its users import, over our metrics.

Shapes: n clips, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.engine.metrics.confusion_matrix import confusion_matrix as count_matrix
from intarsia.tasks.action.metrics.average_precision import average_precision


def top_k_accuracy(scores: Sequence[Any], labels: Sequence[int], topk: Sequence[int] = (1,)) -> list[float]:
    """Part of clips whose class is among the k best scores, for each k."""
    score_nk, label_n = np.asarray(scores), np.asarray(labels).reshape(-1, 1)
    order_nk = np.argsort(-score_nk, axis=1, kind='stable')
    return [float((order_nk[:, :k] == label_n).any(axis=1).mean()) for k in topk]


def mean_class_accuracy(scores: Sequence[Any], labels: Sequence[int]) -> float:
    """Mean of the accuracies of all classes that occur."""
    matrix = confusion_matrix(np.argmax(np.asarray(scores), axis=1), labels)
    counts = matrix.sum(axis=1)
    return float((np.diag(matrix) / np.maximum(counts, 1))[counts > 0].mean())


def mean_average_precision(scores: Sequence[Any], labels: Sequence[Any]) -> float:
    """Mean average precision of several labels a clip, ``(N, K)``, over the classes that occur."""
    score_nk, target_nk = np.asarray(scores), np.asarray(labels)
    values = [average_precision(s, t) for s, t in zip(score_nk.T, target_nk.T, strict=True) if t.any()]
    return float(np.mean(values)) if values else float('nan')


def confusion_matrix(y_pred: Any, y_real: Any, normalize: str | None = None) -> np.ndarray:
    """How often each class was answered for each true one.

    Args:
        y_pred: Answers ``(N,)``.
        y_real: True classes ``(N,)``.
        normalize: ``'true'``, ``'pred'`` or ``'all'``: shares of rows, columns, or of all.
    """
    answer, label = np.asarray(y_pred, np.int64), np.asarray(y_real, np.int64)
    num_classes = int(max(answer.max(initial=0), label.max(initial=0))) + 1
    matrix = count_matrix(answer, label, num_classes).astype(np.float64 if normalize else np.int64)
    axes: dict[str, Any] = {'true': 1, 'pred': 0, 'all': None}
    if normalize is None:
        return matrix
    if normalize not in axes:
        raise ValueError(f"normalize is 'true', 'pred', 'all' or None, not {normalize!r}")
    return np.nan_to_num(matrix / matrix.sum(axis=axes[normalize], keepdims=True))


def softmax(x: Any, dim: int = 1) -> np.ndarray:
    """Probabilities of scores along an axis."""
    values = np.exp(np.asarray(x) - np.max(x, axis=dim, keepdims=True))
    return values / values.sum(axis=dim, keepdims=True)
