"""Several crops of every frame, as tests average over them: each crop is one more clip of the sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import Size, crop, flip
from intarsia.data.transforms.image_transform import Drawn
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.transforms.clip_transform import ClipTransform
from intarsia.tasks.action.transforms.crop import CORNERS, offset_at, pair


class SeveralCrops(ClipTransform):
    """Cuts boxes of one size out of frames: all frames of the first box, then all of the second, and so on.

    Sets ``img_shape``, and ``crop_bbox``: ``(left, top, right, bottom)`` of each frame that results. Key points and
    boxes stay as they are: they have no place in several crops.

    Args:
        crop_size: ``(width, height)``, or one number for both.
    """

    mirrors = False
    """Whether each box is followed by its mirror image."""

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        super().__init__()
        self.crop_size = pair('crop_size', crop_size)

    def change(self, results: Results, offsets: Sequence[tuple[int, int]]) -> Results:
        """Cut at every ``(left, top)``.

        Raises:
            DataError: Frames are smaller than the crop.
        """
        width, height = self.crop_size
        rows, columns = results['img_shape'][:2]
        if width > columns or height > rows:
            raise DataError(
                f'{type(self).__name__} cuts out {width} x {height} pixels (width x height), but the frames have only '
                f'{columns} x {rows}; does a Resize precede it?'
            )
        frames, boxes = [], []
        for left, top in offsets:
            part = [crop(img, top, left, height, width) for img in results['imgs']]
            frames += part + [flip(img) for img in part] if self.mirrors else part
            boxes.append((left, top, left + width, top + height))
        results['imgs'] = frames
        results['crop_bbox'] = np.repeat(boxes, len(frames) // len(boxes), axis=0)
        results['img_shape'] = height, width
        return results


@TRANSFORMS.register_module()
class ThreeCrop(SeveralCrops):
    """Cut out three boxes along the longer side of frames: at its start, its end, and in the middle.

    Args:
        crop_size: ``(width, height)``, or one number for both; one of them is that of the frames.
    """

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """``(left, top)`` of each box.

        Raises:
            DataError: Neither side of the crop is that of the frames.
        """
        width, height = self.crop_size
        if height == size[0]:
            step = (size[1] - width) // 2
            return {'offsets': [(0, 0), (2 * step, 0), (step, 0)]}
        if width == size[1]:
            step = (size[0] - height) // 2
            return {'offsets': [(0, 0), (0, 2 * step), (0, step)]}
        raise DataError(
            f'ThreeCrop({self.crop_size}) moves along one side: the other one must be that of the frames, which are '
            f'{size[1]} x {size[0]} (width x height); does Resize(scale=(-1, {min(self.crop_size)})) precede it?'
        )


@TRANSFORMS.register_module()
class TenCrop(SeveralCrops):
    """Cut out the four corners and the middle of frames, and the mirror image of each.

    Args:
        crop_size: ``(width, height)``, or one number for both.
    """

    mirrors = True

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """``(left, top)`` of each box."""
        return {'offsets': [offset_at(place, size, *self.crop_size) for place in CORNERS]}


@TRANSFORMS.register_module()
class MultiGroupCrop(SeveralCrops):
    """Cut out boxes at random places.

    Args:
        crop_size: ``(width, height)``, or one number for both.
        groups: Their number.
    """

    def __init__(self, crop_size: int | Sequence[int], groups: int) -> None:
        super().__init__(crop_size)
        if groups < 1:
            raise ValueError(f'MultiGroupCrop needs a positive number of groups, not {groups}')
        self.groups = groups

    def draw(self, rng: np.random.Generator, size: Size) -> Drawn | None:
        """``(left, top)`` of each box; frames that are too small are found out later."""
        spare = [max(0, size[1] - self.crop_size[0]), max(0, size[0] - self.crop_size[1])]
        places = rng.integers(0, np.array(spare) + 1, (self.groups, 2)).tolist()
        return {'offsets': [(left, top) for left, top in places]}
