"""Steps of samples that have frames and skeletons.

Shapes: m people, t frames, v joints, c coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.video import VideoReader
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.transforms.decoding import USUAL_SUFFIX, Disk, fastest_backend, take_frames
from intarsia.tasks.action.transforms.pose_target import PoseCompact
from intarsia.tasks.action.transforms.skeleton_sampling import UniformSampleFrames

MODALITIES = ('RGB', 'Pose')


@TRANSFORMS.register_module()
class MMUniformSampleFrames(Transform):
    """As :class:`~intarsia.tasks.action.transforms.skeleton_sampling.UniformSampleFrames`, for each modality.

    Sets ``RGB_inds`` and ``Pose_inds``, int64, and ``modality``, the list of those there are.

    Args:
        clip_len: Frames of a clip, for each modality, ``dict(RGB=8, Pose=32)``.
        num_clips: Clips of a sample.
        test_mode: Draw the same frames of a sample each time.
        seed: What they are drawn with.
    """

    def __init__(
        self, clip_len: Mapping[str, int], num_clips: int = 1, test_mode: bool = False, seed: int = 255
    ) -> None:
        for modality in clip_len:
            require_choice('clip_len', modality, MODALITIES)
        self.clip_len, self.num_clips = dict(clip_len), num_clips
        self.samplers = {
            modality: UniformSampleFrames(length, num_clips, test_mode, seed) for modality, length in clip_len.items()
        }

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Choose frames."""
        for modality, sampler in self.samplers.items():
            results[f'{modality}_inds'] = sampler({'total_frames': results['total_frames']}, rng)['frame_inds']
        results.update(clip_len=self.clip_len, frame_interval=None, num_clips=self.num_clips)
        if not isinstance(results.get('modality'), list):
            results['modality'] = list(self.clip_len)
        return results


@TRANSFORMS.register_module()
class MMDecode(Transform):
    """Decode the chosen frames of the video, and keep the chosen ones of the skeletons.

    The video is ``filename``, or else what ``frame_dir`` is called with ``.mp4``. Joints become those of its pixels,
    if the sample says another ``img_shape``.

    Args:
        io_backend: ``'disk'``.
        num_threads: Threads that decode one video; 0 leaves it to the library.
    """

    def __init__(self, io_backend: Disk = 'disk', num_threads: int = 1) -> None:
        require_choice('io_backend', io_backend, ('disk', 'local'))
        self.num_threads = num_threads

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Decode; nothing is drawn.

        Raises:
            BrokenFileError: The video is missing, or none.
            DataError: There are no joints.
        """
        said = tuple(results.get('img_shape', ()))
        for modality in results['modality']:
            numbers = np.reshape(results[f'{modality}_inds'], -1)
            if require_choice('modality', modality, MODALITIES) == 'RGB':
                results.setdefault('filename', f'{results.get("frame_dir")}{USUAL_SUFFIX}')
                reader = VideoReader(Path(results['filename']), fastest_backend(), 'rgb', self.num_threads)
                take_frames(results, reader.frames_at(numbers))
            else:
                _keep_joints(results, numbers)
        if 'imgs' in results and 'keypoint' in results and said and said != results['img_shape']:
            height, width = results['img_shape']
            joints_mtvc = results['keypoint'].astype(np.float32)
            joints_mtvc[..., :2] *= np.array([width / said[1], height / said[0]], np.float32)
            results['keypoint'] = joints_mtvc
        return results


def _keep_joints(results: Results, numbers: np.ndarray) -> None:
    if 'keypoint' not in results:
        raise DataError('a sample of skeletons has no keypoint')
    joints_mtvc = results['keypoint']
    score_mtv = results.get('keypoint_score', np.ones(joints_mtvc.shape[:-1], np.float32))
    results['keypoint'] = joints_mtvc[:, numbers].astype(np.float32)
    results['keypoint_score'] = score_mtv[:, numbers].astype(np.float32)


@TRANSFORMS.register_module()
class MMCompact(PoseCompact):
    """Cut the part that the skeletons move in out of the frames as well; what lies beyond the image is 0.

    Args:
        padding: By how much the part is larger than the skeletons.
        threshold: Smaller parts are not cut out, in pixels.
        hw_ratio: Least height in units of the width, and least width in units of the height; one number, or both.
        allow_imgpad: Whether the part may reach beyond the image.
    """

    def __init__(
        self,
        padding: float = 0.25,
        threshold: int = 10,
        hw_ratio: float | Sequence[float] | None = 1.0,
        allow_imgpad: bool = True,
    ) -> None:
        super().__init__(padding, threshold, hw_ratio, allow_imgpad)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Cut out; nothing is drawn."""
        joints = np.nan_to_num(results['keypoint'], nan=0.0)
        box = self.box(joints[..., 0], joints[..., 1], results['img_shape'])
        if box is not None:
            results['imgs'] = [_cut(img, *box) for img in results['imgs']]
        return super().__call__(results, rng)


def _cut(img: Array, left: int, top: int, right: int, bottom: int) -> Array:
    """A part of an image, with zeros beyond it."""
    height, width = img.shape[:2]
    inner = img[max(top, 0) : bottom, max(left, 0) : right]
    if min(left, top) >= 0 and right <= width and bottom <= height:
        return inner
    rows, columns = (max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0))
    return np.pad(inner, (rows, columns, (0, 0)))
