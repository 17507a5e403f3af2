"""Whole images, with all people in them, in the words of the newer toolbox.

The sample is that of :class:`~intarsia.tasks.pose.datasets.bottom_up.BottomUpCocoDataset`, with one size of heat maps:
``joints`` is a list of one, in pixels of the image, and so is ``mask``.

Shapes: p people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.affine import warp
from intarsia.data.transforms.image_transform import Array, Drawn, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.transforms.affine import crop_matrix, move, udp_matrix
from intarsia.tasks.pose.transforms.bottom_up_affine import BottomUpRandomAffine
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD, cut_normal
from intarsia.tasks.pose.transforms.flip import RandomMirror

Size = tuple[int, int]


def warped(img: Array, matrix: Array, size: Size, pad_val: Sequence[float] = (0, 0, 0)) -> Array:
    """Pixels moved into a frame of width and height ``size``."""
    return warp(img, matrix, pad_val, 'bilinear', size[::-1])


@TRANSFORMS.register_module()
class BottomupRandomAffine(Transform):
    """Scale, turn and shift image, mask, joints and boxes to the size of the input.

    Args:
        input_size: Width and height of the input.
        shift_factor: Greatest shift, as a part of the image's sides.
        shift_prob: Probability of a shift.
        scale_factor: Least and greatest factor of the part of the image that is shown.
        scale_prob: Probability of a factor.
        scale_type: Which side of the image fits the input: ``'long'`` shows all of it, ``'short'`` fills the frame.
        rotate_factor: Greatest angle in degrees.
        rotate_prob: Probability of turning.
        use_udp: Means nothing, as it never did: ``transform_mode`` says it.
        pad_val: What comes from outside.
        distribution: Whether what is drawn is normal, cut at the standard deviation, or ``'uniform'``.
        transform_mode: ``'affine_udp'`` counts sizes in gaps between pixels.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        shift_factor: float = 0.2,
        shift_prob: float = 1.0,
        scale_factor: Sequence[float] = (0.75, 1.5),
        scale_prob: float = 1.0,
        scale_type: Literal['short', 'long'] = 'short',
        rotate_factor: float = 30.0,
        rotate_prob: float = 1.0,
        use_udp: bool = False,
        pad_val: float | Sequence[float] = 0,
        distribution: Literal['trunc_norm', 'uniform'] = 'trunc_norm',
        transform_mode: Literal['affine', 'affine_udp'] = 'affine',
    ) -> None:
        self.input_size: Size = (int(input_size[0]), int(input_size[1]))
        self.shift_factor, self.shift_prob = shift_factor, shift_prob
        self.scale_factor, self.scale_prob = (scale_factor[0], scale_factor[1]), scale_prob
        self.rotate_factor, self.rotate_prob = rotate_factor, rotate_prob
        self.pad_val = (pad_val,) * 3 if isinstance(pad_val, (int, float)) else tuple(pad_val)
        self.distribution = require_choice('distribution', distribution, ('trunc_norm', 'uniform'))
        self.use_udp = require_choice('transform_mode', transform_mode, ('affine', 'affine_udp')) == 'affine_udp'
        self._fit = BottomUpRandomAffine(rotate_factor, self.scale_factor, scale_type, 0, self.use_udp)

    def _numbers(self, rng: np.random.Generator, count: int) -> list[float]:
        return cut_normal(rng, count) if self.distribution == 'trunc_norm' else rng.uniform(-1, 1, count).tolist()

    def draw(self, rng: np.random.Generator) -> Drawn:
        """``shift`` in x and y as parts of the sides, ``scale``, and ``rotation`` in degrees."""
        shift, scale, rotation = [0.0, 0.0], 1.0, 0.0
        if rng.random() < self.shift_prob:
            shift = [each * self.shift_factor for each in self._numbers(rng, 2)]
        if rng.random() < self.scale_prob:
            low, high = self.scale_factor
            scale = low + (high - low) * (self._numbers(rng, 1)[0] + 1) / 2
        if rng.random() < self.rotate_prob:
            rotation = self._numbers(rng, 1)[0] * self.rotate_factor
        return {'shift': shift, 'scale': scale, 'rotation': rotation}

    def apply(self, results: Results, shift: Sequence[float], scale: float, rotation: float) -> Results:
        """Transform image, mask, joints and boxes."""
        height, width = results['img'].shape[:2]
        sides, edge = np.array([width, height], np.float32), 1 if self.use_udp else 0
        center, part = (sides - edge) / 2 + np.array(shift) * sides, self._fit.part(sides * scale, self.input_size)
        if self.use_udp:
            matrix = udp_matrix(center, part, rotation, self.input_size)
        else:
            matrix = crop_matrix(center, part / PIXEL_STD, rotation, self.input_size)
        results['img'] = warped(results['img'], matrix, self.input_size, self.pad_val)
        joints = results['joints'][0].copy()
        joints[..., :2] = move(joints[..., :2], matrix)
        results['joints'] = [joints]
        results['mask'] = [warped(results['mask'][0].astype(np.float32), matrix, self.input_size)]
        if 'bboxes' in results:
            results['bboxes'] = move(results['bboxes'], matrix)
        return results

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and transform."""
        return self.apply(results, **self.draw(rng))


@TRANSFORMS.register_module()
class BottomupRandomFlip(RandomMirror):
    """Mirror image, mask, joints and boxes, which are all in pixels of the input.

    Args:
        flip_prob: Probability of doing so.
    """

    def apply(self, results: Results) -> Results:
        """Mirror."""
        last = results['img'].shape[1] - 1
        joints = results['joints'][0][:, results['ann_info']['flip_index']]
        joints[..., 0] = last - joints[..., 0]
        results['img'] = np.ascontiguousarray(results['img'][:, ::-1])
        results['joints'], results['mask'] = [joints], [np.ascontiguousarray(results['mask'][0][:, ::-1])]
        if 'bboxes' in results:
            corners = results['bboxes'][:, [1, 0, 3, 2]]
            corners[..., 0] = last - corners[..., 0]
            results['bboxes'] = corners
        return results

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and mirror."""
        return self.apply(results) if self.draw(rng) else results


@TRANSFORMS.register_module()
class BottomupGetHeatmapMask(Transform):
    """Add ``heatmap_mask``, float32 ``(h, w)``: 0 on crowds and on people whose joints nobody has marked.

    Args:
        get_invalid: Make it 1 there, and 0 elsewhere.
    """

    keeps_pixels = True

    def __init__(self, get_invalid: bool = False) -> None:
        self.get_invalid = get_invalid

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Bring the mask to the size of heat maps; nothing is drawn.

        Raises:
            DataError: The sample has no codec.
        """
        if results.get('codec') is None:
            raise DataError('BottomupGetHeatmapMask needs the codec of the model: give the model a codec')
        mask = results['mask'][0].astype(np.float32)
        mask = 1 - mask if self.get_invalid else mask
        resized = cv2.resize(mask, results['codec'].heatmap_size, interpolation=cv2.INTER_LINEAR)
        results['heatmap_mask'] = (resized > 0.5).astype(np.float32)
        return results


@TRANSFORMS.register_module()
class BottomupResize(Transform):
    """Bring the image to the size of the input; testing.

    Adds ``input_center`` and ``input_scale``, the middle and the size of what the input shows, in pixels of the image.

    Args:
        input_size: Width and height of the input.
        size_factor: Sides of the input are multiples of it.
        resize_mode: ``'fit'`` shows all of the image in the input; ``'expand'`` fills it, and makes it longer.
        pad_val: What comes from outside.
        use_udp: Count sizes in gaps between pixels.

    Raises:
        ValueError: An input that is to be fitted has other sides than multiples of ``size_factor``.
    """

    def __init__(
        self,
        input_size: Sequence[int],
        size_factor: int = 32,
        resize_mode: Literal['fit', 'expand'] = 'fit',
        pad_val: Sequence[float] = (0, 0, 0),
        use_udp: bool = False,
    ) -> None:
        self.input_size: Size = (int(input_size[0]), int(input_size[1]))
        self.size_factor, self.pad_val, self.use_udp = size_factor, tuple(pad_val), use_udp
        self.resize_mode = require_choice('resize_mode', resize_mode, ('fit', 'expand'))
        if self.resize_mode == 'fit' and self._multiples(self.input_size) != self.input_size:
            raise ValueError(f"resize_mode='fit' wants multiples of {size_factor}, not input_size={self.input_size}")

    def _multiples(self, size: Sequence[float]) -> Size:
        width, height = (int(np.ceil(side / self.size_factor) * self.size_factor) for side in size)
        return width, height

    def sizes_for(self, width: int, height: int) -> tuple[tuple[float, float], Size]:
        """Width and height of an image in the input, and those of the input."""
        across, down = self._multiples(self.input_size)
        ratio, better = width / height, min if self.resize_mode == 'fit' else max
        size = better(across, down * ratio), better(down, across / ratio)
        return size, (across, down) if self.resize_mode == 'fit' else self._multiples(size)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Resize; nothing is drawn."""
        height, width = results['img'].shape[:2]
        (across, down), size = self.sizes_for(width, height)
        edge = 1 if self.use_udp else 0
        center = np.array([(width - edge) / 2, (height - edge) / 2], np.float32)
        if self.use_udp:
            scale = np.array([width, height], np.float32)
            matrix = udp_matrix(center, scale, 0, (across, down))
        else:
            scale = np.array([width * size[0] / across, height * size[1] / down], np.float32)
            matrix = crop_matrix(center, scale / PIXEL_STD, 0, size)
        img = warped(results['img'], matrix, size, self.pad_val)
        results.update(img=img, input_center=center, input_scale=scale)
        return results
