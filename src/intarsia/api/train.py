"""Training: a checked config becomes a run, and the run is run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from intarsia.api.data import build_loader
from intarsia.api.models import build_model
from intarsia.api.probe import probe_model
from intarsia.api.tasks import Task, find_task
from intarsia.config.check import checked, located, policy_hook
from intarsia.config.dump import dump_python
from intarsia.config.file import ConfigFile
from intarsia.config.schema import EvaluationConfig, RunConfig, RunnerConfig, to_run_config
from intarsia.core import registries
from intarsia.core.arguments import signature_of
from intarsia.core.errors import CheckpointError, ConfigError, Problem
from intarsia.engine.checkpoint.state import find_newest
from intarsia.engine.environment import draw_seed, environment, pick_device, seed_everything
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.engine.hooks.iter_timer import IterTimerHook
from intarsia.engine.log.text import make_logger
from intarsia.engine.priority import Priority
from intarsia.engine.runner import BaseRunner
from intarsia.engine.signals import stop_on_signals
from intarsia.nn.weights import find_weights, read_checkpoint
from intarsia.optim.build import build_optimizer


@dataclass
class TrainResult:
    """What came of a training.

    Attributes:
        work_dir: Where everything was written.
        metrics: Of the last evaluation.
        epoch: Complete epochs.
        iter: Complete iterations.
        stopped_by: Signal that ended the run early, or None.
    """

    work_dir: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    iter: int = 0
    stopped_by: int | None = None


def train(config: ConfigFile, *, validate: bool = True, console: Any = None) -> TrainResult:
    """Check a config, assemble its run and run it.

    Args:
        config: As read, with the command line's values applied.
        validate: Whether it is evaluated during training.
        console: A ``rich.console.Console`` for a live display; None logs plain lines.

    Raises:
        ConfigError: The config has mistakes.
        CheckpointError: A checkpoint is missing, broken or does not fit.
    """
    try:
        return _train(config, validate=validate, console=console)
    except ConfigError as error:
        raise located(error, config) from error


def _train(config: ConfigFile, *, validate: bool, console: Any) -> TrainResult:
    run = to_run_config(checked(config).values)
    _need(run)
    pick_device(run.device)  # before anything is written
    problems = probe_model(config)
    if problems:
        raise ConfigError(problems)
    work_dir = Path(run.work_dir or Path('work_dirs') / (config.file.stem if config.file else 'run'))
    checkpoint = _checkpoint_to_resume(run, work_dir)
    run = replace(run, seed=_seed(run, checkpoint))
    runner, loaders = assemble(run, config, work_dir, validate=validate, console=console)
    if checkpoint is not None:
        runner.resume(checkpoint)
    elif run.load_from:
        _load_weights(runner, run.load_from)
    if _is_complete(runner):
        runner.logger.info(f'{checkpoint} is the end of this run; there is nothing to do')
        return TrainResult(work_dir, {}, runner.epoch, runner.iter)
    with stop_on_signals(runner) as stop:
        runner.run(loaders, [(str(mode), int(n)) for mode, n in run.workflow])
    if stop.signal is not None:
        file = runner.save_checkpoint(f'iter_{runner.iter}.pth')
        runner.logger.info(f'stopped after iteration {runner.iter}; continue with --resume-from {file}')
    return TrainResult(work_dir, runner.metrics, runner.epoch, runner.iter, stop.signal)


def _load_weights(runner: BaseRunner, name: str) -> None:
    try:
        runner.load_checkpoint(find_weights(name))
    except CheckpointError as error:
        part = f"dict(type='Pretrained', checkpoint='{name}', prefix='backbone')"
        error.add_note(
            f'load_from takes the weights of the same model; for its backbone alone: model.backbone.init_cfg = {part}'
        )
        raise


def assemble(
    run: RunConfig, config: ConfigFile, work_dir: Path, *, validate: bool = True, console: Any = None
) -> tuple[BaseRunner, list[Any]]:
    """Build every part of a run: model, optimizer, loaders, hooks, runner.

    Returns:
        The runner, with its hooks registered, and one loader for every flow of the workflow.
    """
    timestamp = time.strftime('%Y%m%d_%H%M%S')
    logger = make_logger(work_dir, timestamp, run.log_level, console)
    _say_start(logger, run, config, work_dir, timestamp)
    _set_up_process(run)
    task, device = find_task(run.model, run.task), pick_device(run.device)
    seed = run.seed or 0
    modes = [str(mode) for mode, _ in run.workflow]
    loaders = {mode: build_loader(run, mode, task, device, seed, for_loss=True) for mode in dict.fromkeys(modes)}
    model = build_model(run.model).to(device)
    classes = getattr(loaders['train'].dataset, 'CLASSES', None)
    model.classes = classes if classes is not None else getattr(model, 'classes', None)
    assert run.optimizer is not None
    assert run.runner is not None
    length = {k: v for k, v in (('max_epochs', run.runner.max_epochs), ('max_iters', run.runner.max_iters)) if v}
    runner: BaseRunner = registries.RUNNERS.get(run.runner.type)(
        model,
        optimizer=build_optimizer(model, run.optimizer),
        work_dir=work_dir,
        logger=logger,
        meta=_meta(run, config, classes),
        seed=seed,
        **length,
    )
    runner.timestamp = timestamp
    register_hooks(runner, run)
    if validate and run.data.val is not None:
        _register_evaluation(runner, run, task, device)
    if console is not None:
        runner.register_hook(registries.HOOKS.build(dict(type='ProgressBarHook', console=console)), Priority.LOWEST)
    logger.debug(runner.get_hook_info())
    return runner, [loaders[mode] for mode in modes]


def register_hooks(runner: BaseRunner, run: RunConfig) -> None:
    """Give every hook of the config its seat, default ones first."""
    hooks = registries.HOOKS
    if run.lr_config is not None:
        schedule = dict(run.lr_config)
        hook_type = schedule.pop('type', None) or policy_hook(schedule.pop('policy'), 'LrUpdaterHook')
        if not runner.by_epoch:
            schedule.setdefault('by_epoch', False)
        runner.register_hook(_build_schedule(hook_type, schedule, runner), Priority.VERY_HIGH)
    runner.register_hook(hooks.build({'type': 'OptimizerHook', **run.optimizer_config}), Priority.ABOVE_NORMAL)
    if run.checkpoint_config is not None:
        runner.register_hook(hooks.build({'type': 'CheckpointHook', **run.checkpoint_config}), Priority.NORMAL)
    runner.register_hook(IterTimerHook(), Priority.LOW)
    for node in run.log_config.hooks if run.log_config is not None else ():
        assert run.log_config is not None
        arguments = {'interval': run.log_config.interval, **node}
        seat = arguments.pop('priority', Priority.VERY_LOW)
        runner.register_hook(hooks.build(arguments), seat)
    for node in run.custom_hooks:
        runner.register_hook_from_cfg(node)


def _build_schedule(hook_type: str, node: dict[str, Any], runner: BaseRunner) -> Any:
    """Build a schedule; one whose constructor asks for ``runner``, as some tutorials write it, gets it."""
    wants_runner = 'runner' in signature_of(registries.HOOKS.get(hook_type)).arguments
    return registries.HOOKS.build({'type': hook_type, **node}, **({'runner': runner} if wants_runner else {}))


def _register_evaluation(runner: BaseRunner, run: RunConfig, task: Task, device: torch.device) -> None:
    evaluation = run.evaluation or EvaluationConfig()
    loader = build_loader(run, 'val', task, device, run.seed or 0)
    hook = EvalHook(
        loader,
        task.make_evaluator(loader.dataset, evaluation),
        interval=evaluation.interval,
        start=evaluation.start,
        by_epoch=evaluation.by_epoch,
        save_best=evaluation.save_best,
        rule=evaluation.rule,
    )
    runner.register_hook(hook, Priority.LOW)


def _need(run: RunConfig) -> None:
    """Fields that training cannot do without."""
    missing = [n for n in ('optimizer', 'runner') if getattr(run, n) is None]
    problems = [Problem('missing-field', f"training needs '{name}'.", name) for name in missing]
    if run.data.train is None:
        problems.append(Problem('missing-field', "training needs 'data.train'.", 'data.train'))
    if isinstance(run.runner, RunnerConfig) and not (run.runner.max_epochs or run.runner.max_iters):
        problems.append(Problem('missing-field', "'runner' needs max_epochs or max_iters.", 'runner'))
    if problems:
        raise ConfigError(problems)


def _checkpoint_to_resume(run: RunConfig, work_dir: Path) -> Path | None:
    if run.resume_from:
        return find_weights(run.resume_from)
    newest = find_newest(work_dir) if run.auto_resume else None
    if run.auto_resume and newest is None:
        logging.getLogger('intarsia').warning('no checkpoint to resume in %s, so the run starts afresh', work_dir)
    return newest


def _seed(run: RunConfig, checkpoint: Path | None) -> int:
    """The seed of the config, or of the run that is resumed, or a new one."""
    if run.seed is not None:
        return run.seed
    stored = read_checkpoint(checkpoint).get('meta', {}).get('seed') if checkpoint is not None else None
    return int(stored) if stored is not None else draw_seed()


def _is_complete(runner: BaseRunner) -> bool:
    if runner.max_epochs is not None:
        return runner.epoch >= runner.max_epochs
    return runner.max_iters is not None and runner.iter >= runner.max_iters


def _set_up_process(run: RunConfig) -> None:
    import cv2

    cv2.setNumThreads(run.opencv_num_threads)
    torch.backends.cudnn.benchmark = run.cudnn_benchmark
    seed_everything(run.seed or 0, run.deterministic)


def _say_start(logger: logging.Logger, run: RunConfig, config: ConfigFile, work_dir: Path, timestamp: str) -> None:
    logger.info(f'seed {run.seed}, work directory {work_dir}')
    for name, registry in registries.all_registries().items():
        if registry.root is registry:
            for component in registry.replaced_builtins():
                logger.info(f"'{component.name}' of {name} is yours ({component.place}); it replaces the built-in one")
    name = config.file.stem if config.file else timestamp
    (work_dir / f'{name}.py').write_text(dump_python(config.values), encoding='utf-8')


def _meta(run: RunConfig, config: ConfigFile, classes: Any) -> Mapping[str, Any]:
    return {
        'env_info': '\n'.join(f'{k}: {v}' for k, v in environment().items()),
        'config': dump_python(config.values),
        'exp_name': config.file.name if config.file else '',
        'seed': run.seed,
        'argv': ' '.join(sys.argv),
        **({'CLASSES': list(classes)} if classes is not None else {}),
    }
