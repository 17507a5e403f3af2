"""Classification, as the assembly of runs sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.config.pipelines import image_shape
from intarsia.config.schema import EvaluationConfig
from intarsia.core.build import check_arguments
from intarsia.core.errors import ConfigError, Problem
from intarsia.data.io.caption import write_below
from intarsia.engine.evaluator import Evaluator
from intarsia.tasks.classification.metrics.evaluator import ClassificationEvaluator
from intarsia.tasks.classification.results import ClassificationResult

ANNOTATION_KEYS = frozenset({'gt_label'})


class ClassificationTask:
    """Images get one label, or several."""

    name = 'classification'
    evaluated_at_once = None

    def make_evaluator(self, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
        """The metrics that ``evaluation`` names, or accuracy (for several labels an image: mAP)."""
        try:
            check_arguments(ClassificationEvaluator, dict(evaluation.metric_options))
            return ClassificationEvaluator(dataset, evaluation.metric, **evaluation.metric_options)
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(Problem('bad-config', _sentence(error), 'evaluation.metric')) from error

    def draw(self, image: np.ndarray, result: ClassificationResult) -> np.ndarray:
        """The image with its label and score below it."""
        return write_below(image, str(result))

    def draw_sample(self, image: np.ndarray, sample: Mapping[str, Any], dataset: Any) -> np.ndarray:
        """The image with its label below it."""
        target = np.asarray(sample['gt_label']) if 'gt_label' in sample else None
        labels = [] if target is None else [int(target)] if target.ndim == 0 else np.flatnonzero(target > 0).tolist()
        names = getattr(dataset, 'CLASSES', None)
        return write_below(image, ', '.join(str(names[label] if names else label) for label in labels) or 'no label')

    def check_data(self, dataset: Any) -> list[Problem]:
        """Nothing: labels are checked when they are read."""
        return []

    def input_shape(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return image_shape(values)

    def check_output(self, model: Any, output: Any) -> list[Problem]:
        """Nothing: how many classes there are is checked in the config."""
        return []

    def images_pipeline(
        self, pipeline: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """The pipeline without labels, reading images even if the data set holds arrays.

        An image file is read in BGR order, or as grey if the pipeline normalises one channel.
        """
        nodes = [node for node in map(_without_labels, pipeline) if node is not None]
        if any(node.get('type') == 'LoadImageFromFile' for node in nodes):
            return nodes
        means = [node['mean'] for node in nodes if node.get('type') == 'Normalize']
        is_grey = bool(means) and len(means[0]) == 1
        loading = dict(type='LoadImageFromFile', color_type='grayscale' if is_grey else 'color')
        return [loading, *({**n, 'to_rgb': True} if n.get('type') == 'Normalize' else n for n in nodes)]

    def complete(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same: the number of classes is all that model and data share, and that is checked."""
        return values


def _sentence(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _without_labels(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A step that does not ask for labels; None if nothing is left of it."""
    keys = node.get('keys')
    if node.get('type') not in ('Collect', 'ToTensor') or not isinstance(keys, (list, tuple)):
        return node
    kept = [key for key in keys if key not in ANNOTATION_KEYS]
    return {**node, 'keys': kept} if kept else None


TASK = ClassificationTask()
