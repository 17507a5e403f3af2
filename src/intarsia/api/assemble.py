"""A checked config becomes the parts of a run. The only place that builds one."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from typing import Any

import torch

from intarsia.api.data import build_loader, loader_config
from intarsia.api.evaluation import make_evaluator
from intarsia.api.models import build_model, facts_of, tell_facts
from intarsia.api.parts import Parts
from intarsia.api.place import Place
from intarsia.api.tasks import Task, find_task
from intarsia.config.dump import dump_python
from intarsia.config.file import ConfigFile
from intarsia.config.optimizer import is_several
from intarsia.config.schema import EvaluationConfig, RunConfig
from intarsia.core import registries
from intarsia.core.errors import ConfigError
from intarsia.engine.activation_checkpointing import checkpoint_activations
from intarsia.engine.distributed import mean_of
from intarsia.engine.environment import environment, seed_everything
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.engine.log.text import make_logger
from intarsia.engine.precision import Precision
from intarsia.engine.priority import Priority
from intarsia.engine.runner import BaseRunner
from intarsia.engine.strategy import DataParallel, Strategy
from intarsia.engine.training_hooks import register_training_hooks
from intarsia.optim.build import build_optimizer
from intarsia.optim.groups import describe_groups

NO_PARTS = Parts()


def assemble(
    run: RunConfig,
    config: ConfigFile,
    place: Place,
    *,
    validate: bool = True,
    console: Any = None,
    parts: Parts = NO_PARTS,
) -> tuple[BaseRunner, list[Any]]:
    """Build every part of a run that is not there yet: model, optimizer, loaders, hooks, runner.

    Returns:
        The runner, with its hooks registered, and one loader for every flow of the workflow.
    """
    assert place.work_dir is not None
    logger = make_logger(place.work_dir, place.timestamp, run.log_level, console, place.world.rank)
    _say_start(logger, run, config, place)
    set_up_process(run)
    task, seed = find_task(run.model, run.task), run.seed or 0
    modes = [str(mode) for mode, _ in run.workflow]
    loaders = {
        mode: build_loader(run, mode, task, place, seed, for_loss=True, dataset=parts.datasets.get(mode))
        for mode in dict.fromkeys(modes)
    }
    for mode, loader in loaders.items():
        _check_data(run, task, loader.dataset, mode)
    model = place_model(build_model(run.model, task=run.task) if parts.model is None else parts.model, run, place)
    facts = facts_of(loaders['train'].dataset)
    tell_facts(model, facts)
    assert run.optimizer is not None
    assert run.runner is not None
    strategy = make_strategy(model, run, place)  # first, for it may replace the parameters
    optimizer = build_optimizer(model, _scaled_optimizer(run, place, logger))
    logger.info(f'parameter groups\n{describe_groups(model, optimizer)}')
    length = {k: v for k, v in (('max_epochs', run.runner.max_epochs), ('max_iters', run.runner.max_iters)) if v}
    runner: BaseRunner = registries.RUNNERS.get(run.runner.type)(
        model,
        optimizer=optimizer,
        work_dir=place.work_dir,
        logger=logger,
        meta={**_meta(run, config, facts), **parts.meta},
        seed=seed,
        strategy=strategy,
        rank=place.world.rank,
        world_size=place.world.size,
        **length,
    )
    runner.timestamp = place.timestamp
    runner.log_buffer.reduce = mean_of if place.world.size > 1 else None
    _register_hooks(runner, run)
    if validate and run.data.val is not None:
        _register_evaluation(runner, run, task, place)
    if console is not None and place.world.rank == 0:
        runner.register_hook(registries.HOOKS.build(dict(type='ProgressBarHook', console=console)), Priority.LOWEST)
    logger.info(f'hooks\n{runner.get_hook_info()}')
    return runner, [loaders[mode] for mode in modes]


# ---------------------------------------------------------------------- the model and how it is trained


def place_model(model: Any, run: RunConfig, place: Place) -> Any:
    """The model on its device, ready to be trained there."""
    if run.sync_bn and place.world.size > 1:
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    checkpoint_activations(model, run.activation_checkpointing)
    if run.channels_last:
        return model.to(place.device, memory_format=torch.channels_last)
    return model.to(place.device)


def make_strategy(model: Any, run: RunConfig, place: Place) -> Strategy:
    """How the processes share the work; a process alone has nothing to share."""
    compile_arguments = dict(run.compile) if isinstance(run.compile, Mapping) else {} if run.compile else None
    if place.world.size == 1:
        return Strategy(model, precision_of(run), compile_arguments)
    if run.strategy == 'fsdp':
        from intarsia.engine.fully_shard import FullyShard  # here, for it imports half of torch.distributed

        return FullyShard(model, precision_of(run), compile_arguments)
    return DataParallel(model, precision_of(run), compile_arguments, run.find_unused_parameters)


def precision_of(run: RunConfig) -> Precision:
    """What the forward pass computes in: the field ``precision``, or what older fields say."""
    is_old = run.fp16 is not None or 'Fp16' in str((run.optimizer_config or {}).get('type', ''))
    return 'fp16' if is_old else run.precision


def _scaled_optimizer(run: RunConfig, place: Place, logger: logging.Logger) -> Mapping[str, Any]:
    """The optimizer's config, its learning rate scaled with the batch size if ``auto_scale_lr`` asks for it."""
    scale, optimizer = run.auto_scale_lr, run.optimizer or {}
    if scale is None or not scale.enable or not scale.base_batch_size:
        return optimizer
    batch, base = loader_config(run.data, 'train').samples_per_gpu * place.world.size, scale.base_batch_size
    logger.info(f'learning rates are multiplied by {batch / base:g}: batch {batch}, made for {base}')
    if is_several(optimizer):
        return {name: _with_lr_times(batch / base, node) for name, node in optimizer.items()}
    return _with_lr_times(batch / base, optimizer)


def _with_lr_times(factor: float, optimizer: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**optimizer, 'lr': optimizer['lr'] * factor} if 'lr' in optimizer else optimizer


# ---------------------------------------------------------------------- hooks


def _register_hooks(runner: BaseRunner, run: RunConfig) -> None:
    guard = [] if any(node.get('type') == 'NanGuardHook' for node in run.custom_hooks) else [dict(type='NanGuardHook')]
    average = [{'type': 'EMAHook', **run.ema}] if run.ema is not None else []
    register_training_hooks(
        runner,
        run.lr_config,
        update_config(run),
        run.checkpoint_config,
        dataclasses.asdict(run.log_config) if run.log_config is not None else None,
        run.momentum_config,
        dict(type='IterTimerHook'),
        [*guard, *average, *run.custom_hooks],
        run.weight_decay_config,
    )


def update_config(run: RunConfig) -> Mapping[str, Any] | None:
    """The node of the hook that updates, with the loss scale that float16 needs."""
    if run.optimizer_config is None or precision_of(run) != 'fp16' or 'type' in run.optimizer_config:
        return run.optimizer_config
    scale = 'dynamic' if run.fp16 is None else run.fp16.get('loss_scale', 512.0)
    return {'type': 'Fp16OptimizerHook', 'loss_scale': scale, **run.optimizer_config}


def _register_evaluation(runner: BaseRunner, run: RunConfig, task: Task, place: Place) -> None:
    evaluation, seed = run.evaluation or EvaluationConfig(), run.seed or 0
    loader = build_loader(run, 'val', task, place, seed)
    _check_data(run, task, loader.dataset, 'val')
    hook = EvalHook(
        loader,
        make_evaluator(task, loader.dataset, evaluation),
        interval=evaluation.interval,
        start=evaluation.start,
        dynamic_intervals=evaluation.dynamic_intervals,
        by_epoch=evaluation.by_epoch,
        save_best=evaluation.save_best,
        rule=evaluation.rule,
        greater_keys=evaluation.greater_keys,
        less_keys=evaluation.less_keys,
        loss_loader=build_loader(run, 'val', task, place, seed, for_loss=True) if evaluation.loss else None,
    )
    runner.register_hook(hook, Priority.LOW)


def _check_data(run: RunConfig, task: Task, dataset: Any, split: str) -> None:
    problems = task.check_data(dataset) if run.data.check_annotations else []
    if problems:
        raise ConfigError([dataclasses.replace(problem, path=f'data.{split}') for problem in problems])


# ---------------------------------------------------------------------- the process, and what is said of it


def set_up_process(run: RunConfig) -> None:
    """Settings of libraries, and seeds."""
    import cv2

    cv2.setNumThreads(run.opencv_num_threads)
    torch.backends.cudnn.benchmark = run.cudnn_benchmark
    seed_everything(run.seed or 0, run.deterministic)


def _say_start(logger: logging.Logger, run: RunConfig, config: ConfigFile, place: Place) -> None:
    processes = f', {place.world.size} processes' if place.world.size > 1 else ''
    logger.info(f'seed {run.seed}, work directory {place.work_dir}, device {place.device}{processes}')
    for name, registry in registries.all_registries().items():
        if registry.root is registry:
            for component in registry.replaced_builtins():
                logger.info(f"'{component.name}' of {name} is yours ({component.place}); it replaces the built-in one")
    if place.world.rank == 0 and place.work_dir is not None:
        name = config.file.stem if config.file else place.timestamp
        (place.work_dir / f'{name}.py').write_text(dump_python(config.values), encoding='utf-8')


def _meta(run: RunConfig, config: ConfigFile, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        'env_info': '\n'.join(f'{k}: {v}' for k, v in environment().items()),
        'config': dump_python(config.values),
        'exp_name': config.file.name if config.file else '',
        'seed': run.seed,
        'argv': ' '.join(sys.argv),
        **facts,
    }
