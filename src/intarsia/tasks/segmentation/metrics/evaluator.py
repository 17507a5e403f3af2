"""Makes metrics of the results of a segmentor, as the ``evaluation`` section of a config asks for.

Shapes: n images, h rows, w columns, c classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import METRICS
from intarsia.engine.metrics.evaluator import MetricEvaluator
from intarsia.tasks.segmentation.metrics.class_table import class_table
from intarsia.tasks.segmentation.metrics.confusion import relabel
from intarsia.tasks.segmentation.metrics.iou_metric import IoUMetric
from intarsia.tasks.segmentation.metrics.scores import mean_scores, percent


class SegmentationEvaluator(MetricEvaluator):
    """The metrics of one data set; see :class:`intarsia.engine.evaluator.Evaluator`.

    Named metrics are ``mIoU``, ``mDice`` and ``mFscore``, reported as fractions rounded to 0.0001: ``aAcc``, ``mIoU``,
    ``mAcc``, ``IoU.road``, ``Acc.road`` ... Metrics of METRICS report under their own names and units.

    Args:
        dataset: Its ``CLASSES`` are the names; its ``ignore_index``, ``reduce_zero_label`` and
            ``get_gt_seg_map_by_idx(index)``, the mask before zero is reduced, are used where nothing else is given.
        metric: A name, a node of METRICS or a list of such; None is ``mIoU``.
        num_classes: C; None takes the number of the data set's classes.
        ignore_index: Pixels with this true class do not count; None takes that of the data set, or 255.
        nan_to_num: Value of a class that cannot be said; None leaves it NaN and out of the means.
        beta: Weight of the recall against the precision in the F-score.
        label_map: New labels by old ones, for masks of the data set.
        reduce_zero_label: Whether 0 in masks of the data set is no class and 1 the first; None asks the data set.

    Raises:
        ValueError: A metric is unknown, or the classes are not known.
    """

    def __init__(
        self,
        dataset: Any = None,
        metric: str | Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        num_classes: int | None = None,
        ignore_index: int | None = None,
        nan_to_num: float | None = None,
        beta: float = 1,
        label_map: Mapping[int, int] | None = None,
        reduce_zero_label: bool | None = None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        names = getattr(dataset, 'CLASSES', None) or range(num_classes or 0)
        self.class_names = tuple(str(name) for name in names)
        self.num_classes = num_classes or len(self.class_names)
        if not self.num_classes or len(self.class_names) != self.num_classes:
            raise ValueError(f'the data set has {len(self.class_names)} classes, num_classes is {num_classes}')
        self.ignore_index = getattr(dataset, 'ignore_index', 255) if ignore_index is None else ignore_index
        self.label_map = label_map
        says = getattr(dataset, 'reduce_zero_label', False)
        self.reduce_zero_label = bool(says if reduce_zero_label is None else reduce_zero_label)
        asked = [metric] if isinstance(metric, (str, Mapping)) else list(metric or ())
        nodes = [each for each in asked if isinstance(each, Mapping)]
        named = [each for each in asked if not isinstance(each, Mapping)]
        self._named = IoUMetric(self.ignore_index, named or ('mIoU',), nan_to_num, beta)
        self.parts.append((self._named, self._named_values if named or not nodes else dict))
        built = [METRICS.of('segmentation').build(node) for node in nodes]
        self.parts += [(each, each.compute) for each in built]

    # ------------------------------------------------------------------ counting

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Count one batch.

        Args:
            results: :class:`~intarsia.tasks.segmentation.results.SegmentationResult` of each image.
            batch: ``gt_semantic_seg`` ``(N, 1, H, W)`` of the size of the results, as training sees it, or else
                ``sample_idx`` ``(N,)``.

        Raises:
            DataError: There are no true masks, or they do not fit the results.
        """
        for result, target_hw in zip(results, self._targets(batch), strict=True):
            for metric, _ in self.parts:
                metric.update(result.mask, target_hw, self.num_classes)

    def _targets(self, batch: Mapping[str, Any]) -> Iterator[np.ndarray]:
        if 'gt_semantic_seg' in batch:
            for mask in batch['gt_semantic_seg']:
                array = torch.as_tensor(mask).cpu().numpy()
                yield array.reshape(array.shape[-2:])
            return
        if 'sample_idx' not in batch or not hasattr(self.dataset, 'get_gt_seg_map_by_idx'):
            raise DataError(
                "there is nothing to compare results with: the pipeline does not keep 'gt_semantic_seg' "
                'and the data set has no get_gt_seg_map_by_idx(index)'
            )
        for index in torch.as_tensor(batch['sample_idx']).reshape(-1).tolist():
            target_hw = self.dataset.get_gt_seg_map_by_idx(index)
            yield relabel(target_hw, self.label_map, self.reduce_zero_label, self.ignore_index)

    def _named_values(self) -> dict[str, float]:
        scores = self._named.scores()
        values = {name: round(value / 100, 4) for name, value in mean_scores(scores).items()}
        for name, value_c in scores.items():
            if name != 'aAcc':
                each = zip(self.class_names, percent(value_c) / 100, strict=True)
                values.update({f'{name}.{class_name}': round(float(value), 4) for class_name, value in each})
        return values

    @property
    def confusion_matrix(self) -> np.ndarray | None:
        """Pixels of each true class (rows) and answered class (columns), int64 ``(C, C)``; None so far."""
        return self._named.pairs[:-1, :-1] if self._named.state() else None

    def table(self) -> str:
        """What was counted so far, class by class, for the terminal."""
        return class_table(self.class_names, self._named.scores())
