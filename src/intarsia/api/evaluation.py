"""Which evaluator measures a data set: its own, the task's, or metrics that take results as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from intarsia.api.tasks import Task
from intarsia.config.schema import EvaluationConfig
from intarsia.core.registries import METRICS
from intarsia.engine.evaluator import Evaluator, Evaluators


def make_evaluator(task: Task, dataset: Any, evaluation: EvaluationConfig) -> Evaluator:
    """The metrics of a data set.

    A data set with ``make_evaluator(evaluation)`` brings its own, unless that gives None. A metric whose class says
    ``takes_results = True`` is an evaluator itself; it is told what it measures by ``observe(dataset, task)``.

    Raises:
        ConfigError: A metric is unknown, or its arguments do not fit.
    """
    own = dataset.make_evaluator(evaluation) if hasattr(dataset, 'make_evaluator') else None
    if own is not None:
        return own
    asked = evaluation.metric
    nodes: list[Any] = list(asked) if isinstance(asked, (list, tuple)) else [asked]
    whole = [node for node in nodes if _takes_results(node, task.name)]
    if not whole:
        return task.make_evaluator(dataset, evaluation)
    evaluators = [METRICS.of(task.name).build(node) for node in whole]
    for each in evaluators:
        each.observe(dataset, task.name)
    others = [node for node in nodes if node not in whole]
    if others:
        evaluators.append(task.make_evaluator(dataset, dataclasses.replace(evaluation, metric=others)))
    return evaluators[0] if len(evaluators) == 1 else Evaluators(evaluators)


def _takes_results(node: Any, task: str) -> bool:
    kind = node.get('type') if isinstance(node, Mapping) else None
    component = METRICS.of(task).user_component(kind) if isinstance(kind, str) else None
    return component is not None and getattr(component.target, 'takes_results', False)
