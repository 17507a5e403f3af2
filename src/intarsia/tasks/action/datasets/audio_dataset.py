"""Clips whose sound is a spectrogram in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from intarsia.core.registries import DATASETS
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset


@DATASETS.register_module(name=['AudioFeatureDataset', 'AudioDataset'])
class AudioFeatureDataset(ClipDataset):
    """Spectrograms, files of NumPy: a line is ``path frames label``, or with several labels ``path frames label ...``.

    ``frames`` is how many frames the video has; ``LoadAudioFeature`` reads the file.

    Args:
        ann_file: See :class:`~intarsia.tasks.action.datasets.clip_dataset.ClipDataset`, like all that are not explained
            here.
        pipeline: Transform nodes or callables.
        suffix: Added to paths that end otherwise.
    """

    PATH: ClassVar[str] = 'audio_path'
    NUMBERS = ('total_frames',)

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Mapping[str, Any]] = (),
        suffix: str = '.npy',
        data_prefix: str | None = None,
        test_mode: bool = False,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 1,
        modality: str = 'Audio',
        sample_by_class: bool = False,
        power: float = 0.0,
        dynamic_length: bool = False,
        classes: str | Sequence[str] | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.suffix = suffix
        super().__init__(
            ann_file, pipeline, data_prefix, test_mode, multi_class, num_classes, start_index, modality,
            sample_by_class, power, dynamic_length, classes, delimiter,
        )  # fmt: skip

    def load_annotations(self) -> list[dict[str, Any]]:
        """Read the list.

        Raises:
            DataError: It is missing or broken.
        """
        rows = super().load_annotations()
        return [{**row, self.PATH: row[self.PATH].removesuffix(self.suffix) + self.suffix} for row in rows]
