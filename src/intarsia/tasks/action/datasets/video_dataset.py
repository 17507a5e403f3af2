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
        ann_file: The list.
        pipeline: Transform nodes or callables.
        start_index: Number of the first frame, 0 in video files.
        kwargs: As :class:`ClipDataset`.
    """

    def __init__(
        self, ann_file: str | None, pipeline: Sequence[Mapping[str, Any]] = (), start_index: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(ann_file, pipeline, start_index=start_index, **kwargs)


@DATASETS.register_module()
class ImageDataset(VideoDataset):
    """Images, as they are mixed with videos in "OmniSource" (Duan et al., 2020, arXiv:2003.13042).

    A line is ``path label``, as for :class:`VideoDataset`; the pipeline begins with ``ImageDecode``. Arguments as
    there.
    """
