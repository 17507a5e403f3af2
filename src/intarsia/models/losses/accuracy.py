"""Top-k accuracy of one batch.

Shapes: n samples, c classes, k best classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def accuracy(
    pred: Tensor | np.ndarray,
    target: Tensor | np.ndarray,
    topk: int | Sequence[int] = 1,
    thrs: float | Sequence[float | None] | None = None,
) -> Any:
    """Share of samples, in percent, whose class is among the k best scores.

    Args:
        pred: Scores ``(N, C)``.
        target: Class indices ``(N,)``.
        topk: One k or several.
        thrs: Count a prediction only if its score is above this value; one or several, None for no threshold.

    Returns:
        A tensor of shape ``(1,)``; a list of them over ``topk`` and (inside) over ``thrs`` where these are several.

    Raises:
        ValueError: A k is not in 1 ... C.
    """
    score_nc, target_n = torch.as_tensor(pred), torch.as_tensor(target)
    ks = [topk] if isinstance(topk, int) else list(topk)
    thresholds = list(thrs) if isinstance(thrs, Sequence) else [thrs]
    if min(ks) < 1 or max(ks) > score_nc.shape[1]:
        raise ValueError(f'topk={topk} needs values from 1 to the number of classes, which is {score_nc.shape[1]}')
    best_nk, class_nk = score_nc.topk(max(ks), dim=1)
    hit_nk = class_nk == target_n.reshape(-1, 1)

    def percent(k: int, threshold: float | None) -> Tensor:
        counted = hit_nk if threshold is None else hit_nk & (best_nk > threshold)
        return counted[:, :k].sum().float().reshape(1) * (100.0 / len(target_n))

    values = [[percent(k, threshold) for threshold in thresholds] for k in ks]
    per_k = values if isinstance(thrs, Sequence) else [row[0] for row in values]
    return per_k[0] if isinstance(topk, int) else per_k
