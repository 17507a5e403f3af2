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
        ann_file: The list.
        pipeline: Transform nodes or callables.
        data_prefix: Folder of the folders.
        test_mode: For validation and testing.
        filename_tmpl: Names of the frames: ``'img_{:05}.jpg'``, for flow ``'{}_{:05}.jpg'`` (x or y, and the number).
        with_offset: Whether lines have the offset.
        kwargs: As :class:`ClipDataset`.
    """

    PATH: ClassVar[str] = 'frame_dir'

    def __init__(
        self,
        ann_file: str | None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        data_prefix: str | None = None,
        test_mode: bool = False,
        filename_tmpl: str = 'img_{:05}.jpg',
        with_offset: bool = False,
        **kwargs: Any,
    ) -> None:
        self.filename_tmpl = filename_tmpl
        self.with_offset = with_offset
        self.NUMBERS = ('offset', 'total_frames') if with_offset else ('total_frames',)
        super().__init__(ann_file, pipeline, data_prefix, test_mode, **kwargs)

    def prepare(self, index: int) -> Results:
        """As every clip, with ``filename_tmpl``."""
        return {**super().prepare(index), 'filename_tmpl': self.filename_tmpl}
