"""What every data set shares: annotations kept once in shared memory, a pipeline, counted randomness."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia.core.errors import BrokenFileError, DataError
from intarsia.data.broken_files import BrokenFiles
from intarsia.data.seeding import SampleKey
from intarsia.data.transforms.transform import Compose, Results

MAX_REDRAWS = 1000


class AnnotationTable(Sequence[dict[str, Any]]):
    """A read-only list of dicts in one shared block of memory.

    Workers and forked ranks see the same pages: no copy grows with their number, as reference counts of
    Python objects would make it.

    Args:
        annotations: One dict a sample; anything that can be pickled.
    """

    def __init__(self, annotations: Sequence[Mapping[str, Any]]) -> None:
        rows = [pickle.dumps(dict(a), protocol=pickle.HIGHEST_PROTOCOL) for a in annotations]
        self._ends = torch.from_numpy(np.cumsum([0, *map(len, rows)], dtype=np.int64)).share_memory_()
        self._bytes = torch.frombuffer(bytearray(b''.join(rows) or b'\0'), dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index : index + 2].tolist()
        return pickle.loads(self._bytes[start:end].numpy().tobytes())


def read_class_names(classes: str | Sequence[str]) -> list[str]:
    """Class names as they are, or from a file with one a line.

    Raises:
        DataError: There is no such file.
    """
    if not isinstance(classes, str):
        return list(classes)
    file = Path(classes).expanduser()
    if not file.is_file():
        raise DataError(f'classes: there is no file {file.absolute()}; it should hold one class name a line')
    return [line.strip() for line in file.read_text(encoding='utf-8').splitlines() if line.strip()]


class BaseDataset(torch.utils.data.Dataset[Results]):
    """A data set whose samples are annotations sent through a pipeline.

    A subclass implements :meth:`load_annotations`, and :meth:`prepare` if a sample's starting dict is more than
    its annotation. What the pipeline gives is completed with ``sample_idx``, the sample's index.

    Where the pipeline drops a sample of training, or a file of it is broken (:class:`BrokenFileError`), another one
    takes its place: which, depends on nothing but the seed, the epoch and the position. In testing both are errors.

    Args:
        pipeline: Transform config nodes, or callables.
        test_mode: For validation and testing: no sample is replaced.
        task: Task whose transforms the pipeline's bare names mean.
    """

    CLASSES: Sequence[str] | None = None
    """Class names, in the order of the labels."""

    takes_sample_key = True
    """Says to the loader that an item is asked for by its key, not by its index."""

    def __init__(self, pipeline: Sequence[Mapping[str, Any]], test_mode: bool = False, task: str | None = None) -> None:
        self.test_mode = test_mode
        self.pipeline = Compose(pipeline, task)
        rows = self.load_annotations()
        self.index_annotations(rows)
        self.annotations: Sequence[dict[str, Any]] = AnnotationTable(rows)
        self.broken_files = BrokenFiles(len(rows))

    def load_annotations(self) -> list[dict[str, Any]]:
        """One dict a sample, in a fixed order."""
        raise NotImplementedError(f'{type(self).__name__} has no load_annotations')

    def index_annotations(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note what a data set wants to know of all samples (labels), while they are still plain dicts."""

    def prepare(self, index: int) -> Results:
        """The dict the pipeline starts from."""
        return dict(self.annotations[index])

    def draw(self, index: int, rng: np.random.Generator) -> Results:
        """As :meth:`prepare`; a data set of whose samples a part is drawn overrides this."""
        return self.prepare(index)

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, key: SampleKey | int) -> Results:
        """The sample of a key; a plain index means seed 0, epoch 0, position = index."""
        key = key if isinstance(key, SampleKey) else SampleKey(int(key), position=int(key))
        rng = key.generator()
        index = key.index
        for _ in range(MAX_REDRAWS):
            results = self._whole_sample(index, rng)
            if results is not None:
                return results
            if self.test_mode:
                raise DataError(f'the pipeline dropped test sample {index}: {self.describe(index)}')
            index = int(rng.integers(len(self)))
        count = len(self.broken_files)
        broken = f'; {count} samples cannot be read, look at the warnings' if count else ''
        raise DataError(f'{MAX_REDRAWS} samples in a row were dropped, the last is number {index}{broken}')

    def _whole_sample(self, index: int, rng: np.random.Generator) -> Results | None:
        """What the pipeline gives; None in training if a file is broken."""
        try:
            return self._run_pipeline(index, rng)
        except BrokenFileError as error:
            if self.test_mode:
                raise
            self.broken_files.add(index, error)
            return None

    def _run_pipeline(self, index: int, rng: np.random.Generator) -> Results | None:
        try:
            results = self.pipeline(self.draw(index, rng), rng)
            return results if results is None else {**results, 'sample_idx': index}
        except Exception as error:
            error.add_note(f'in sample {index} of {type(self).__name__}: {self.describe(index)}')
            raise

    def describe(self, index: int) -> str:
        """A short text that tells a person which sample this is."""
        return str(self.annotations[index])[:300]
