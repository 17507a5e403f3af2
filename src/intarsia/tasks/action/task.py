"""Action recognition and temporal localization, as the assembly of runs sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.config.schema import EvaluationConfig
from intarsia.core.errors import ConfigError, Problem
from intarsia.data.io.caption import write_below
from intarsia.data.io.image import write_image
from intarsia.data.io.video import VIDEO_SUFFIXES
from intarsia.engine.evaluator import Evaluator
from intarsia.tasks.action.clip_check import check_clips
from intarsia.tasks.action.clip_shape import clip_shape
from intarsia.tasks.action.datasets.segment_check import check_segments
from intarsia.tasks.action.localization_result import LocalizationResult
from intarsia.tasks.action.metrics.evaluator import ActionEvaluator
from intarsia.tasks.action.metrics.localization_evaluator import LocalizationEvaluator
from intarsia.tasks.action.results import ActionResult
from intarsia.tasks.action.timeline import draw_timeline
from intarsia.tasks.action.video_steps import reading_videos
from intarsia.tasks.action.visualize import caption, caption_video

TARGETS = frozenset({'label', 'gt_bbox', 'gt_labels'})
"""What only training asks of a pipeline."""


class ActionTask:
    """A clip gets its class; a long video gets the segments in which something happens."""

    name = 'action'
    evaluated_at_once = None
    suffixes = VIDEO_SUFFIXES

    def make_evaluator(self, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
        """The metrics that ``evaluation`` names, or those that are usual for the data."""
        kind = LocalizationEvaluator if hasattr(dataset, 'truth') else ActionEvaluator
        try:
            return kind(dataset, evaluation.metric, evaluation.metric_options)
        except (TypeError, ValueError) as error:
            raise ConfigError(Problem('bad-config', str(error), 'evaluation.metric')) from error

    def draw(self, image: np.ndarray, result: ActionResult) -> np.ndarray:
        """The frame with the best class below it."""
        return caption(image, result)

    def draw_sample(self, image: np.ndarray, sample: Mapping[str, Any], dataset: Any) -> np.ndarray:
        """The frames with their label below them."""
        if 'label' not in sample:
            return image
        target = np.asarray(sample['label'])
        labels = np.flatnonzero(target > 0).tolist() if target.size > 1 else [int(target.item())]
        names = getattr(dataset, 'CLASSES', None)
        return write_below(image, ', '.join(str(names[label] if names else label) for label in labels))

    def show(self, file: Path, result: Any, folder: Path) -> Path:
        """Write the video with its answer; the timeline of a stream as a picture."""
        if isinstance(result, LocalizationResult):
            output = folder / f'{file.stem}.png'
            write_image(draw_timeline(result), output)
            return output
        output = folder / f'{file.stem}.mp4'
        caption_video(file, result, output)
        return output

    def check_data(self, dataset: Any) -> list[Problem]:
        """Segments and labels that cannot be right, and files that are missing."""
        return [*check_segments(dataset), *check_clips(dataset)]

    def input_shape(self, values: Mapping[str, Any]) -> tuple[int, ...] | None:
        """Frames or clips, channels, (frames,) height and width of a clip; None for what is no clip."""
        return clip_shape(values)

    def check_output(self, model: Any, output: Any) -> list[Problem]:
        """Nothing: how many classes there are is checked in the config."""
        return []

    def images_pipeline(
        self, pipeline: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """The pipeline without labels, reading video files even if the data set holds frames."""
        return reading_videos([node for node in map(_without_targets, pipeline) if node is not None])

    def complete(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same: the number of classes is all that model and data share, and that is checked."""
        return values


def _without_targets(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A step that does not ask for labels; None if nothing is left of it."""
    if node.get('fields'):
        fields = [each for each in node['fields'] if each['key'] not in TARGETS]
        return {**node, 'fields': fields} if fields else None
    keys = node.get('keys')
    if not isinstance(keys, (list, tuple)):
        return node
    kept = [key for key in keys if key not in TARGETS]
    return {**node, 'keys': kept} if kept else None


TASK = ActionTask()
