"""Data sets of the first generation as old code subclasses them: ``load_annotations``, ``evaluate``, ``data_infos``.

Rows of a data set are pickled into shared memory; ``data_infos``, ``img_infos`` and ``video_infos`` give them back.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from intarsia.openmmlab.generations import overrides
from intarsia.openmmlab.samples import SAMPLES
from intarsia.openmmlab.transforms import fresh_generator
from intarsia.tasks.action.datasets.clip_dataset import ClipDataset
from intarsia.tasks.classification.datasets.base import ClassificationDataset
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset
from intarsia.tasks.segmentation.datasets.custom import CustomDataset as MaskDataset


class OldDataset:
    """What old data sets have beside what ours have."""

    task: ClassVar[str]

    @property
    def data_infos(self) -> Sequence[Any]:
        """All annotations."""
        return self.annotations

    img_infos = video_infos = data_infos

    def prepare_data(self, index: int) -> Any:
        """The sample of an index, after the pipeline."""
        return self.pipeline(copy.deepcopy(self.prepare(index)), fresh_generator())

    prepare_train_img = prepare_test_img = prepare_train_frames = prepare_test_frames = prepare_data

    def make_evaluator(self, evaluation: Any) -> Any:
        """An evaluator that calls the subclass's ``evaluate``; None if it has none."""
        return DatasetEvaluator(self, self.task, evaluation) if overrides(self, 'evaluate') else None

    def evaluate(self, results: Sequence[Any], metric: Any = None, logger: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Metrics of answers for all samples, in order.

        Args:
            results: What ``simple_test`` gives for each sample.
            metric: Names of metrics, or nodes.
            logger: Not used.
            kwargs: ``metric_options``.
        """
        import importlib

        from intarsia.config.schema import EvaluationConfig

        task = importlib.import_module(f'intarsia.tasks.{self.task}.task').TASK
        options = kwargs.get('metric_options') or {}
        evaluator = task.make_evaluator(self, EvaluationConfig(metric=metric, metric_options=options))
        samples = SAMPLES[self.task]
        answers = [part for each in results for part in (samples.split(each) if isinstance(each, Mapping) else [each])]
        for index, answer in enumerate(answers):
            evaluator.update([samples.result_of_answer(answer, self)], {'sample_idx': np.array([index])})
        return evaluator.compute()

    @property
    def classes(self) -> Any:
        """Names of the classes, for results."""
        return getattr(self, 'CLASSES', None)


class DatasetEvaluator:
    """Collects answers of all samples in their order, and asks the data set.

    Args:
        dataset: With ``evaluate(results, ...)``.
        task: Whose results.
        evaluation: The section of the config; ``metric`` and ``metric_options`` are handed on.
    """

    def __init__(self, dataset: Any, task: str, evaluation: Any) -> None:
        self.dataset, self.samples = dataset, SAMPLES[task]
        given = {'metric': evaluation.metric, 'metrics': evaluation.metric, **dict(evaluation.metric_options)}
        self.arguments = {name: value for name, value in given.items() if value is not None}
        self.answers: dict[int, Any] = {}

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Keep the answers of one batch."""
        metas = batch.get('img_metas') or [{}] * len(results)
        for index, result, meta in zip(batch['sample_idx'], results, metas, strict=True):
            self.answers[int(index)] = self.samples.answer_of(result, meta)

    def compute(self) -> dict[str, Any]:
        """What ``evaluate`` gives."""
        answers = [self.answers[index] for index in sorted(self.answers)]
        parameters = inspect.signature(self.dataset.evaluate).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        known = {k: v for k, v in self.arguments.items() if k in parameters or (takes_all and k != 'metrics')}
        return dict(self.dataset.evaluate(answers, **known))

    def table(self) -> str:
        """Nothing: an old data set prints its own."""
        return ''

    def state(self) -> dict[int, Any]:
        """The answers."""
        return dict(self.answers)

    def merge(self, state: Mapping[int, Any]) -> None:
        """Add those of another process."""
        self.answers.update(state)

    def reset(self) -> None:
        """Forget them."""
        self.answers = {}


# ---------------------------------------------------------------------- the first generation


class ClassDataset(OldDataset, ClassificationDataset):
    """MMClassification's base: ``load_annotations`` gives dicts with ``img_prefix``, ``img_info`` and ``gt_label``."""

    task = 'classification'


class SegDataset(OldDataset, MaskDataset):
    """MMSegmentation's ``CustomDataset``."""

    task = 'segmentation'


class OldPoseDataset(OldDataset):
    """What old data sets of people have beside what ours have."""

    task = 'pose'

    def evaluate(
        self, results: Sequence[Any], res_folder: Any = None, metric: Any = 'mAP', **kwargs: Any
    ) -> dict[str, Any]:
        """Metrics of answers for all samples, in order; ``res_folder`` is not used."""
        return super().evaluate(results, metric, **kwargs)


class PoseDataset(OldPoseDataset, TopDownCocoDataset):
    """MMPose's data set of single people in images."""


class ActionDataset(OldDataset, ClipDataset):
    """MMAction2's base: ``load_annotations`` gives a dict for each clip."""

    task = 'action'

    def __init__(self, ann_file: str, pipeline: Sequence[Any] = (), *args: Any, **kwargs: Any) -> None:
        super().__init__(os.fspath(ann_file), pipeline, *args, **kwargs)
