"""Training: a checked config becomes a run, and the run is run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from intarsia.api.assemble import NO_PARTS, assemble
from intarsia.api.parts import Parts
from intarsia.api.place import Place, find_place
from intarsia.api.probe import probe_model
from intarsia.api.tasks import ready
from intarsia.config.check import located
from intarsia.config.file import ConfigFile
from intarsia.config.schema import RunConfig, RunnerConfig, to_run_config
from intarsia.core.errors import CheckpointError, ConfigError, Problem
from intarsia.engine.checkpoint.files import find_newest, find_run, read_meta
from intarsia.engine.distributed import from_first, stop
from intarsia.engine.environment import draw_seed
from intarsia.engine.runner import BaseRunner
from intarsia.engine.signals import stop_on_signals
from intarsia.nn.weights import find_weights


@dataclass
class TrainResult:
    """What came of a training.

    Attributes:
        work_dir: Where everything was written.
        metrics: Of the last evaluation.
        epoch: Complete epochs.
        iter: Complete iterations.
        stopped_by: Signal that ended the run early, or None.
        rank: Which of the processes that train together this was.
    """

    work_dir: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    iter: int = 0
    stopped_by: int | None = None
    rank: int = 0


def train(config: ConfigFile, *, validate: bool = True, console: Any = None, parts: Parts = NO_PARTS) -> TrainResult:
    """Check a config, assemble its run and run it.

    Args:
        config: As read, with the command line's values applied.
        validate: Whether it is evaluated during training.
        console: A ``rich.console.Console`` for a live display; None logs plain lines.
        parts: What has been built already.

    Raises:
        ConfigError: The config has mistakes.
        CheckpointError: A checkpoint is missing, broken or does not fit.
    """
    try:
        return _train(config, validate=validate, console=console, parts=parts)
    except ConfigError as error:
        raise located(error, config) from error


def _train(config: ConfigFile, *, validate: bool, console: Any, parts: Parts) -> TrainResult:
    config = ready(config)
    run = to_run_config(config.values)
    _need(run)
    problems = probe_model(config) if parts.model is None else []
    if problems:
        raise ConfigError(problems)
    work_dir = Path(run.work_dir or Path('work_dirs') / (config.file.stem if config.file else 'run'))
    place = find_place(run, work_dir)
    place = replace(place, timestamp=parts.timestamp or place.timestamp)
    try:
        return _run(run, config, place, work_dir, validate=validate, console=console, parts=parts)
    finally:
        stop()


def _run(
    run: RunConfig, config: ConfigFile, place: Place, work_dir: Path, *, validate: bool, console: Any, parts: Parts
) -> TrainResult:
    checkpoint = from_first(_checkpoint_to_resume(run, work_dir))
    run = replace(run, seed=from_first(_seed(run, checkpoint)))
    runner, loaders = assemble(run, config, place, validate=validate, console=console, parts=parts)
    if checkpoint is not None:
        runner.resume(checkpoint)
    elif run.load_from:
        _load_weights(runner, run.load_from)
    if _is_complete(runner):
        runner.logger.info(f'{checkpoint} is the end of this run; there is nothing to do')
        return TrainResult(work_dir, {}, runner.epoch, runner.iter, rank=runner.rank)
    try:
        with stop_on_signals(runner) as request:
            runner.run(loaders, [(str(mode), int(n)) for mode, n in run.workflow])
        if request.signal is not None:
            file = runner.save_checkpoint(f'iter_{runner.iter}{runner.strategy.checkpoint_suffix}')
    finally:
        runner.strategy.finish()
    if request.signal is not None:
        runner.logger.info(f'stopped after iteration {runner.iter}; continue with --resume-from {file}')
    return TrainResult(work_dir, runner.metrics, runner.epoch, runner.iter, request.signal, runner.rank)


def _load_weights(runner: BaseRunner, name: str) -> None:
    try:
        runner.load_checkpoint(find_weights(name))
    except CheckpointError as error:
        part = f"dict(type='Pretrained', checkpoint='{name}', prefix='backbone')"
        error.add_note(
            f'load_from takes the weights of the same model; for its backbone alone: model.backbone.init_cfg = {part}'
        )
        raise


def _need(run: RunConfig) -> None:
    """Fields that training cannot do without."""
    missing = [n for n in ('optimizer', 'runner') if getattr(run, n) is None]
    problems = [Problem('missing-field', f"training needs '{name}'.", name) for name in missing]
    if run.data.train is None:
        problems.append(Problem('missing-field', "training needs 'data.train'.", 'data.train'))
    if isinstance(run.runner, RunnerConfig) and not (run.runner.max_epochs or run.runner.max_iters):
        problems.append(Problem('missing-field', "'runner' needs max_epochs or max_iters.", 'runner'))
    if run.compile and run.activation_checkpointing:
        message = 'torch.compile cannot look through activation_checkpointing; choose one of the two.'
        problems.append(Problem('bad-config', message, 'activation_checkpointing'))
    if run.auto_scale_lr is not None and run.auto_scale_lr.enable and not run.auto_scale_lr.base_batch_size:
        message = 'scaling the learning rate needs auto_scale_lr.base_batch_size, the batch size it was made for.'
        problems.append(Problem('missing-field', message, 'auto_scale_lr'))
    if problems:
        raise ConfigError(problems)


def _checkpoint_to_resume(run: RunConfig, work_dir: Path) -> Path | None:
    if run.resume_from:
        return find_run(run.resume_from)
    newest = find_newest(work_dir) if run.auto_resume else None
    if run.auto_resume and newest is None:
        logging.getLogger('intarsia').warning('no checkpoint to resume in %s, so the run starts afresh', work_dir)
    return newest


def _seed(run: RunConfig, checkpoint: Path | None) -> int:
    """The seed of the config, or of the run that is resumed, or a new one."""
    if run.seed is not None:
        return run.seed
    stored = read_meta(checkpoint).get('seed') if checkpoint is not None else None
    return int(stored) if stored is not None else draw_seed()


def _is_complete(runner: BaseRunner) -> bool:
    if runner.max_epochs is not None:
        return runner.epoch >= runner.max_epochs
    return runner.max_iters is not None and runner.iter >= runner.max_iters
