"""Metrics of segments: recall of proposals, and average precision of detections."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import METRICS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.metrics.segment_matching import average_precision, average_recall

ACTIVITYNET = np.linspace(0.5, 0.95, 10)
THUMOS14 = np.arange(0.1, 1.0, 0.1)
THRESHOLDS = {'activitynet': ACTIVITYNET, 'thumos14': THUMOS14}
"""Of the IoU, by the data set whose protocol they are."""
AT = (1, 5, 10, 100)
"""Mean numbers of proposals whose recall is reported."""


class Stream(NamedTuple):
    """What was found in a stream, in seconds, and what is true of it."""

    found: LocalizationResult
    truth: Mapping[str, Any]


class SegmentMetric(ABC):
    """Base of metrics that look at the segments of all streams in the end.

    Streams are kept by name, so that how they are split into batches and processes changes no bit of the result, and
    none counts twice.

    Args:
        outfile: Where to write the segments as ActivityNet's server takes them, JSON; None writes nothing.
        prefix: Stands before the names of :meth:`compute`, with a slash.
    """

    def __init__(self, outfile: str | None = None, prefix: str | None = None) -> None:
        self.outfile, self.prefix = outfile, prefix
        self._streams: dict[str, Stream] = {}

    @abstractmethod
    def values(self, streams: Mapping[str, Stream]) -> dict[str, float]:
        """The values for streams by name."""

    def update(self, result: LocalizationResult, truth: Mapping[str, Any]) -> None:
        """Count one stream.

        Args:
            result: What was found.
            truth: ``video``, its name; ``segments`` ``(n, 2)`` in seconds; ``labels`` ``(n,)``; ``duration``, seconds.
        """
        self._streams[truth['video']] = Stream(result.lasting(truth['duration']), truth)

    def compute(self) -> dict[str, float]:
        """The values by name.

        Raises:
            ValueError: Nothing was counted.
        """
        if not self._streams:
            raise ValueError(f'{type(self).__name__} has counted nothing')
        streams = {name: self._streams[name] for name in sorted(self._streams)}
        if self.outfile is not None:
            write_results(Path(self.outfile), streams)
        return {f'{self.prefix}/{name}' if self.prefix else name: v for name, v in self.values(streams).items()}

    def state(self) -> dict[str, Stream]:
        """What was counted, by stream."""
        return dict(self._streams)

    def merge(self, state: Mapping[str, Stream]) -> None:
        """Add what another metric of the same settings counted."""
        self._streams.update(state)

    def reset(self) -> None:
        """Forget what was counted."""
        self._streams = {}


@METRICS.register_module()
class AverageRecall(SegmentMetric):
    """Recall of true segments over the mean number of proposals: ``auc`` in percent, ``AR@1`` ... ``AR@100``, 0 ... 1.

    The metric of proposals of "ActivityNet: A Large-Scale Video Benchmark for Human Activity Understanding" (Caba
    Heilbron et al., 2015); classes do not count.

    Args:
        max_avg_proposals: Greatest mean number of proposals of a stream; streams with few proposals have fewer.
        temporal_iou_thresholds: Over which recall is averaged.
        outfile: See :class:`SegmentMetric`.
        prefix: As there.
    """

    def __init__(
        self,
        max_avg_proposals: int = 100,
        temporal_iou_thresholds: Sequence[float] | np.ndarray = ACTIVITYNET,
        outfile: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(outfile, prefix)
        self.max_avg_proposals, self.thresholds = max_avg_proposals, np.asarray(temporal_iou_thresholds)

    def values(self, streams: Mapping[str, Stream]) -> dict[str, float]:
        """``auc`` and ``AR@k``."""
        true = {name: each.truth['segments'] for name, each in streams.items()}
        found = {name: _proposals(each.found) for name, each in streams.items()}
        recall = average_recall(true, found, self.thresholds, self.max_avg_proposals)
        return {'auc': recall.auc, **{f'AR@{k}': float(recall.average[k - 1]) for k in AT}}


def _proposals(found: LocalizationResult) -> np.ndarray:
    """Begin, end and score ``(P, 3)``; a segment with several classes counts once."""
    rows_p3 = np.column_stack([found.segments, found.scores])
    if found.labels is None:
        return rows_p3
    first_p = np.unique(found.segments, axis=0, return_index=True)[1]
    return rows_p3[np.sort(first_p)]


@METRICS.register_module()
class SegmentAP(SegmentMetric):
    """Mean average precision of segments with classes: ``mAP@0.50`` ... and their mean ``mAP``, 0 ... 1.

    The metric of detection of ActivityNet and THUMOS14. Only classes that are true of some stream count.

    Args:
        eval_dataset: Whose thresholds of the IoU: 0.5, 0.55 ... 0.95 of ``'activitynet'``, 0.1, 0.2 ... 0.9 of
            ``'thumos14'``.
        temporal_iou_thresholds: Others.
        outfile: See :class:`SegmentMetric`.
        prefix: As there.
    """

    def __init__(
        self,
        eval_dataset: Literal['activitynet', 'thumos14'] = 'activitynet',
        temporal_iou_thresholds: Sequence[float] | np.ndarray | None = None,
        outfile: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(outfile, prefix)
        usual = THRESHOLDS[require_choice('eval_dataset', eval_dataset, tuple(THRESHOLDS))]
        self.thresholds = usual if temporal_iou_thresholds is None else np.asarray(temporal_iou_thresholds)

    def values(self, streams: Mapping[str, Stream]) -> dict[str, float]:
        """``mAP@THRESHOLD`` for each, and ``mAP``."""
        mean_h = self.by_class(streams).mean(1)
        named = {f'mAP@{threshold:.2f}': float(v) for threshold, v in zip(self.thresholds, mean_h, strict=True)}
        return {**named, 'mAP': float(mean_h.mean())}

    def by_class(self, streams: Mapping[str, Stream]) -> np.ndarray:
        """Average precision ``(thresholds, classes)`` of the classes that are true of some stream, in order.

        Raises:
            DataError: The model does not say what happens in its segments, or nothing is true of any stream.
        """
        true_labels = sorted({int(label) for each in streams.values() for label in each.truth['labels']})
        if not true_labels:
            raise DataError('mAP needs true segments, but there are none in any stream')
        if any(each.found.labels is None for each in streams.values()):
            raise DataError(
                'mAP needs the classes of segments, but the model only proposes segments: give it num_classes, or ask '
                "for 'AR@AN'"
            )
        return np.stack([self._of_class(label, streams) for label in true_labels], axis=1)

    def _of_class(self, label: int, streams: Mapping[str, Stream]) -> np.ndarray:
        true = {name: each.truth['segments'][each.truth['labels'] == label] for name, each in streams.items()}
        videos: list[str] = []
        rows = [np.zeros((0, 3))]
        for name, each in streams.items():
            chosen = each.found.labels == label
            rows.append(np.column_stack([each.found.segments[chosen], each.found.scores[chosen]]))
            videos += [name] * len(rows[-1])
        return average_precision(true, videos, np.concatenate(rows), self.thresholds)


def write_results(file: Path, streams: Mapping[str, Stream]) -> None:
    """Write segments as ActivityNet's server takes them; the names of streams without ``v_``."""
    results = {name.removeprefix('v_'): each.found.as_dict()['segments'] for name, each in streams.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {'version': 'VERSION 1.3', 'results': results, 'external_data': {}}
    file.write_text(json.dumps(content), encoding='utf-8')
