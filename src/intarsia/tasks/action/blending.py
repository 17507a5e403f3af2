"""Batch augmentations of clips, under the names of action configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from intarsia.core.registries import BATCH_AUGMENTS
from intarsia.models.batch_augments import BatchAugment, BatchAugments, BatchCutMix, BatchMixup, Mixed


@BATCH_AUGMENTS.register_module()
class MixupBlending(BatchMixup):
    """Average pairs of clips, "mixup" (Zhang et al., 2017, arXiv:1710.09412).

    Args:
        num_classes: C, for labels given as classes.
        alpha: The weight of a clip is drawn from Beta(alpha, alpha).
        prob: How often it is chosen.
    """

    def __init__(self, num_classes: int, alpha: float = 0.2, prob: float = 1.0) -> None:
        super().__init__(alpha, num_classes, prob)


@BATCH_AUGMENTS.register_module()
class CutmixBlending(BatchCutMix):
    """Put a box of another clip into all frames of each clip, "CutMix" (Yun et al., 2019, arXiv:1905.04899).

    Args:
        num_classes: C, for labels given as classes.
        alpha: The share of the clip that stays is drawn from Beta(alpha, alpha).
        prob: How often it is chosen.
    """

    def __init__(self, num_classes: int, alpha: float = 0.2, prob: float = 1.0) -> None:
        super().__init__(alpha, num_classes, prob)


@BATCH_AUGMENTS.register_module()
class RandomBatchAugment(BatchAugment):
    """Choose one of several augmentations for each batch.

    Args:
        augments: Config node of an augmentation, or a list of them.
        probs: How often each is chosen; what is left of 1 leaves clips as they are. None chooses all equally often.

    Raises:
        ValueError: There are more or fewer ``probs`` than augmentations, or they add up to more than 1.
    """

    def __init__(
        self, augments: Mapping[str, Any] | Sequence[Mapping[str, Any]], probs: float | Sequence[float] | None = None
    ) -> None:
        nodes = [augments] if isinstance(augments, Mapping) else list(augments)
        shares = [probs] if isinstance(probs, (int, float)) else probs
        shares = [1 / len(nodes) for _ in nodes] if shares is None else list(shares)
        if len(shares) != len(nodes):
            raise ValueError(f'RandomBatchAugment: {len(nodes)} augments, but probs={probs}')
        chosen = [{**node, 'prob': share} for node, share in zip(nodes, shares, strict=True)]
        self.augments = BatchAugments(chosen, 'action', 'augments')
        super().__init__(self.augments.augments[0].num_classes)

    def mix(self, img_nchw: Tensor, score_nc: Tensor, rng: np.random.Generator) -> Mixed:
        """What the chosen one makes of the batch."""
        return self.augments(img_nchw, score_nc, rng)
