"""Clips whose frames are image files in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from intarsia.core.registries import DATASETS
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset


@DATASETS.register_module()
class RawframeDataset(ClipDataset):
    """Folders of frames: a line is ``folder frames label``, with several labels ``folder frames label label ...``.

    ``frames`` is how many there are. With ``with_offset`` a line is ``folder offset frames label``, for clips of longer
    videos: frame i of the clip is frame ``offset`` + i of the folder.

    Args:
        ann_file: See :class:`ClipDataset`; so the others that are not described.
        pipeline: Transform nodes or callables.
        data_prefix: Folder of the folders.
        test_mode: For validation and testing.
        filename_tmpl: Names of the frames: ``'img_{:05}.jpg'``, for flow ``'{}_{:05}.jpg'`` (x or y, and the number).
        with_offset: Whether lines have the offset.
        multi_class: Whether clips have several labels.
        num_classes: How many classes there are.
        start_index: Number of the first frame.
        modality: ``'RGB'`` or ``'Flow'``.
        sample_by_class: Draw classes, not clips.
        power: Of the number of a class's clips.
        dynamic_length: Has no effect.
        classes: Names of the classes, or a file with one a line.
        delimiter: Between the words of a line; None is white space.
    """

    PATH: ClassVar[str] = 'frame_dir'

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Mapping[str, Any]] = (),
        data_prefix: str | None = None,
        test_mode: bool = False,
        filename_tmpl: str = 'img_{:05}.jpg',
        with_offset: bool = False,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 1,
        modality: str = 'RGB',
        sample_by_class: bool = False,
        power: float = 0.0,
        dynamic_length: bool = False,
        classes: str | Sequence[str] | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.filename_tmpl = filename_tmpl
        self.with_offset = with_offset
        self.NUMBERS = ('offset', 'total_frames') if with_offset else ('total_frames',)
        super().__init__(
            ann_file, pipeline, data_prefix, test_mode, multi_class, num_classes, start_index, modality,
            sample_by_class, power, dynamic_length, classes, delimiter,
        )  # fmt: skip

    def prepare(self, index: int) -> Results:
        """As every clip, with ``filename_tmpl``."""
        return {**super().prepare(index), 'filename_tmpl': self.filename_tmpl}
