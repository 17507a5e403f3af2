"""The last steps of segmentation pipelines."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.collect import CollectKeys
from intarsia.data.transforms.formatting import to_tensor
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class DefaultFormatBundle(Transform):
    """Make tensors of the image, ``(C, H, W)``, and of masks, ``(1, H, W)``, as far as they are there.

    Masks are ``gt_semantic_seg`` and ``gt_edge_map``. All keep their dtype: labels are uint8 until they are on the
    device, where the model widens them.
    """

    keeps_pixels = True

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Convert; nothing is drawn."""
        if 'img' in results:
            results['img'] = to_tensor(_planes(results['img']))
        for field in ('gt_semantic_seg', 'gt_edge_map'):
            if field in results:
                results[field] = to_tensor(results[field][None])
        return results


@TRANSFORMS.register_module()
class Collect(CollectKeys):
    """See :class:`intarsia.data.transforms.collect.CollectKeys`."""

    META_KEYS = (
        'filename',
        'ori_filename',
        'ori_shape',
        'img_shape',
        'pad_shape',
        'scale_factor',
        'flip',
        'flip_direction',
        'img_norm_cfg',
    )


def _planes(img: Array | torch.Tensor) -> Array | torch.Tensor:
    """``(H, W[, C])`` as contiguous ``(C, H, W)``; an image that is laid out by channels is not copied."""
    if isinstance(img, torch.Tensor):
        return img
    if img.ndim == 2:
        return img[None]
    planes_chw = img.transpose(2, 0, 1)
    if planes_chw.flags.c_contiguous:
        return planes_chw
    out_chw = np.empty(planes_chw.shape, img.dtype)
    cv2.split(img, list(out_chw))
    return out_chw
