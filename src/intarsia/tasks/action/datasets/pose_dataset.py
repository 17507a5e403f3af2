"""Skeletons in motion, each with its class.

Shapes: m people, t frames, v joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.data.dataset import BaseDataset, read_class_names
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.datasets.skeleton_file import read_npz, read_pickle

NEEDED = ('label', 'total_frames')
"""Of every sample."""


@DATASETS.register_module()
class PoseDataset(BaseDataset):
    """Skeletons of NTU RGB+D, Kinetics, UCF101, HMDB51 and others, as files of joints.

    A ``.pkl`` holds a list of dicts, or a dict of such ``annotations`` and the names in each ``split``: ``frame_dir``
    or ``filename``, ``label``, ``total_frames``, ``keypoint`` ``(M, T, V, C)``, ``keypoint_score`` ``(M, T, V)``,
    ``img_shape``. It is read without running what is in it. For an ``.npz`` see
    :func:`~intarsia.tasks.action.datasets.skeleton_file.read_npz`.

    Args:
        ann_file: The file.
        pipeline: Transform nodes or callables.
        split: Which part of it.
        valid_ratio: Leave out samples that have people in a smaller share of their frames.
        box_thr: Score of the boxes that count for that.
        class_prob: Of no effect: samples are drawn evenly.
        data_prefix: Folder of the files that samples name.
        test_mode: For validation and testing.
        num_classes: How many classes there are, if that is more than the labels tell.
        multi_class: Whether labels are lists of classes.
        start_index: Number of the first frame.
        classes: Names of the classes, or a file with one a line.

    Raises:
        DataError: The file is missing, broken, or lacks something.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Mapping[str, Any]] = (),
        split: str | None = None,
        valid_ratio: float | None = None,
        box_thr: float | str | None = None,
        class_prob: Mapping[str, float] | None = None,
        data_prefix: str | None = None,
        test_mode: bool = False,
        num_classes: int | None = None,
        multi_class: bool = False,
        start_index: int = 0,
        classes: str | Sequence[str] | None = None,
    ) -> None:
        self.ann_file, self.split, self.data_prefix = Path(ann_file), split, data_prefix
        self.valid_ratio, self.box_thr = valid_ratio, box_thr
        self.num_classes, self.multi_class, self.start_index = num_classes, multi_class, start_index
        self.CLASSES = None if classes is None else read_class_names(classes)
        super().__init__(pipeline, test_mode, task='action')

    def load_annotations(self) -> list[dict[str, Any]]:
        """One dict a sample."""
        if self.ann_file.suffix == '.npz':
            samples, classes = read_npz(self.ann_file, self.split)
            self.CLASSES = self.CLASSES or classes
        elif self.ann_file.suffix in ('.pkl', '.pickle'):
            samples = self._of_split(read_pickle(self.ann_file))
        else:
            raise DataError(f'ann_file: {self.ann_file} is neither .pkl nor .npz')
        if not samples:
            raise DataError(f'{self.ann_file} holds no sample')
        missing = [key for key in NEEDED if key not in samples[0]]
        if missing:
            raise DataError(f'samples of {self.ann_file} have no {", ".join(missing)}, only {", ".join(samples[0])}')
        kept = [self._located(sample) for sample in samples if self._is_valid(sample)]
        return [{**sample, 'number': i} for i, sample in enumerate(kept)]

    def _of_split(self, content: Any) -> list[dict[str, Any]]:
        if isinstance(content, Mapping):
            splits, samples = content.get('split', {}), list(content.get('annotations', ()))
            if self.split is None:
                return samples
            if self.split not in splits:
                raise DataError(f"{self.ann_file} has no split '{self.split}'; it has {', '.join(map(str, splits))}")
            names, key = set(splits[self.split]), 'filename' if samples and 'filename' in samples[0] else 'frame_dir'
            return [sample for sample in samples if sample[key] in names]
        if self.split is not None:
            raise DataError(f"{self.ann_file} holds a list, which has no split '{self.split}'")
        return list(content)

    def _is_valid(self, sample: Mapping[str, Any]) -> bool:
        if self.valid_ratio is None:
            return True
        valid = sample.get('valid_frames')
        if self.box_thr is not None:
            valid = sample.get(f'valid@{self.box_thr}', (sample.get('valid') or {}).get(float(self.box_thr)))
        if valid is None:
            raise DataError(f'valid_ratio: samples of {self.ann_file} do not say how many frames have people')
        return valid / sample['total_frames'] >= self.valid_ratio

    def _located(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        folder = Path(self.data_prefix or '')
        return {**sample, **{key: str(folder / sample[key]) for key in ('filename', 'frame_dir') if key in sample}}

    def index_annotations(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the labels."""
        self._labels = [row['label'] for row in rows]

    def get_gt_labels(self) -> np.ndarray:
        """Classes int64 ``(N,)``; with ``multi_class`` 0 or 1 for each, ``(N, K)``."""
        if not self.multi_class:
            return np.asarray(self._labels, np.int64).reshape(-1)
        num_classes = self.num_classes or max(max(labels) for labels in self._labels) + 1
        return np.stack([np.bincount(labels, minlength=num_classes).clip(max=1) for labels in self._labels])

    def prepare(self, index: int) -> Results:
        """A sample, ready for its pipeline."""
        return {'modality': 'Pose', 'start_index': self.start_index, **self.annotations[index]}
