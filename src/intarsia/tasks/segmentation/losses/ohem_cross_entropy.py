"""Cross entropy of the hard pixels.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.weighted import Reduction
from intarsia.tasks.segmentation.losses.segmentation_loss import SegmentationLoss
from intarsia.tasks.segmentation.pixel_samplers.ohem_pixel_sampler import uncertain_pixels


@LOSSES.register_module()
class OhemCrossEntropy(SegmentationLoss):
    """Mean cross entropy of the pixels whose class has a low probability.

    "Training Region-based Object Detectors with Online Hard Example Mining" (Shrivastava et al., 2016,
    arXiv:1604.03540).

    Args:
        ignore_label: Pixels with this label do not count.
        thres: Pixels count whose class has a lower probability.
        min_kept: At least about so many pixels of the batch count, those of the lowest probability.
        loss_weight: Factor of the result.
        class_weight: Factor per class, or a file of them.
        loss_name: What the result is called in the log.
    """

    def __init__(
        self,
        ignore_label: int = 255,
        thres: float = 0.7,
        min_kept: int = 100000,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | str | None = None,
        loss_name: str = 'loss_ohem',
    ) -> None:
        super().__init__('mean', class_weight, loss_weight, loss_name)
        self.ignore_label = ignore_label
        self.thresh = thres
        self.min_kept = max(1, min_kept)

    def compute(
        self,
        pred_nchw: Tensor,
        target_nhw: Tensor,
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: Reduction,
        ignore_index: int | None,
    ) -> Tensor:
        """A scalar; 0 if no pixel counts."""
        loss_nhw = F.cross_entropy(
            pred_nchw, target_nhw, self.class_weight, reduction='none', ignore_index=self.ignore_label
        )
        kept_nhw = uncertain_pixels(pred_nchw, target_nhw, self.thresh, self.min_kept, self.ignore_label)
        return (loss_nhw * kept_nhw).sum() / kept_nhw.sum().clamp(min=1)
