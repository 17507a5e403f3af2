"""Testing a checkpoint on ``data.test``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia.api.data import build_loader
from intarsia.api.evaluation import make_evaluator
from intarsia.api.models import load_model
from intarsia.api.place import Place, find_place
from intarsia.api.tasks import find_task, ready
from intarsia.config.file import ConfigFile
from intarsia.config.schema import EvaluationConfig, RunConfig, to_run_config
from intarsia.core.errors import ConfigError, Problem
from intarsia.engine.distributed import stop
from intarsia.engine.evaluation import evaluate


def test(config: ConfigFile, checkpoint: str | Path) -> Mapping[str, Any]:
    """Evaluate a checkpoint on ``data.test``; several processes share the samples.

    Returns:
        ``metrics``, ``num_samples`` and ``checkpoint``, the same in all processes; ``table``, the metrics of every
        class as text.

    Raises:
        ConfigError: The config has mistakes or no ``data.test``.
        CheckpointError: The checkpoint is missing, broken or does not fit.
    """
    config = ready(config)
    run = to_run_config(config.values)
    if run.data.test is None:
        raise ConfigError(Problem('missing-field', "testing needs 'data.test'.", 'data.test'))
    place = find_place(run)
    try:
        return _test(run, config, checkpoint, place)
    finally:
        stop()


def _test(run: RunConfig, config: ConfigFile, checkpoint: str | Path, place: Place) -> Mapping[str, Any]:
    model = load_model(config, checkpoint, device=str(place.device))
    task = find_task(run.model, run.task)
    loader = build_loader(run, 'test', task, place, run.seed or 0)
    evaluator = make_evaluator(task, loader.dataset, run.evaluation or EvaluationConfig())
    metrics = evaluate(model, loader, evaluator)
    return {
        'metrics': metrics,
        'num_samples': len(loader.dataset),
        'checkpoint': str(checkpoint),
        'table': evaluator.table(),
    }
