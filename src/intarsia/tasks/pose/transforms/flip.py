"""Mirror images: left becomes right, in the names of joints too.

Shapes: k joints, p people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.geometry import flip
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results, Transform


def partners(flip_pairs: Sequence[Sequence[int]], count: int) -> Array:
    """For each of ``count`` joints, which one it becomes in a mirror image."""
    index = np.arange(count)
    for left, right in flip_pairs:
        index[left], index[right] = right, left
    return index


class RandomMirror(Transform):
    """What mirrors a sample now and then.

    Args:
        flip_prob: Probability of doing so.
    """

    def __init__(self, flip_prob: float = 0.5) -> None:
        self.flip_prob = flip_prob

    def draw(self, rng: np.random.Generator) -> bool:
        """Whether to mirror."""
        return bool(rng.random() < self.flip_prob)


@TRANSFORMS.register_module()
class TopDownRandomFlip(RandomMirror):
    """Mirror image, joints and ``center``; sets ``flipped``. Joints that nobody has marked become 0.

    Args:
        flip_prob: Probability of doing so.
    """

    def apply(self, results: Results) -> Results:
        """Mirror."""
        width = results['img'].shape[1]
        joints, visible = results['joints_3d'], results['joints_3d_visible']
        index = partners(results['ann_info']['flip_pairs'], len(joints))
        visible = visible[index]
        joints = joints[index]
        joints[:, 0] = width - 1 - joints[:, 0]
        center = np.array(results['center'])
        center[0] = width - 1 - center[0]
        img = flip(results['img'])
        results.update(img=img, joints_3d=joints * (visible > 0), joints_3d_visible=visible, center=center)
        return results

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and mirror."""
        results['flipped'] = self.draw(rng)
        return self.apply(results) if results['flipped'] else results


@TRANSFORMS.register_module()
class HandRandomFlip(TopDownRandomFlip):
    """Mirror two hands: ``hand_type`` (right, left) is swapped, and ``rel_root_depth`` changes its sign.

    Args:
        flip_prob: Probability of doing so.
    """

    def apply(self, results: Results) -> Results:
        """Mirror."""
        super().apply(results)
        results['hand_type'] = results['hand_type'][::-1].copy()
        results['rel_root_depth'] = -results['rel_root_depth']
        return results


@TRANSFORMS.register_module()
class BottomUpRandomFlip(RandomMirror):
    """Mirror image, masks, and the joints (and boxes) of all people, after they have been brought to their scales.

    Args:
        flip_prob: Probability of doing so.
    """

    def apply(self, results: Results) -> Results:
        """Mirror."""
        info: dict[str, Any] = results['ann_info']
        widths = [np.ravel(size)[0] for size in info['heatmap_size']]
        joints = [each_pk[:, info['flip_index']] for each_pk in results['joints']]
        for each_pk, width in zip(joints, widths, strict=True):
            each_pk[..., 0] = width - 1 - each_pk[..., 0]
        results['img'] = flip(results['img'])
        results['mask'] = [np.ascontiguousarray(mask[:, ::-1]) for mask in results['mask']]
        results['joints'] = joints
        if 'bboxes' in results:
            corners = results['bboxes'][:, [1, 0, 3, 2]]
            corners[..., 0] = widths[0] - 1 - corners[..., 0]
            results['bboxes'] = corners
        return results

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and mirror."""
        return self.apply(results) if self.draw(rng) else results
