"""Loops, hooks, logs and surroundings of a 1.x config in the words of the house."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from intarsia.config.dialects.one_x.pipelines import translate_pipeline
from intarsia.config.dialects.reader import House, Reader, moved, same

LOOPS = {'EpochBasedTrainLoop': 'EpochBasedRunner', 'IterBasedTrainLoop': 'IterBasedRunner'}

EVERY = {'EpochBasedRunner': 1, 'IterBasedRunner': 1000}
"""Steps between two evaluations where nothing is said."""

TRACKERS = {
    'TensorboardVisBackend': 'TensorboardLoggerHook', 'WandbVisBackend': 'WandbLoggerHook',
    'MLflowVisBackend': 'MlflowLoggerHook', 'ClearMLVisBackend': 'ClearMLLoggerHook',
}  # fmt: skip
"""Visualizer backends that receive records, and the hooks that send them here."""

SILENT = ('timer', 'param_scheduler', 'sampler_seed', 'runtime_info', 'visualization', 'badcase')
"""Default hooks whose work is done elsewhere: by the loop, by commands."""


def translate_loops(top: Reader, house: House) -> None:
    """``train_cfg``, ``val_cfg``, ``test_cfg`` -> ``runner`` and when ``evaluation`` happens."""
    train = top.section('train_cfg')
    kind = train.take('type')
    by_epoch = train.take('by_epoch')
    if kind is not None and kind not in LOOPS:
        train.report('type', f"there is no loop '{kind}' here; there are {', '.join(LOOPS)}.", 'unknown-component')
    by_epoch = kind != 'IterBasedTrainLoop' if by_epoch is None else by_epoch
    runner = 'EpochBasedRunner' if by_epoch else 'IterBasedRunner'
    length = moved(train, same(('max_epochs', 'max_iters')))
    if length:
        house.put('runner', {'type': runner, **length}, 'train_cfg')
    interval, begin = train.take('val_interval', EVERY[runner]), train.take('val_begin', 1)
    house.put('evaluation.interval', interval, train.place('val_interval'))
    if begin > interval:
        house.put('evaluation.start', math.ceil(begin / interval) * interval, train.place('val_begin'))
    changes = train.take('dynamic_intervals')
    if changes:
        house.put('evaluation.dynamic_intervals', changes, train.place('dynamic_intervals'))
    train.done()
    for name, loop in (('val_cfg', 'ValLoop'), ('test_cfg', 'TestLoop')):
        section = top.section(name)
        kind = section.take('type', loop)
        if kind != loop:
            section.report('type', f"there is no loop '{kind}' here; there is {loop}.", 'unknown-component')
        section.drop('fp16')
        section.done()


def translate_hooks(top: Reader, house: House, task: str | None, preprocessor: Mapping[str, Any]) -> None:
    """``default_hooks`` and ``custom_hooks`` -> ``checkpoint_config``, ``log_config``, ``custom_hooks``.

    Args:
        top: The whole config.
        house: Gets the fields.
        task: Of the model.
        preprocessor: What the model's ``data_preprocessor`` does; pipelines of hooks need it.
    """
    hooks = top.section('default_hooks')
    more: list[Any] = []
    _translate_checkpoint(hooks, house)
    _translate_logger(hooks, house)
    for name in SILENT:
        hooks.take(name)
    for name, node in hooks.rest().items():
        if isinstance(node, Mapping):
            more.append(node)
            house.trace(f'custom_hooks.{len(more) - 1}', hooks.place(name))
    custom = top.take('custom_hooks') or []
    for i, node in enumerate([custom] if isinstance(custom, Mapping) else custom):
        more.append(_own_hook(node, task, preprocessor))
        house.trace(f'custom_hooks.{len(more) - 1}', f'custom_hooks.{i}')
    if more:
        house.values['custom_hooks'] = more


def _own_hook(node: Any, task: str | None, preprocessor: Mapping[str, Any]) -> Any:
    if isinstance(node, Mapping) and node.get('type') == 'EMAHook':
        return {'ema_type': 'ExponentialMovingAverage', **node}
    if isinstance(node, Mapping) and node.get('type') == 'PipelineSwitchHook':
        steps = translate_pipeline(node.get('switch_pipeline') or (), task, preprocessor, is_training=True)
        return {**node, 'switch_pipeline': [step for step, _ in steps]}
    return node


def _arguments(hooks: Reader, name: str, house: House, field: str) -> Reader | None:
    """The arguments of a default hook; None where it is switched off, which its field then says."""
    node = hooks.take(name, {})
    if node is None:
        house.put(field, None, hooks.place(name))
        return None
    return Reader(node, hooks.place(name), hooks.findings)


def _translate_checkpoint(hooks: Reader, house: House) -> None:
    reader = _arguments(hooks, 'checkpoint', house, 'checkpoint_config')
    if reader is None:
        return
    reader.drop('type', 'save_param_scheduler', 'published_keys', 'backend_args', 'file_client_args')
    words = ('interval', 'by_epoch', 'max_keep_ckpts', 'save_optimizer', 'save_last', 'out_dir', 'filename_tmpl')
    house.put('checkpoint_config', {'by_epoch': True, **moved(reader, same(words))}, reader.path)
    for name in ('save_best', 'rule', 'greater_keys', 'less_keys'):
        if name in reader:
            house.put(f'evaluation.{name}', reader.take(name), reader.place(name))
    if reader.take('save_begin', 0):
        reader.report('save_begin', 'checkpoints are written from the start on here; leave save_begin out.')
    reader.done()


def _translate_logger(hooks: Reader, house: House) -> None:
    reader = _arguments(hooks, 'logger', house, 'log_config')
    if reader is None:
        return
    house.put('log_config.interval', reader.take('interval', 10), reader.place('interval'))
    reader.drop(
        'type', 'ignore_last', 'interval_exp_name', 'out_dir', 'out_suffix', 'keep_local', 'log_metric_by_epoch',
        'backend_args', 'file_client_args',
    )  # fmt: skip
    reader.done()


def translate_records(top: Reader, house: House) -> None:
    """``visualizer`` and ``vis_backends`` -> ``log_config.hooks``; ``log_processor`` says nothing that is needed."""
    top.drop('log_processor')
    backends, place = top.take('vis_backends'), 'vis_backends'
    visualizer = top.take('visualizer')
    if isinstance(visualizer, Mapping) and visualizer.get('vis_backends') is not None:
        backends, place = visualizer['vis_backends'], 'visualizer.vis_backends'
    hooks: list[dict[str, Any]] = [{'type': 'TextLoggerHook'}]
    for i, node in enumerate(backends or ()):
        kind = node.get('type') if isinstance(node, Mapping) else None
        if kind in TRACKERS:
            hooks.append({'type': TRACKERS[kind], **{k: v for k, v in node.items() if k in ('init_kwargs',)}})
        elif kind != 'LocalVisBackend':
            known = ', '.join(['LocalVisBackend', *TRACKERS])
            top.report(f'{place}.{i}', f"there is no backend '{kind}'; there are {known}.", 'unknown-component')
    if len(hooks) > 1 and house.values.get('log_config', {}) is not None:
        house.put('log_config.hooks', hooks, place)


def translate_surroundings(top: Reader, house: House) -> None:
    """``env_cfg``, ``randomness``, ``resume`` and the like."""
    env = top.section('env_cfg')
    processes = env.section('mp_cfg')
    for reader, table in (
        (env, {'cudnn_benchmark': 'cudnn_benchmark', 'dist_cfg': 'dist_params'}),
        (processes, same(('mp_start_method', 'opencv_num_threads'))),
        (top.section('randomness'), same(('seed', 'deterministic'))),
        (top, {**same(('work_dir', 'log_level', 'launcher', 'custom_imports', 'find_unused_parameters', 'compile')),
               'auto_scale_lr': 'auto_scale_lr'}),
    ):  # fmt: skip
        for foreign, name in table.items():
            if foreign in reader:
                house.put(name, reader.take(foreign), reader.place(foreign))
        if reader is not top:
            reader.drop('resource_limit', 'diff_rank_seed')
            reader.done()
    resume, weights = top.take('resume', False), top.take('load_from')
    if weights is not None:
        house.put('resume_from' if resume else 'load_from', weights, 'load_from')
    elif resume:
        house.put('auto_resume', True, 'resume')
    wrapper = top.take('model_wrapper_cfg')
    if isinstance(wrapper, Mapping) and 'find_unused_parameters' in wrapper:
        house.put('find_unused_parameters', wrapper['find_unused_parameters'], 'model_wrapper_cfg')
    top.drop('default_scope', 'experiment_name', 'tta_model', 'tta_pipeline', 'tta_cfg', 'cfg')
