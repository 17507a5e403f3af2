"""Long videos that are cut into parts, of which some show what the label says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset


@DATASETS.register_module()
class RawVideoDataset(ClipDataset):
    """Videos cut into parts; a sample is one of them, drawn anew each time.

    "OmniSource" (Duan et al., 2020, arXiv:2003.13042). A line is ``folder label count [part part ...]``: parts are
    numbered from 0, and those named are known to show the label. JSON is a list of dicts with ``video_dir``,
    ``label``, ``num_clips`` and ``positive_clip_inds``.

    Args:
        ann_file: The list.
        pipeline: Transform nodes or callables.
        clipname_tmpl: File of a part in its folder; one that does not begin with a letter is added to the folder's
            name.
        sampling_strategy: ``'positive'`` draws parts that show the label, and leaves out videos without any;
            ``'random'`` draws all.
        kwargs: As :class:`~intarsia.tasks.action.datasets.clip_dataset.ClipDataset`, but for ``start_index``, and one
            label a video.

    Raises:
        ValueError: ``multi_class``, or ``sampling_strategy`` is unknown.
    """

    def __init__(
        self,
        ann_file: str | None,
        pipeline: Sequence[Mapping[str, Any]] = (),
        clipname_tmpl: str = 'part_{}.mp4',
        sampling_strategy: Literal['positive', 'random'] = 'positive',
        **kwargs: Any,
    ) -> None:
        require_choice('sampling_strategy', sampling_strategy, ('positive', 'random'))
        if kwargs.get('multi_class'):
            raise ValueError('RawVideoDataset: videos have one label, not multi_class=True')
        self.clipname_tmpl, self.sampling_strategy = clipname_tmpl, sampling_strategy
        super().__init__(ann_file, pipeline, start_index=0, **kwargs)

    def load_annotations(self) -> list[dict[str, Any]]:
        """Read the list. ``filename`` of a video is its first part that may be drawn.

        Raises:
            DataError: It is missing or broken.
        """
        if self.ann_file.endswith('.json'):
            rows = [dict(entry) for entry in self._read_json()]
        else:
            rows = [self._of_line(number, line) for number, line in self.read_lines()]
        kept = []
        for number, row in enumerate(rows):
            missing = {'video_dir', 'label', 'num_clips', 'positive_clip_inds'} - row.keys()
            if missing:
                raise DataError(f'{self.ann_file}: entry {number} has no {" and no ".join(sorted(missing))}')
            row['video_dir'] = os.path.join(self.data_prefix or '', row['video_dir'])
            if len(self.parts_of(row)):
                kept.append({**row, 'filename': self.part_file(row, self.parts_of(row)[0])})
        return kept

    def _of_line(self, number: int, line: str) -> dict[str, Any]:
        folder, *words = line.split()
        if len(words) < 2 or not all(word.lstrip('-').isdigit() for word in words):
            raise DataError(f"{self.ann_file}:{number}: a line is 'folder label count [part ...]', not '{line}'")
        label, count, *parts = map(int, words)
        return {'video_dir': folder, 'label': label, 'num_clips': count, 'positive_clip_inds': parts}

    def parts_of(self, row: Mapping[str, Any]) -> Sequence[int]:
        """Numbers of the parts of a video that may be drawn."""
        return row['positive_clip_inds'] if self.sampling_strategy == 'positive' else range(row['num_clips'])

    def part_file(self, row: Mapping[str, Any], number: int) -> str:
        """The file of a part."""
        name = self.clipname_tmpl.format(number)
        return os.path.join(row['video_dir'], name) if name[0].isalpha() else row['video_dir'] + name

    def draw(self, index: int, rng: np.random.Generator) -> Results:
        """A sample of one of the video's parts."""
        results = self.prepare(index)
        parts = self.parts_of(results)
        return {**results, 'filename': self.part_file(results, parts[int(rng.integers(len(parts)))])}
