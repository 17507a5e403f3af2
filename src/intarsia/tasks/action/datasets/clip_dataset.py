"""What the data sets of clips share: lists of files with their labels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.dataset import BaseDataset, read_class_names
from intarsia.data.seeding import SampleKey
from intarsia.data.transforms.transform import Results


class ClipDataset(BaseDataset):
    """Clips with one label each, or several. A subclass says what a line of its list holds.

    ``ann_file`` is a text file with a clip a line, or JSON: a list of dicts with the same entries, where ``label`` is a
    list. The pipeline starts from an annotation with ``modality`` and ``start_index``; several labels are float32
    ``(num_classes,)``, 1 for those of the clip.

    Args:
        ann_file: The list; None, as configs for prediction alone have it, where nothing is loaded.
        pipeline: Transform nodes or callables.
        data_prefix: Folder of the files.
        test_mode: For validation and testing.
        multi_class: Whether clips have several labels.
        num_classes: How many classes there are; needed for several labels.
        start_index: Number of the first frame.
        modality: ``'RGB'``, ``'Flow'``, ...
        sample_by_class: In training draw a class first, then a clip of it, for every sample.
        power: A class is drawn with a probability proportional to this power of its number of clips: 0 draws all
            classes equally often, 1 all clips.
        dynamic_length: Has no effect: an epoch has as many samples as there are clips.
        classes: Names of the classes, or a file with one a line.
        delimiter: Between the words of a line; None is white space.

    Raises:
        DataError: The list is missing, empty or broken.
        ValueError: Arguments contradict each other.
    """

    PATH: ClassVar[str] = 'filename'
    """Entry of an annotation with the path."""
    NUMBERS: Sequence[str] = ()
    """Entries between the path and the labels of a line."""

    def __init__(
        self,
        ann_file: str | None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        data_prefix: str | None = None,
        test_mode: bool = False,
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
        name = type(self).__name__
        if ann_file is None:
            raise DataError(f'{name} has no ann_file: its config is for prediction alone')
        self.ann_file, self.data_prefix, self.delimiter = ann_file, data_prefix, delimiter
        self.CLASSES = None if classes is None else read_class_names(classes)
        if num_classes is not None and self.CLASSES is not None and num_classes != len(self.CLASSES):
            raise ValueError(f'{name}: num_classes={num_classes}, but classes names {len(self.CLASSES)}')
        self.num_classes = num_classes if self.CLASSES is None else len(self.CLASSES)
        if multi_class and self.num_classes is None:
            raise ValueError(f'{name}: multi_class=True needs num_classes')
        if multi_class and sample_by_class:
            raise ValueError(f'{name}: sample_by_class=True is for clips of one label, not for multi_class=True')
        self.multi_class, self.start_index, self.modality = multi_class, start_index, modality
        self.sample_by_class, self.power = sample_by_class, power
        super().__init__(pipeline, test_mode, task='action')
        if len(self) == 0:
            raise DataError(f'{name}: there are no clips in {ann_file}')

    # ------------------------------------------------------------------ annotations

    def load_annotations(self) -> list[dict[str, Any]]:
        """Read the list.

        Raises:
            DataError: It is missing or broken.
        """
        if self.ann_file.endswith('.json'):
            rows = [self._of_entry(number, entry) for number, entry in enumerate(self._read_json())]
        else:
            rows = [self._of_line(number, line) for number, line in self.read_lines()]
        for row in rows:
            row[self.PATH] = os.path.join(self.data_prefix or '', row[self.PATH])
        return rows

    def read_lines(self) -> Iterator[tuple[int, str]]:
        """The lines of the list that are not empty, and their numbers from 1."""
        try:
            text = Path(self.ann_file).read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f'ann_file: {self.ann_file} cannot be read: {error}') from error
        return ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip())

    def _of_line(self, number: int, line: str) -> dict[str, Any]:
        count = len(self.NUMBERS)
        words = line.split(self.delimiter) if self.multi_class else line.rsplit(self.delimiter, count + 1)
        try:
            values = [int(word) for word in words[1:]]
        except ValueError:
            values = []
        if len(values) < count + 1:
            labels = 'label [label ...]' if self.multi_class else 'label'
            wanted = ' '.join(('path', *self.NUMBERS, labels))
            raise DataError(f"{self.ann_file}:{number}: a line is '{wanted}', not '{line}'")
        label: Any = values[count:] if self.multi_class else values[count]
        return {self.PATH: words[0], **dict(zip(self.NUMBERS, values, strict=False)), 'label': label}

    def _read_json(self) -> list[Any]:
        try:
            entries = json.loads(Path(self.ann_file).read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise DataError(f'ann_file: {self.ann_file} cannot be read: {error}') from error
        if not isinstance(entries, list):
            raise DataError(f'ann_file: {self.ann_file} holds no list of clips')
        return entries

    def _of_entry(self, number: int, entry: Any) -> dict[str, Any]:
        missing = [key for key in (self.PATH, 'label') if not isinstance(entry, Mapping) or key not in entry]
        if missing:
            raise DataError(f'{self.ann_file}: entry {number} has no {" and no ".join(missing)}')
        label = entry['label']
        if self.multi_class or not isinstance(label, list):
            return dict(entry)
        if len(label) != 1:
            raise DataError(
                f'{self.ann_file}: entry {number} has {len(label)} labels; is it a list for multi_class=True?'
            )
        return {**entry, 'label': label[0]}

    def index_annotations(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the labels."""
        labels = [np.atleast_1d(row['label']) for row in rows]
        self._labels = np.concatenate(labels).astype(np.int64) if labels else np.zeros(0, np.int64)
        self._ends = np.cumsum([0, *map(len, labels)])
        if self.sample_by_class and not self.test_mode:
            self._clips_of = {label: np.flatnonzero(self._labels == label) for label in np.unique(self._labels)}
            weights = np.array([len(clips) for clips in self._clips_of.values()], float) ** self.power
            self._chance = weights / weights.sum()

    def labels_of(self, index: int) -> np.ndarray:
        """Labels of a clip, int64."""
        return self._labels[self._ends[index] : self._ends[index + 1]]

    def get_cat_ids(self, index: int) -> list[int]:
        """Classes of a clip."""
        return self.labels_of(index).tolist()

    def get_gt_labels(self) -> np.ndarray:
        """Labels of all clips: int64 ``(N,)``, or ``(N, C)`` of 0 and 1 for several labels a clip.

        Raises:
            DataError: A label is none of the classes.
        """
        return np.stack([self._target(index) for index in range(len(self))]).astype(np.int64)

    def _target(self, index: int) -> Any:
        labels = self.labels_of(index)
        limit = self.num_classes
        if labels.min() < 0 or (limit is not None and labels.max() >= limit):
            known = f' of {limit} classes' if limit is not None else ''
            raise DataError(f'labels{known} count from 0, but here is {labels.tolist()}: {self.describe(index)}')
        if not self.multi_class:
            return int(labels[0])
        assert limit is not None
        target = np.zeros(limit, np.float32)
        target[labels] = 1
        return target

    # ------------------------------------------------------------------ samples

    def __getitem__(self, key: SampleKey | int) -> Results:
        """The sample of a key; with ``sample_by_class`` one of a class that is drawn from the key."""
        if self.sample_by_class and not self.test_mode:
            key = key if isinstance(key, SampleKey) else SampleKey(int(key), position=int(key))
            key = key._replace(index=self.draw_clip(key))
        return super().__getitem__(key)

    def draw_clip(self, key: SampleKey) -> int:
        """A clip of a random class; its draws are not those of the pipeline."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([key.seed, key.epoch, key.position])))
        clips = list(self._clips_of.values())[rng.choice(len(self._chance), p=self._chance)]
        return int(clips[rng.integers(len(clips))])

    def prepare(self, index: int) -> Results:
        """The annotation, with its target, ``modality`` and ``start_index``."""
        facts = {'modality': self.modality, 'start_index': self.start_index, 'label': self._target(index)}
        return {**super().prepare(index), **facts}

    def describe(self, index: int) -> str:
        """The path of a clip, and the list that has it."""
        return f'{self.annotations[index][self.PATH]} of {self.ann_file}'
