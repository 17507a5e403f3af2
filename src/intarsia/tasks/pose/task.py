"""Pose estimation, as the assembly of runs sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.config.pipelines import image_shape
from intarsia.config.schema import EvaluationConfig
from intarsia.core.errors import ConfigError, Problem
from intarsia.engine.evaluator import Evaluator
from intarsia.tasks.pose.complete import complete
from intarsia.tasks.pose.datasets.annotation_check import check_annotations
from intarsia.tasks.pose.map_check import check_maps
from intarsia.tasks.pose.metrics.evaluator import PoseEvaluator
from intarsia.tasks.pose.results import PoseResult
from intarsia.tasks.pose.visualize import draw_person, draw_poses

NEEDS_JOINTS = ('TopDownGenerateTarget', 'BottomUpGenerate', 'GenerateTarget')
"""How the names of steps begin that make targets of joints."""


class PoseTask:
    """The joints of people, animals, hands or faces are found."""

    name = 'pose'
    evaluated_at_once = None

    def make_evaluator(self, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
        """The metrics that ``evaluation`` names, or those of the data set."""
        try:
            return PoseEvaluator(dataset, evaluation.metric, evaluation.metric_options)
        except (TypeError, ValueError) as error:
            raise ConfigError(Problem('bad-config', str(error), 'evaluation.metric')) from error

    def draw(self, image: np.ndarray, result: PoseResult) -> np.ndarray:
        """The image with the people found in it."""
        return draw_poses(image, result)

    def draw_sample(self, image: np.ndarray, sample: Mapping[str, Any], dataset: Any) -> np.ndarray:
        """The image with its true joints."""
        metas = sample.get('img_metas') or {}
        if 'joints_3d' not in metas:
            return image
        picture = image.copy()
        joints, visible = np.asarray(metas['joints_3d']), np.asarray(metas['joints_3d_visible'])
        people = zip(joints[None] if joints.ndim == 2 else joints, visible[None] if visible.ndim == 2 else visible,
                     strict=True)  # fmt: skip
        for joints_k3, visible_k3 in people:
            draw_person(picture, joints_k3[:, :2], visible_k3[:, 0] > 0, getattr(dataset, 'info', None))
        return picture

    def check_data(self, dataset: Any) -> list[Problem]:
        """Annotations that do not fit the joints or the images."""
        return check_annotations(dataset)

    def complete(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The config with a codec and the joints in its model, and the codec in its data sets."""
        return complete(values)

    def input_shape(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """Channels, height and width: of the codec's ``input_size`` (width and height), if there is one."""
        channels, *size = image_shape(values)
        codec = values['model'].get('codec')
        if isinstance(codec, Mapping) and codec.get('input_size'):
            width, height = codec['input_size']
            size = [int(height), int(width)]
        return (channels, *size)

    def check_output(self, model: Any, output: Any) -> list[Problem]:
        """Maps of another number than the joints, or of another size than those of the codec."""
        return check_maps(model, output)

    def images_pipeline(
        self, pipeline: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """The pipeline without targets, after a step that makes a sample of an image and a box."""
        nodes = [node for node in pipeline if not str(node.get('type', '')).startswith(NEEDS_JOINTS)]
        told = {key: model[key] for key in ('codec', 'dataset_info') if model.get(key) is not None}
        return [dict(type='PersonInBox', **told), *nodes]


TASK = PoseTask()
