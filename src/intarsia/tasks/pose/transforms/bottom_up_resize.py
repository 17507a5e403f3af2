"""Whole images, with all people in them, to the size of the network's input: testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Compose, Results, Transform
from intarsia.tasks.pose.transforms.affine import crop, crop_matrix, udp_matrix
from intarsia.tasks.pose.transforms.bottom_up_affine import pair
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD


def input_for(img: Array, image_size: Any, scale: float, least: float, base: int, use_udp: bool) -> Any:
    """Size of the input for an image at a scale, and centre and size of what it shows.

    The shorter side is that of ``image_size`` times the scale, the longer one follows; at the least scale both are
    multiples of ``base``.
    """
    height, width = img.shape[:2]
    edge, unit = (1.0, 1.0) if use_udp else (0.0, PIXEL_STD)
    is_tall = width < height
    short, long = (width, height) if is_tall else (height, width)
    short_least = _ceil(least * pair(image_size)[0 if is_tall else 1], base)
    short_size = int(short_least * scale / least)
    long_size = int(_ceil(short_least / short * long, base) * scale / least)
    ratio = (long_size - edge) / (short_size - edge)
    sides = ((short - edge) / unit, ratio * (short - edge) / unit)
    shown = np.array(sides if is_tall else sides[::-1])
    center = shown / 2 if use_udp else np.array([round(width / 2), round(height / 2)])
    return ((short_size, long_size) if is_tall else (long_size, short_size)), center, shown


def _ceil(length: float, base: int) -> int:
    return int(np.ceil(length / base)) * base


@TRANSFORMS.register_module()
class BottomUpGetImgSize(Transform):
    """Note in ``ann_info`` how the image is shown to the network.

    Adds ``test_scale_factor``; ``base_size``, width and height of the input at ``current_scale``; ``center`` and
    ``scale`` of what it shows (the latter over 200, or in gaps between pixels with ``use_udp``).

    Args:
        test_scale_factor: Scales at which the network sees the image.
        current_scale: The one that heat maps are brought to.
        base_length: Sides at the least scale are multiples of it.
        use_udp: Count sizes in gaps between pixels.
    """

    def __init__(
        self,
        test_scale_factor: Sequence[float],
        current_scale: float = 1,
        base_length: int = 64,
        use_udp: bool = False,
    ) -> None:
        self.test_scale_factor = test_scale_factor
        self.current_scale = current_scale
        self.base_length = base_length
        self.use_udp = use_udp

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Note; nothing is drawn."""
        info = results['ann_info']
        least = min(self.test_scale_factor)
        size, center, scale = input_for(
            results['img'], info['image_size'], self.current_scale, least, self.base_length, self.use_udp
        )
        noted = {'test_scale_factor': self.test_scale_factor, 'base_size': size, 'center': center, 'scale': scale}
        results['ann_info'] = {**info, **noted}
        return results


@TRANSFORMS.register_module()
class BottomUpResizeAlign(Transform):
    """Bring the image to each of ``test_scale_factor``, and note the list in ``ann_info['aug_data']``.

    Its entries are ``(1, C, H, W)``, the largest first.

    Args:
        transforms: What makes a tensor of each: ``ToTensor`` and ``NormalizeTensor``.
        base_length: Sides at the least scale are multiples of it.
        use_udp: Count sizes in gaps between pixels.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]], base_length: int = 64, use_udp: bool = False) -> None:
        self.transforms = Compose(transforms, 'pose')
        self.base_length = base_length
        self.use_udp = use_udp

    def resized(self, img: Array, image_size: Any, scale: float, least: float) -> Array:
        """The image at a scale."""
        size, center, shown = input_for(img, image_size, scale, least, self.base_length, self.use_udp)
        if not self.use_udp:
            return crop(img, crop_matrix(center, shown, 0, size), size)
        _, center, shown = input_for(img, image_size, least, least, self.base_length, True)
        return crop(img, udp_matrix(center, shown, 0, size), size)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Resize; nothing is drawn."""
        info = results['ann_info']
        scales = sorted(info['test_scale_factor'], reverse=True)
        views = []
        for scale in scales:
            img = self.resized(results['img'], info['image_size'], scale, scales[-1])
            view = self.transforms({**results, 'img': img}, rng) or {}
            views.append(view['img'][None])
        results['ann_info'] = {**info, 'aug_data': views}
        return results
