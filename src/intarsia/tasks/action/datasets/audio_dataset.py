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
        ann_file: The list.
        pipeline: Transform nodes or callables.
        suffix: Added to paths that end otherwise.
        modality: What frames are.
        kwargs: As :class:`~intarsia.tasks.action.datasets.clip_dataset.ClipDataset`.
    """

    PATH: ClassVar[str] = 'audio_path'
    NUMBERS = ('total_frames',)

    def __init__(
        self,
        ann_file: str | None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        suffix: str = '.npy',
        modality: str = 'Audio',
        **kwargs: Any,
    ) -> None:
        self.suffix = suffix
        super().__init__(ann_file, pipeline, modality=modality, **kwargs)

    def load_annotations(self) -> list[dict[str, Any]]:
        """Read the list.

        Raises:
            DataError: It is missing or broken.
        """
        rows = super().load_annotations()
        return [{**row, self.PATH: row[self.PATH].removesuffix(self.suffix) + self.suffix} for row in rows]
