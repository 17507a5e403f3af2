"""Segmentation, as the assembly of runs sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.config.pipelines import image_shape
from intarsia.config.schema import EvaluationConfig
from intarsia.core.build import check_arguments
from intarsia.core.errors import ConfigError, Problem
from intarsia.engine.evaluator import Evaluator
from intarsia.tasks.segmentation.datasets.mask_check import check_masks
from intarsia.tasks.segmentation.metrics.evaluator import SegmentationEvaluator
from intarsia.tasks.segmentation.results import SegmentationResult
from intarsia.tasks.segmentation.visualize import color_mask, draw_mask, palette_bgr

NEEDS_MASKS = frozenset({'LoadAnnotations', 'SegRescale'})


class SegmentationTask:
    """Every pixel of an image gets a class."""

    name = 'segmentation'
    evaluated_at_once = 1

    def make_evaluator(self, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
        """The metrics that ``evaluation`` names, or mIoU."""
        try:
            check_arguments(SegmentationEvaluator, dict(evaluation.metric_options))
            return SegmentationEvaluator(dataset, evaluation.metric, **evaluation.metric_options)
        except (TypeError, ValueError) as error:
            raise ConfigError(Problem('bad-config', str(error), 'evaluation.metric')) from error

    def draw(self, image: np.ndarray, result: SegmentationResult) -> np.ndarray:
        """The image under the colours of its classes, with a legend."""
        return draw_mask(image, result)

    def draw_sample(self, image: np.ndarray, sample: Mapping[str, Any], dataset: Any) -> np.ndarray:
        """The image beside the same under the colours of its true classes."""
        if 'gt_semantic_seg' not in sample:
            return image
        mask_hw = np.asarray(sample['gt_semantic_seg']).squeeze()
        count = len(dataset.CLASSES or ()) or int(mask_hw[mask_hw != 255].max(initial=0)) + 1
        return np.hstack([image, color_mask(image, mask_hw, palette_bgr(getattr(dataset, 'PALETTE', None), count))])

    def check_data(self, dataset: Any) -> list[Problem]:
        """Masks with values that are no class, of another size than their image, or missing."""
        return check_masks(dataset)

    def input_shape(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return image_shape(values)

    def check_output(self, model: Any, output: Any) -> list[Problem]:
        """Nothing: how many classes there are is checked in the config."""
        return []

    def images_pipeline(
        self, pipeline: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """The pipeline without the steps that need masks."""
        return [node for node in pipeline if node.get('type') not in NEEDS_MASKS]

    def complete(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same: the number of classes is all that model and data share, and that is checked."""
        return values


TASK = SegmentationTask()
