"""How skeletons are kept: rows of joints, frames that are missing, features of several kinds.

Shapes: r rows, one for each person of each frame; m people, t frames, v joints, c coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.skeleton_features import JOINTS, Joints
from intarsia.tasks.action.transforms.skeleton_frame import motion


@TRANSFORMS.register_module()
class DecompressPose(Transform):
    """Rows of joints to people: ``keypoint`` ``(R, V, 3)``, the frame of each row in ``frame_inds``, as in Kinetics.

    Sets ``keypoint`` float16 ``(M, T, V, 2)`` and ``keypoint_score`` float16 ``(M, T, V)``, with zeros where a frame
    has fewer people than another; removes ``frame_inds``. ``anno_inds`` says which rows count, if it is there.

    Args:
        squeeze: Leave out frames without people.
        max_person: Most people of a frame; those with the best scores are kept.
    """

    def __init__(self, squeeze: bool = True, max_person: int = 10) -> None:
        if max_person < 1:
            raise ValueError(f'DecompressPose: max_person={max_person} must be positive')
        self.squeeze, self.max_person = squeeze, max_person

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Sort the rows into people; nothing is drawn.

        Raises:
            DataError: The rows are not in the order of their frames.
        """
        frame_r, joints_rvc = np.asarray(results.pop('frame_inds')), results['keypoint']
        if 'anno_inds' in results:
            frame_r, joints_rvc = frame_r[results['anno_inds']], joints_rvc[results['anno_inds']]
        if (np.diff(frame_r) < 0).any():
            raise DataError('DecompressPose: frame_inds must not decrease')
        if self.squeeze:
            results['total_frames'] = len(np.unique(frame_r))
            frame_r = np.unique(frame_r, return_inverse=True)[1]
        person_r = np.arange(len(frame_r)) - np.searchsorted(frame_r, frame_r)
        shape = (person_r.max() + 1, results['total_frames'], joints_rvc.shape[1])
        joints_mtv2, score_mtv = np.zeros((*shape, 2), np.float16), np.zeros(shape, np.float16)
        joints_mtv2[person_r, frame_r], score_mtv[person_r, frame_r] = joints_rvc[..., :2], joints_rvc[..., 2]
        if len(score_mtv) > self.max_person:
            order_mt = np.argsort(-score_mtv.sum(-1), axis=0, kind='stable')[: self.max_person, :, None]
            score_mtv = np.take_along_axis(score_mtv, order_mt, 0)
            joints_mtv2 = np.take_along_axis(joints_mtv2, order_mt[..., None], 0)
            results['num_person'] = self.max_person
        results.update(keypoint=joints_mtv2, keypoint_score=score_mtv)
        return results


@TRANSFORMS.register_module()
class PadTo(Transform):
    """Lengthen sequences to the same number of frames.

    Args:
        length: That number; ``total_frames`` afterwards.
        mode: ``'loop'`` begins again, ``'zero'`` adds zeros.
    """

    def __init__(self, length: int, mode: Literal['loop', 'zero'] = 'loop') -> None:
        self.length, self.mode = length, require_choice('mode', mode, ('loop', 'zero'))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Lengthen; nothing is drawn.

        Raises:
            DataError: The sequence is longer.
        """
        total = results['total_frames']
        if total > self.length:
            raise DataError(f'PadTo: a sequence of {total} frames is longer than length={self.length}')
        frames = (results.get('start_index', 0) + np.arange(self.length)) % total
        keypoint = results['keypoint'][:, frames]
        if self.mode == 'zero':
            keypoint[:, total:] = 0
        results.update(keypoint=keypoint, total_frames=self.length)
        return results


@TRANSFORMS.register_module()
class ToMotion(Transform):
    """What changes in the next frame; a score is the mean of both.

    Args:
        dataset: Whose joints: ``'nturgb+d'``, ``'openpose'`` or ``'coco'``.
        source: Joints or bones.
        target: Where the motion is put.
    """

    def __init__(self, dataset: Joints = 'nturgb+d', source: str = 'keypoint', target: str = 'motion') -> None:
        self.dataset, self.source, self.target = require_choice('dataset', dataset, JOINTS), source, target

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Take differences; nothing is drawn."""
        results[self.target] = motion(results[self.source], self.dataset)
        return results


@TRANSFORMS.register_module()
class MergeSkeFeat(Transform):
    """Join features, and remove them.

    Args:
        feat_list: Which.
        target: Where they are put.
        axis: Along which they are joined.
    """

    def __init__(self, feat_list: Sequence[str] = ('keypoint',), target: str = 'keypoint', axis: int = -1) -> None:
        self.feat_list, self.target, self.axis = feat_list, target, axis

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Join; nothing is drawn."""
        results[self.target] = np.concatenate([results.pop(name) for name in self.feat_list], axis=self.axis)
        return results
