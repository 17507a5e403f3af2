"""Batch augmentations of clips, under the names of action configs."""

from __future__ import annotations

from intarsia.core.registries import BATCH_AUGMENTS
from intarsia.models.batch_augments import BatchCutMix, BatchMixup


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
