"""Classification, as the assembly of runs sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.config.schema import EvaluationConfig
from intarsia.core.build import check_arguments
from intarsia.core.errors import ConfigError, Problem
from intarsia.engine.evaluator import Evaluator
from intarsia.tasks.classification.metrics.evaluator import ClassificationEvaluator
from intarsia.tasks.classification.results import ClassificationResult
from intarsia.tasks.classification.visualize import draw_label

ANNOTATION_KEYS = frozenset({'gt_label'})


class ClassificationTask:
    """Images get one label, or several."""

    name = 'classification'

    def make_evaluator(self, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
        """The metrics that ``evaluation`` names, or accuracy (for several labels an image: mAP)."""
        try:
            check_arguments(ClassificationEvaluator, dict(evaluation.metric_options))
            return ClassificationEvaluator(dataset, evaluation.metric, **evaluation.metric_options)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(Problem('bad-config', str(error), 'evaluation')) from error

    def draw(self, image: np.ndarray, result: ClassificationResult) -> np.ndarray:
        """The image with its label and score below it."""
        return draw_label(image, result)

    def images_pipeline(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The pipeline without labels, reading the image if it does not."""
        nodes: list[Mapping[str, Any]] = []
        for node in pipeline:
            keys = node.get('keys')
            if node.get('type') in ('Collect', 'ToTensor') and isinstance(keys, (list, tuple)):
                kept = [key for key in keys if key not in ANNOTATION_KEYS]
                if kept:
                    nodes.append({**node, 'keys': kept})
            else:
                nodes.append(node)
        if not any(node.get('type') == 'LoadImageFromFile' for node in nodes):
            nodes.insert(0, dict(type='LoadImageFromFile'))
        return nodes


TASK = ClassificationTask()
