"""Hard pixels only.

Shapes: n images, c classes, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import PIXEL_SAMPLERS
from intarsia.tasks.segmentation.decode_head import call_loss


@torch.no_grad()
def uncertain_pixels(
    logit_nchw: Tensor, label_nhw: Tensor, thresh: float, min_kept: int, ignore_index: int | None
) -> Tensor:
    """Which pixels give their own class a low probability.

    Args:
        logit_nchw: Logits.
        label_nhw: Class indices, int64.
        thresh: Pixels with a lower probability are kept.
        min_kept: With fewer of them, so many of the lowest probability are kept (of equal ones all or none).
        ignore_index: Pixels with this label are never kept.

    Returns:
        Bool ``(N, H, W)``. The device is not waited for.
    """
    valid_nhw = torch.ones_like(label_nhw, dtype=torch.bool) if ignore_index is None else label_nhw != ignore_index
    label_nhw = torch.where(valid_nhw, label_nhw, 0)
    prob_nhw = logit_nchw.float().softmax(dim=1).gather(1, label_nhw.unsqueeze(1)).squeeze(1)
    # if less are valid than should be kept, infinity takes the place of the missing ones: then all but the best stay
    reached = smallest(prob_nhw.masked_fill(~valid_nhw, torch.inf), min_kept + 1)
    reached = torch.minimum(reached, prob_nhw.masked_fill(~valid_nhw, -torch.inf).amax())
    return valid_nhw & (prob_nhw < reached.clamp(min=thresh))


def smallest(value: Tensor, k: int) -> Tensor:
    """The k-th smallest value, or the greatest if there are fewer."""
    flat = value.flatten()
    k = min(k, len(flat))
    # on a GPU one long list is sorted faster than searched
    return flat.sort().values[k - 1] if flat.is_cuda else flat.kthvalue(k).values


@PIXEL_SAMPLERS.register_module()
class OHEMPixelSampler:
    """Keeps the pixels that are hardest for the head.

    "Training Region-based Object Detectors with Online Hard Example Mining" (Shrivastava et al., 2016,
    arXiv:1604.03540), of pixels instead of regions.

    Args:
        context: The decode head: its ``ignore_index`` and ``loss_decode``.
        thresh: Pixels count whose class has a lower probability; None takes those of the greatest loss.
        min_kept: So many pixels an image count at least (without ``thresh``: exactly), over the batch.

    Raises:
        ValueError: ``min_kept`` is below 2.
    """

    def __init__(self, context: Any, thresh: float | None = None, min_kept: int = 100000) -> None:
        if min_kept < 2:
            raise ValueError(f'OHEMPixelSampler: min_kept must be at least 2, not {min_kept}')
        self.context = context
        self.thresh = thresh
        self.min_kept = min_kept

    @torch.no_grad()
    def sample(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        """Which pixels count.

        Args:
            seg_logit: Logits ``(N, C, H, W)``.
            seg_label: Class indices ``(N, 1, H, W)``.

        Returns:
            1 or 0, of the type of the logits, ``(N, H, W)``.

        Raises:
            ValueError: No loss of the head is one per pixel.
        """
        label_nhw = seg_label.squeeze(1).long()
        num_kept = self.min_kept * len(label_nhw)
        if self.thresh is not None:
            kept_nhw = uncertain_pixels(seg_logit, label_nhw, self.thresh, num_kept, self.context.ignore_index)
            return kept_nhw.to(seg_logit.dtype)
        valid_nhw = label_nhw != self.context.ignore_index
        loss_nhw = self._losses(seg_logit, label_nhw).masked_fill(~valid_nhw, -torch.inf)
        hardest = loss_nhw.flatten().topk(min(num_kept, loss_nhw.numel()), sorted=False).indices
        weight_nhw = torch.zeros_like(loss_nhw, dtype=seg_logit.dtype)
        weight_nhw.view(-1)[hardest] = 1
        return weight_nhw * valid_nhw

    def _losses(self, logit_nchw: Tensor, label_nhw: Tensor) -> Tensor:
        """The sum of the head's losses at each pixel ``(N, H, W)``; those of whole regions have no part in it."""
        losses = self.context.loss_decode
        found = []
        for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
            value = call_loss(loss, logit_nchw, label_nhw, None, self.context.ignore_index, reduction_override='none')
            value = value.sum(dim=1) if value.shape == logit_nchw.shape else value
            if value.shape == label_nhw.shape:
                found.append(value)
        if not found:
            raise ValueError('OHEMPixelSampler without thresh: the head has no loss per pixel to choose pixels by')
        return torch.stack(found).sum(dim=0)
