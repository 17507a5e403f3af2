"""From images to the class of every pixel: whole, by sliding windows, or averaged over several versions.

Shapes: n images or windows, k classes (or one channel), h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from intarsia.nn.pair import Pair, as_pair
from intarsia.nn.resize import resize

Meta = Mapping[str, Any]
"""What the pipeline noted about an image: ``ori_shape``, ``img_shape`` before padding, ``flip``, ``flip_direction``."""

FLIPPED_AXES = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


class Inference:
    """How a segmentor predicts.

    Args:
        mode: ``'whole'`` sends images through as they are; ``'slide'`` cuts them into overlapping windows and averages
            the logits where these overlap.
        crop_size: Height and width of a window, or one number for both.
        stride: Distance of windows, down and to the right, or one number for both.
        windows_per_batch: How many windows go through the network at once.

    Raises:
        ValueError: ``'slide'`` without the size and stride of its windows, or a stride larger than the windows.
    """

    def __init__(
        self,
        mode: Literal['whole', 'slide'] = 'whole',
        crop_size: Pair | None = None,
        stride: Pair | None = None,
        windows_per_batch: int = 4,
    ) -> None:
        if mode not in ('whole', 'slide'):
            raise ValueError(f"test_cfg.mode is 'whole' or 'slide', not {mode!r}")
        if mode == 'slide' and (crop_size is None or stride is None):
            raise ValueError("test_cfg with mode='slide' needs crop_size=(h, w) and stride=(h, w)")
        self.mode = mode
        self.crop_size = as_pair(0 if crop_size is None else crop_size)
        self.stride = as_pair(0 if stride is None else stride)
        self.windows_per_batch = windows_per_batch
        if mode == 'slide' and any(step > size for step, size in zip(self.stride, self.crop_size, strict=True)):
            raise ValueError(f'test_cfg: windows of {self.crop_size} every {self.stride} pixels leave gaps')

    def logits(self, model: Any, img_nchw: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` at the size of the images.

        Args:
            model: Images to logits of their size.
            img_nchw: Normalized images.
        """
        return model(img_nchw) if self.mode == 'whole' else self._slide(model, img_nchw)

    def _slide(self, model: Any, img_nchw: Tensor) -> Tensor:
        num_images, _, height, width = img_nchw.shape
        windows = list(self.windows(height, width))
        counts_hw = img_nchw.new_zeros(height, width)
        sum_nkhw = img_nchw.new_zeros(())
        at_once = max(self.windows_per_batch // num_images, 1)
        for start in range(0, len(windows), at_once):
            places = windows[start : start + at_once]
            crops = torch.cat([img_nchw[:, :, rows, columns] for rows, columns in places])
            logits = model(crops).float()
            if sum_nkhw.ndim == 0:
                sum_nkhw = logits.new_zeros(num_images, logits.shape[1], height, width)
            for (rows, columns), logits_nkhw in zip(places, logits.split(num_images), strict=True):
                sum_nkhw[:, :, rows, columns] += logits_nkhw
                counts_hw[rows, columns] += 1
        return sum_nkhw.div_(counts_hw)

    def windows(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of every window; the last ones are moved back to end with the image."""
        for top in _starts(height, self.crop_size[0], self.stride[0]):
            for left in _starts(width, self.crop_size[1], self.stride[1]):
                yield (
                    slice(top, min(top + self.crop_size[0], height)),
                    slice(left, min(left + self.crop_size[1], width)),
                )

    def logits_at_original_size(
        self, model: Any, img_nchw: Tensor, metas: Sequence[Meta] | None = None
    ) -> list[Tensor]:
        """Logits ``(K, H, W)`` of every image: without its padding, turned back, at its original size.

        Args:
            model: Images to logits of their size.
            img_nchw: Normalized images.
            metas: One of each image; without them the logits keep the size of the batch.
        """
        logits_nkhw = self.logits(model, img_nchw)
        if metas is None:
            return list(logits_nkhw)
        align_corners = model.last_head.align_corners
        return [_restore(each, meta, align_corners) for each, meta in zip(logits_nkhw, metas, strict=True)]

    def mean_probabilities(
        self, model: Any, versions: Sequence[Tensor], metas: Sequence[Sequence[Meta]]
    ) -> list[Tensor]:
        """Mean probabilities ``(K, H, W)`` of every image over its versions, each brought to the original size.

        Args:
            model: Images to logits of their size.
            versions: One batch ``(N, C, h, w)`` for each version.
            metas: For each version, one of each image.
        """
        totals: list[Tensor] = []
        for img_nchw, version_metas in zip(versions, metas, strict=True):
            logits = self.logits_at_original_size(model, img_nchw, version_metas)
            probabilities = [probabilities_of(each) for each in logits]
            totals = [t.add_(p) for t, p in zip(totals, probabilities, strict=True)] if totals else probabilities
        return [total / len(versions) for total in totals]

    def decide(self, score_khw: Tensor, threshold: float, are_probabilities: bool) -> Tensor:
        """The class of every pixel ``(H, W)``: uint8, or int32 with more than 256 classes."""
        if len(score_khw) == 1:
            foreground_hw = score_khw[0] if are_probabilities else score_khw[0].sigmoid()
            return (foreground_hw > threshold).to(torch.uint8)
        return score_khw.argmax(0).to(torch.uint8 if len(score_khw) <= 256 else torch.int32)


def probabilities_of(logits_khw: Tensor) -> Tensor:
    """Softmax over the classes; the sigmoid of a single channel."""
    return logits_khw.sigmoid() if len(logits_khw) == 1 else logits_khw.softmax(0)


def _starts(length: int, window: int, stride: int) -> list[int]:
    count = max(length - window + stride - 1, 0) // stride + 1
    return [max(min(i * stride + window, length) - window, 0) for i in range(count)]


def _restore(logits_khw: Tensor, meta: Meta, align_corners: bool) -> Tensor:
    height, width = meta['img_shape'][:2]
    inner = logits_khw[None, :, :height, :width]
    size = tuple(meta['ori_shape'][:2])
    restored = resize(inner, size=size, mode='bilinear', align_corners=align_corners)[0]
    return restored.flip(FLIPPED_AXES[meta['flip_direction']]) if meta.get('flip') else restored
