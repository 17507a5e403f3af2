"""What the assembly asks of a task. Each ``tasks/T/task.py`` answers with one object of this shape."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from intarsia.config.check import checked
from intarsia.config.file import ConfigFile
from intarsia.config.schema import EvaluationConfig
from intarsia.core.errors import ConfigError, Problem
from intarsia.core.registries import MODELS
from intarsia.engine.evaluator import Evaluator


class Task(Protocol):
    """One of the four tasks, as the assembly sees it."""

    name: str
    evaluated_at_once: int | None
    """Samples of a batch in evaluation unless the config says: 1 if images differ in size; None, as in training."""

    def make_evaluator(self, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
        """The metrics of a data set that ``evaluation`` asks for, or the task's own."""
        ...

    def draw(self, image: np.ndarray, result: Any) -> np.ndarray:
        """The picture that shows a result: uint8 BGR ``(H, W, 3)`` in and out."""
        ...

    def draw_sample(self, image: np.ndarray, sample: Mapping[str, Any], dataset: Any) -> np.ndarray:
        """The picture that shows a sample of the data with its target.

        Args:
            image: Its image, augmented, uint8 BGR ``(H, W, 3)``.
            sample: What the pipeline gave.
            dataset: Where it comes from.
        """
        ...

    def check_data(self, dataset: Any) -> list[Problem]:
        """Mistakes in the annotations that only a look at the files tells; quick, so of a part of them."""
        ...

    def input_shape(self, values: Mapping[str, Any]) -> tuple[int, ...] | None:
        """The shape of one input of the network, as far as a config tells; None if it does not."""
        ...

    def check_output(self, model: Any, output: Any) -> list[Problem]:
        """Where the raw output of a model does not fit the targets of its data: shapes only, it has no values."""
        ...

    def images_pipeline(
        self, pipeline: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """The test pipeline of a model's config, without the steps that need annotations."""
        ...

    def complete(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """A checked config with what its model and its data sets have to know of each other."""
        ...


@runtime_checkable
class FileTask(Task, Protocol):
    """A task that looks at whole files: at a video, not at its frames."""

    suffixes: frozenset[str]
    """Endings of the files that can be predicted."""

    def show(self, file: Path, result: Any, folder: Path) -> Path:
        """Write the picture, or the video, that shows the result for a file.

        Args:
            file: What was predicted.
            result: What was found.
            folder: Where to.

        Returns:
            The file that was written.
        """
        ...


def ready(config: ConfigFile, *, files: bool = True) -> ConfigFile:
    """The config, checked and completed by its task.

    Args:
        config: As read.
        files: Whether values that name missing files are mistakes.

    Raises:
        ConfigError: All mistakes, together.
    """
    found = checked(config, files=files)
    task = find_task(found.values['model'], found.values.get('task'))
    return dataclasses.replace(found, values=dict(task.complete(found.values)))


def find_task(model: Mapping[str, Any], fallback: str | None = None) -> Task:
    """The task a model config belongs to.

    Raises:
        ConfigError: The model belongs to none and ``fallback`` names none.
    """
    kind = model.get('type')
    name = fallback
    if isinstance(kind, str):
        name = MODELS.find(kind).task or fallback
    elif isinstance(kind, type):
        name = MODELS.task_for(kind) or fallback
    if name is None:
        message = f"{kind} belongs to no task; say which: task = 'classification'."
        raise ConfigError(Problem('missing-field', message, 'model.type'))
    return task_named(name)


def task_named(name: str) -> Task:
    """The task of a name: ``'classification'``, ``'segmentation'``, ``'pose'`` or ``'action'``."""
    return importlib.import_module(f'intarsia.tasks.{name}.task').TASK
