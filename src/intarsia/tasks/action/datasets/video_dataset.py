"""Clips that are video files, or single images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intarsia.core.registries import DATASETS
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset


@DATASETS.register_module()
class VideoDataset(ClipDataset):
    """Video files: a line is ``path label``, or ``path label label ...`` with ``multi_class``.

    So lists of Kinetics, Something-Something, UCF101, HMDB51, Jester and others are written. Paths may hold spaces
    where clips have one label.

    Args:
        ann_file: See :class:`ClipDataset`; so the others.
        pipeline: Transform nodes or callables.
        data_prefix: Folder of the files.
        test_mode: For validation and testing.
        multi_class: Whether clips have several labels.
        num_classes: How many classes there are.
        start_index: Number of the first frame, 0 in video files.
        modality: What frames are.
        sample_by_class: Draw classes, not clips.
        power: Of the number of a class's clips.
        dynamic_length: Has no effect.
        classes: Names of the classes, or a file with one a line.
        delimiter: Between the words of a line; None is white space.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Mapping[str, Any]] = (),
        data_prefix: str | None = None,
        test_mode: bool = False,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 0,
        modality: str = 'RGB',
        sample_by_class: bool = False,
        power: float = 0.0,
        dynamic_length: bool = False,
        classes: str | Sequence[str] | None = None,
        delimiter: str | None = None,
    ) -> None:
        super().__init__(
            ann_file, pipeline, data_prefix, test_mode, multi_class, num_classes, start_index, modality,
            sample_by_class, power, dynamic_length, classes, delimiter,
        )  # fmt: skip


@DATASETS.register_module()
class ImageDataset(VideoDataset):
    """Images, as they are mixed with videos in "OmniSource" (Duan et al., 2020, arXiv:2003.13042).

    A line is ``path label``, as for :class:`VideoDataset`; the pipeline begins with ``ImageDecode``. Arguments as
    there.
    """
