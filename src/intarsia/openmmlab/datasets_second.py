"""Data sets of the second generation: ``METAINFO``, ``load_data_list``, ``get_data_info``."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from intarsia.data import dataset
from intarsia.data.transforms.transform import Results
from intarsia.openmmlab.datasets import OldDataset
from intarsia.openmmlab.generations import overrides
from intarsia.openmmlab.words import annotation
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset
from intarsia.tasks.pose.datasets.coco_file import CocoFile
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset
from intarsia.tasks.segmentation.datasets.custom import CustomDataset as MaskDataset


class SecondGeneration(OldDataset):
    """What subclasses of the second generation rely on.

    Args:
        filter_cfg: For the subclass.
        indices: Which samples are taken, or how many; None for all.
        serialize_data: Has no effect: annotations are always kept once in shared memory.
        lazy_init: Has no effect.
        max_refetch: Has no effect.
        backend_args: Has no effect: files are read from disk.
    """

    METAINFO: ClassVar[Mapping[str, Any]] = {}
    CLASSES: Any
    PALETTE: Any
    data_root: Any

    def __init__(
        self,
        filter_cfg: Any = None,
        indices: Any = None,
        serialize_data: bool = True,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        backend_args: Any = None,
    ) -> None:
        self.filter_cfg, self._indices = filter_cfg, indices

    def _start(self, ann_file: Any, metainfo: Any, data_root: Any, data_prefix: Any) -> None:
        """Set the attributes that ``load_data_list`` reads."""
        self.data_root = os.fspath(data_root or '')
        self._metainfo = self._load_metainfo(metainfo)
        self.ann_file = self._join(ann_file) if ann_file else ''
        prefix = data_prefix if isinstance(data_prefix, Mapping) else {'img_path': data_prefix or ''}
        self.data_prefix: Any = {name: self._join(folder) for name, folder in prefix.items()}
        names = self._metainfo.get('classes')
        if names is not None:
            self.CLASSES = tuple(names)
        if self._metainfo.get('palette') is not None:
            self.PALETTE = self._metainfo['palette']

    def _join(self, path: Any) -> str:
        text = os.fspath(path or '')
        is_whole = not self.data_root or os.path.isabs(text) or '://' in text
        return text if is_whole else os.path.join(self.data_root, text)

    def _join_prefix(self) -> None:
        """Nothing: paths are joined already."""

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        from intarsia.openmmlab.files import list_from_file

        given = {**copy.deepcopy(dict(cls.METAINFO)), **(metainfo or {})}
        is_file = isinstance(given.get('classes'), str)
        return {**given, 'classes': list_from_file(given['classes'])} if is_file else given

    @property
    def metainfo(self) -> dict[str, Any]:
        """Names, colours and what else is said of the data."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Nothing: a data set is complete when it is made."""

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict for each sample, from ``ann_file``: JSON, YAML or pickle with ``metainfo`` and ``data_list``."""
        from intarsia.openmmlab.files import load

        content = load(self.ann_file)
        if not isinstance(content, Mapping) or 'data_list' not in content:
            raise TypeError(f'{self.ann_file} must hold a dict with metainfo and data_list')
        self._metainfo = {**content.get('metainfo', {}), **self._metainfo}
        return self._parsed(content['data_list'])

    def _parsed(self, entries: Sequence[Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for entry in entries:
            parsed = self.parse_data_info(entry)
            rows += parsed if isinstance(parsed, list) else [parsed] if parsed is not None else []
        return rows

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> Any:
        """An entry of the annotation file as a sample, or several."""
        for name, folder in self.data_prefix.items():
            if name in raw_data_info:
                raw_data_info[name] = os.path.join(folder, raw_data_info[name])
        return raw_data_info

    def load_annotations(self) -> list[dict[str, Any]]:
        """The subclass's ``load_data_list``, or the part that ``indices`` asks for, in our words."""
        rows = [annotation(row) for row in self.load_data_list()]
        if self._indices is None:
            return rows
        if isinstance(self._indices, int):
            return rows[: self._indices] if self._indices >= 0 else rows[self._indices :]
        return [rows[index] for index in self._indices]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The annotation of a sample."""
        return {**self.annotations[idx], 'sample_idx': idx}

    def prepare(self, index: int) -> Results:
        """What the pipeline starts from."""
        base: Results = super().prepare(index)
        return {**base, **annotation(self.get_data_info(index))} if overrides(self, 'get_data_info') else base

    def get_gt_labels(self) -> np.ndarray:
        """Labels of all samples, for metrics."""
        return np.array([row[self.label_key] for row in self.annotations])

    label_key = 'gt_label'

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes of a sample."""
        return [int(label) for label in np.atleast_1d(self.annotations[idx][self.label_key])]


class BaseDataset(SecondGeneration, dataset.BaseDataset):
    """MMEngine's base, and MMPretrain's: samples from ``load_data_list``."""

    task = 'classification'

    def __init__(
        self,
        ann_file: Any = '',
        metainfo: Any = None,
        data_root: Any = '',
        data_prefix: Any = '',
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        classes: Any = None,
        **kwargs: Any,
    ) -> None:
        SecondGeneration.__init__(self, **kwargs)
        self.test_mode = test_mode
        named = {'classes': classes} if classes is not None else {}
        self._start(ann_file, {**(metainfo or {}), **named}, data_root, data_prefix)
        dataset.BaseDataset.__init__(self, pipeline, test_mode, self.task)


class BaseSegDataset(SecondGeneration, MaskDataset):
    """MMSegmentation's base: a subclass has ``METAINFO`` and suffixes, or a ``load_data_list`` of its own."""

    task = 'segmentation'

    def __init__(
        self,
        ann_file: Any = '',
        img_suffix: str = '.jpg',
        seg_map_suffix: str = '.png',
        metainfo: Any = None,
        data_root: Any = None,
        data_prefix: Any = None,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        ignore_index: int = 255,
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        SecondGeneration.__init__(self, **kwargs)
        given = dict(metainfo or {})
        chosen = given.pop('classes', None) if self.METAINFO.get('classes') else None
        self._start(ann_file, given, data_root, data_prefix or {})
        MaskDataset.__init__(
            self, pipeline, self.data_prefix.get('img_path') or self.data_root, img_suffix,
            self.data_prefix.get('seg_map_path') or None, seg_map_suffix, split=self.ann_file or None,
            test_mode=test_mode, ignore_index=ignore_index, reduce_zero_label=reduce_zero_label, classes=chosen,
            palette=given.get('palette'),
        )  # fmt: skip

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict for each image, with ``img_path`` and ``seg_map_path``."""
        rows = []
        for row in MaskDataset.load_annotations(self):
            found = {'img_path': os.path.join(row['img_prefix'], row['img_info']['filename']), 'seg_fields': []}
            if 'ann_info' in row:
                found['seg_map_path'] = os.path.join(row['seg_prefix'], row['ann_info']['seg_map'])
            rows.append(found)
        return rows


class BaseCocoStyleDataset(SecondGeneration, TopDownCocoDataset):
    """MMPose's base: a subclass has ``METAINFO``, or a ``load_data_list`` or ``parse_data_info`` of its own."""

    task = 'pose'

    def __init__(
        self,
        ann_file: Any = '',
        bbox_file: Any = None,
        data_mode: str = 'topdown',
        metainfo: Any = None,
        data_root: Any = None,
        data_prefix: Any = None,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        sample_interval: int = 1,
        codec: Any = None,
        dataset_info: Any = None,
        **kwargs: Any,
    ) -> None:
        SecondGeneration.__init__(self, **kwargs)
        self.sample_interval, self.data_mode, self.bbox_file = sample_interval, data_mode, bbox_file
        self._start(ann_file, metainfo, data_root, data_prefix or {})
        boxes = {} if bbox_file is None else {'use_gt_bbox': False, 'bbox_file': self._join(bbox_file)}
        folder = self.data_prefix.get('img', self.data_prefix.get('img_path', ''))
        joints = dataset_info or self._joints()
        TopDownCocoDataset.__init__(self, self.ann_file, folder, boxes, pipeline, joints, test_mode, codec)

    def _joints(self) -> Any:
        """The joints: a name, or what ``METAINFO`` says itself."""
        if 'from_file' in self._metainfo:
            return os.path.splitext(os.path.basename(self._metainfo['from_file']))[0]
        return self._metainfo if 'keypoint_info' in self._metainfo else None

    def load_annotations(self) -> list[dict[str, Any]]:
        """As ours, unless the subclass reads annotations itself."""
        if overrides(self, 'load_data_list') or overrides(self, 'parse_data_info'):
            return [{**row, 'bbox_id': i} for i, row in enumerate(super().load_annotations())]
        return TopDownCocoDataset.load_annotations(self)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict for each person."""
        coco = CocoFile.read(self.ann_file)
        groups = coco.by_image()
        raw = [
            {'raw_ann_info': found, 'raw_img_info': {**image, 'img_id': image_id, 'img_path': self.image_file(image)}}
            for image_id, image in coco.images.items()
            for found in groups[image_id]
        ]
        return self._parsed(raw)

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """A person of the annotation file in the second generation's words; None for crowds."""
        found, image = raw_data_info['raw_ann_info'], raw_data_info['raw_img_info']
        if found.get('iscrowd') or not found.get('keypoints'):
            return None
        values_1k3 = np.array(found['keypoints'], np.float32).reshape(1, -1, 3)
        x, y, width, height = found['bbox']
        return {
            'img_id': image['img_id'], 'img_path': image['img_path'], 'id': found['id'], 'bbox_score': np.ones(1),
            'bbox': np.array([[x, y, x + width, y + height]], np.float32), 'keypoints': values_1k3[..., :2],
            'keypoints_visible': np.minimum(1, values_1k3[..., 2]), 'category_id': found.get('category_id', 1),
            'area': found.get('area', width * height), 'iscrowd': 0,
        }  # fmt: skip


class BaseActionDataset(SecondGeneration, ClipDataset):
    """MMAction2's base: a subclass has a ``load_data_list`` with ``filename`` and ``label``."""

    task = 'action'
    label_key = 'label'

    def __init__(
        self,
        ann_file: Any,
        pipeline: Sequence[Any] = (),
        metainfo: Any = None,
        data_root: Any = None,
        data_prefix: Any = None,
        test_mode: bool = False,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 0,
        modality: str = 'RGB',
        **kwargs: Any,
    ) -> None:
        SecondGeneration.__init__(self, **kwargs)
        self._start(ann_file, metainfo, data_root, data_prefix or {'prefix': ''})
        self._prefixes = self.data_prefix
        ClipDataset.__init__(
            self, self.ann_file, pipeline, next(iter(self._prefixes.values()), ''), test_mode, multi_class,
            num_classes, start_index, modality, classes=self._metainfo.get('classes'),
        )  # fmt: skip

    def load_annotations(self) -> list[dict[str, Any]]:
        """The subclass's ``load_data_list``, which sees the folders by name."""
        self.data_prefix = self._prefixes
        return SecondGeneration.load_annotations(self)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict for each line of ``ann_file``."""
        self.data_prefix = next(iter(self._prefixes.values()), '')
        rows = ClipDataset.load_annotations(self)
        self.data_prefix = self._prefixes
        return rows
