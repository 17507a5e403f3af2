"""What networks of skeletons get of joints.

Shapes: m people, t frames, v joints, c coordinates (x, y, and perhaps z or a score).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.skeleton_frame import bones, motion

Joints = Literal['nturgb+d', 'openpose', 'openpose-18', 'coco']
JOINTS = ('nturgb+d', 'openpose', 'openpose-18', 'coco')


@TRANSFORMS.register_module()
class PoseNormalize(Transform):
    """Shift and scale ``keypoint`` ``(C, T, V, M)``.

    Args:
        mean: Becomes 0, for each coordinate.
        min_value: Of the range that is scaled to 1.
        max_value: Of that range.
    """

    def __init__(
        self,
        mean: Sequence[float] = (960.0, 540.0, 0.5),
        min_value: Sequence[float] = (0.0, 0.0, 0.0),
        max_value: Sequence[float] = (1920, 1080, 1.0),
    ) -> None:
        self.mean, low, high = (np.array(v, np.float32).reshape(-1, 1, 1, 1) for v in (mean, min_value, max_value))
        self.range = high - low

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Normalize; nothing is drawn."""
        results['keypoint'] = (results['keypoint'] - self.mean) / self.range
        return results


@TRANSFORMS.register_module()
class PreNormalize2D(Transform):
    """Pixels to -1 ... 1 across the image.

    Args:
        img_shape: Height and width, where the sample does not tell.
    """

    def __init__(self, img_shape: Sequence[int] = (1080, 1920)) -> None:
        self.img_shape = img_shape

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Normalize; nothing is drawn."""
        height, width = results.get('img_shape', self.img_shape)
        middle = np.array([width / 2, height / 2])
        keypoint_mtvc = results['keypoint'].copy()
        keypoint_mtvc[..., :2] = (keypoint_mtvc[..., :2] - middle) / middle
        results['keypoint'] = keypoint_mtvc
        return results


@TRANSFORMS.register_module()
class JointToBone(Transform):
    """Bones instead of joints: the difference to the joint nearer the centre; a score is the mean of both.

    Args:
        dataset: Whose joints: ``'nturgb+d'``, ``'openpose'`` or ``'coco'``.
        target: Where they are put.
    """

    def __init__(self, dataset: Joints = 'nturgb+d', target: str = 'keypoint') -> None:
        self.dataset, self.target = require_choice('dataset', dataset, JOINTS), target

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Take differences; nothing is drawn."""
        results[self.target] = bones(results['keypoint'], self.dataset)
        return results


@TRANSFORMS.register_module()
class GenSkeFeat(Transform):
    """Joints, bones and their motion, joined.

    "PYSKL: Towards Good Practices for Skeleton Action Recognition" (Duan et al., 2022, arXiv:2205.09443).

    Args:
        dataset: Whose joints: ``'nturgb+d'``, ``'openpose'`` or ``'coco'``.
        feats: ``'j'`` joints, ``'b'`` bones, ``'jm'`` and ``'bm'`` what changes in the next frame.
        axis: Along which they are joined.

    Raises:
        ValueError: Another feature is asked for.
    """

    def __init__(self, dataset: Joints = 'nturgb+d', feats: Sequence[str] = ('j',), axis: int = -1) -> None:
        self.dataset, self.axis = require_choice('dataset', dataset, JOINTS), axis
        self.feats = [require_choice('feats', feat, ('j', 'b', 'jm', 'bm')) for feat in feats]

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Make the features; nothing is drawn."""
        joints_mtvc = results['keypoint']
        if 'keypoint_score' in results:
            joints_mtvc = np.concatenate([joints_mtvc, results.pop('keypoint_score')[..., None]], axis=-1)
        found = [joints_mtvc if feat[0] == 'j' else bones(joints_mtvc, self.dataset) for feat in self.feats]
        moving = [motion(f, self.dataset) if feat[1:] else f for f, feat in zip(found, self.feats, strict=True)]
        results['keypoint'] = np.concatenate(moving, axis=self.axis)
        return results


@TRANSFORMS.register_module()
class FormatGCNInput(Transform):
    """The same number of people in all samples, in the order of axes that the network wants.

    Args:
        input_format: ``'NCTVM'``, coordinates first and people last, for :class:`SkeletonGCN`; ``'NMTVC'``, clips
            first, then people, and coordinates last, for :class:`RecognizerGCN`.
        num_person: M. People who are missing are zeros; those beyond are left out.
        mode: ``'loop'`` repeats the one person of a sample instead.
    """

    def __init__(
        self,
        input_format: Literal['NMTVC', 'NCTVM'] = 'NMTVC',
        num_person: int = 2,
        mode: Literal['zero', 'loop'] = 'zero',
    ) -> None:
        self.input_format = require_choice('input_format', input_format, ('NMTVC', 'NCTVM'))
        self.mode = require_choice('mode', mode, ('zero', 'loop'))
        self.num_person = num_person

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Format ``keypoint``, with ``keypoint_score`` as a further coordinate; nothing is drawn."""
        keypoint_mtvc = results['keypoint']
        if 'keypoint_score' in results:
            keypoint_mtvc = np.concatenate([keypoint_mtvc, results['keypoint_score'][..., None]], axis=-1)
        people, *rest = keypoint_mtvc.shape
        if people < self.num_person:
            if self.mode == 'loop' and people == 1:
                keypoint_mtvc = np.repeat(keypoint_mtvc, self.num_person, axis=0)
            else:
                missing = np.zeros((self.num_person - people, *rest), keypoint_mtvc.dtype)
                keypoint_mtvc = np.concatenate([keypoint_mtvc, missing])
        keypoint_mtvc = keypoint_mtvc[: self.num_person]
        if self.input_format == 'NCTVM':
            results['keypoint'] = np.ascontiguousarray(keypoint_mtvc.transpose(3, 1, 2, 0))
        else:
            clips = results.get('num_clips', 1)
            by_clip = keypoint_mtvc.reshape(self.num_person, clips, -1, *rest[1:])
            results['keypoint'] = np.ascontiguousarray(by_clip.swapaxes(0, 1))
        results['input_shape'] = results['keypoint'].shape
        return results
