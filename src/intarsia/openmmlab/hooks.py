"""Hooks of the first generation that old code builds or subclasses, over ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.hooks import evaluation, optimizer
from intarsia.engine.hooks.logger import log_pending
from intarsia.engine.precision import LossScaler
from intarsia.engine.strategy import cast
from intarsia.engine.update import Update
from intarsia.openmmlab.precision import wrap_fp16_model
from intarsia.openmmlab.testing import multi_gpu_test, single_gpu_test

# ---------------------------------------------------------------------- the update


class OptimizerHook(optimizer.OptimizerHook):
    """Ours, which a subclass may build without the constructor, and clip gradients with.

    Args:
        grad_clip: As ours.
        detect_anomalous_params: As ours.
        cumulative_iters: As ours.
    """

    grad_clip: Any = None
    cumulative_iters = 1
    detect_anomalous_params = False
    update = Update()
    _must_check = False

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        detect_anomalous_params: bool = False,
        cumulative_iters: int = 1,
    ) -> None:
        super().__init__(grad_clip, cumulative_iters, detect_anomalous_params)
        self.grad_clip = grad_clip

    def clip_grads(self, params: Iterable[torch.nn.Parameter]) -> torch.Tensor | None:
        """Clip the gradients that are there as ``grad_clip`` says; gives their norm."""
        present = [p for p in params if p.requires_grad and p.grad is not None]
        return torch.nn.utils.clip_grad_norm_(present, **self.grad_clip) if present else None

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As ours."""
        self._loaded: dict[str, torch.Tensor] = {}
        super().load_state_dict(state)


class Fp16OptimizerHook(OptimizerHook):
    """Updates weights from losses that are computed in float16.

    Args:
        grad_clip: As ours.
        coalesce: Not used: gradients are always shared in buckets.
        bucket_size_mb: Not used.
        loss_scale: A number, which stays; ``'dynamic'``; or arguments of :class:`torch.amp.GradScaler`.
        distributed: Not used.
    """

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        coalesce: bool = True,
        bucket_size_mb: int = -1,
        loss_scale: float | str | Mapping[str, Any] = 512.0,
        distributed: bool = True,
    ) -> None:
        super().__init__(grad_clip)
        self.update = Update(grad_clip, LossScaler(loss_scale))

    def before_run(self, runner: Any) -> None:
        """Let the forward pass compute in float16."""
        compute_in_half(runner)
        super().before_run(runner)


@HOOKS.register_module()
class DistOptimizerHook(OptimizerHook):
    """Updates weights after several iterations, in float16 if wanted; seat ABOVE_NORMAL.

    Args:
        update_interval: Iterations whose gradients are averaged for one step.
        grad_clip: Arguments of ``clip_grad_norm_``.
        coalesce: Kept from older configs; gradients are always shared in buckets.
        bucket_size_mb: Kept from older configs.
        use_fp16: Whether the forward pass computes in float16, with a loss scale that adapts itself.
    """

    def __init__(
        self,
        update_interval: int = 1,
        grad_clip: Mapping[str, Any] | None = None,
        coalesce: bool = True,
        bucket_size_mb: int = -1,
        use_fp16: bool = False,
    ) -> None:
        super().__init__(grad_clip, cumulative_iters=update_interval)
        self.use_fp16 = use_fp16
        if use_fp16:
            self.update = Update(grad_clip, LossScaler('dynamic'))

    def before_run(self, runner: Any) -> None:
        """Let the forward pass compute in float16, if wanted."""
        if self.use_fp16:
            compute_in_half(runner)
        super().before_run(runner)


def compute_in_half(runner: Any) -> None:
    """Let a run compute its losses in float16, unless it does so already."""
    wrap_fp16_model(runner.model)
    if runner.strategy.precision == 'fp32':
        runner.train_step = cast(runner.train_step, 'fp16', runner.strategy.device_type)
        runner.val_step = cast(runner.val_step, 'fp16', runner.strategy.device_type)


class DistSamplerSeedHook(Hook):
    """Tells a sampler of PyTorch its epoch; our loaders know theirs."""

    def before_epoch(self, runner: Any) -> None:
        """Set the epoch, where the sampler of the loader wants to know it."""
        sampler: Any = getattr(runner.data_loader, 'sampler', None)
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(runner.epoch)


# ---------------------------------------------------------------------- evaluation


class EvalHook(Hook):
    """Evaluates by ``dataloader.dataset.evaluate(results, logger=..., **eval_kwargs)``; seat LOW.

    Args:
        dataloader: What is tested.
        start: First epoch or iteration that is evaluated, counted from 1; if it is behind the run that begins, one
            evaluation comes before the training.
        interval: Epochs or iterations between two.
        by_epoch: Whether epochs count; None counts what the runner counts.
        save_best: Metric whose best checkpoint is kept; ``'auto'`` is the first.
        rule: ``'greater'`` or ``'less'``; None tells from the metric's name.
        test_fn: ``test_fn(model, dataloader)`` gives the results; by default :func:`single_gpu_test`.
        greater_keys: Parts of names of which more is better; None takes the usual ones.
        less_keys: Parts of names of which less is better.
        out_dir: Folder of the best checkpoint; None is the work directory. A folder named after that is made below it.
        eval_kwargs: Arguments of ``evaluate``; ``pre_eval`` and ``efficient_test`` of MMSegmentation are for the test.
    """

    priority = 'LOW'
    rule_map: Mapping[str, Callable[[float, float], bool]] = {
        'greater': lambda score, best: score > best,
        'less': lambda score, best: score < best,
    }
    init_value_map: Mapping[str, float] = {'greater': -float('inf'), 'less': float('inf')}
    default_greater_keys: Sequence[str] = evaluation.GREATER_KEYS
    default_less_keys: Sequence[str] = evaluation.LESS_KEYS

    def __init__(
        self,
        dataloader: Any,
        start: int | None = None,
        interval: int = 1,
        by_epoch: bool | None = None,
        save_best: str | bool | None = None,
        rule: str | None = None,
        test_fn: Callable[..., Any] | None = None,
        greater_keys: str | Sequence[str] | None = None,
        less_keys: str | Sequence[str] | None = None,
        out_dir: str | None = None,
        **eval_kwargs: Any,
    ) -> None:
        if interval <= 0:
            raise ValueError(f'interval must be a positive number, not {interval}')
        if start is not None and start < 0:
            raise ValueError(f'start must not be negative, but is {start}')
        self.dataloader, self.start, self.interval, self.by_epoch = dataloader, start, interval, by_epoch
        self.greater_keys, self.less_keys = _words(greater_keys), _words(less_keys)
        self.test_kwargs = {name: eval_kwargs[name] for name in ('pre_eval',) if name in eval_kwargs}
        self.eval_kwargs = dict(**eval_kwargs)
        for name in ('pre_eval', 'efficient_test', 'file_client_args'):
            self.eval_kwargs.pop(name, None)
        self.test_fn = test_fn or self.default_test
        self.out_dir = out_dir
        self.save_best = 'auto' if save_best is True else save_best or None
        self.best_ckpt_path: str | None = None
        self.initial_flag = True
        if self.save_best is not None:
            self._init_rule(rule, self.save_best)

    def default_test(self, model: Any, dataloader: Any, **kwargs: Any) -> Any:
        """What tests a model if nothing else is said."""
        return single_gpu_test(model, dataloader, **self.test_kwargs)

    def _init_rule(self, rule: str | None, key_indicator: str) -> None:
        """Decide whether more or less of a metric is better; of ``'auto'`` its name is not known yet."""
        if rule is not None and rule not in self.rule_map:
            raise KeyError(f'rule must be greater, less or None, but got {rule}.')
        if rule is None and key_indicator != 'auto':
            rule = evaluation.infer_rule(
                key_indicator, self.greater_keys or self.default_greater_keys, self.less_keys or self.default_less_keys
            )
        self.rule, self.key_indicator = rule, key_indicator
        if rule is not None:
            self.compare_func = self.rule_map[rule]

    # ------------------------------------------------------------------ stages

    def before_run(self, runner: Any) -> None:
        """Find the folder, and the best of a run that is resumed."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch
        folder = runner.work_dir
        self.out_dir = str(Path(self.out_dir) / folder.name) if self.out_dir else str(folder)
        self.best_ckpt_path = runner.meta['hook_msgs'].get('best_ckpt')

    def before_train_epoch(self, runner: Any) -> None:
        """Evaluate before the first epoch, if the run begins behind ``start``."""
        if self.by_epoch and self.initial_flag:
            self.initial_flag = False
            if self.start is not None and runner.epoch >= self.start:
                self.after_train_epoch(runner)

    def before_train_iter(self, runner: Any) -> None:
        """Evaluate before the first iteration, if the run begins behind ``start``."""
        if not self.by_epoch and self.initial_flag:
            self.initial_flag = False
            if self.start is not None and runner.iter >= self.start:
                self.after_train_iter(runner)

    def after_train_epoch(self, runner: Any) -> None:
        """Evaluate, if it is due."""
        if self.by_epoch and self._should_evaluate(runner):
            self._restoring_mode(runner)

    def after_train_iter(self, runner: Any) -> None:
        """Evaluate, if it is due."""
        if not self.by_epoch and self._should_evaluate(runner):
            log_pending(runner)
            self._restoring_mode(runner)

    def _restoring_mode(self, runner: Any) -> None:
        was_training = runner.model.training
        self._do_evaluate(runner)
        runner.model.train(was_training)

    def _should_evaluate(self, runner: Any) -> bool:
        """Whether the epoch or iteration that ends is evaluated."""
        done = (runner.epoch if self.by_epoch else runner.iter) + 1
        first = self.start
        return done % self.interval == 0 if first is None else done >= first and (done - first) % self.interval == 0

    def _do_evaluate(self, runner: Any) -> None:
        """Test the model, evaluate its results, and keep the best checkpoint."""
        self._take(runner, self.test_fn(runner.model, self.dataloader))

    def _take(self, runner: Any, results: Any) -> None:
        runner.log_buffer.output['eval_iter_num'] = len(self.dataloader)
        score = self.evaluate(runner, results)
        if self.save_best and score is not None:
            self._save_ckpt(runner, score)

    def evaluate(self, runner: Any, results: Any) -> Any:
        """Let the data set evaluate results, and log what it says.

        Returns:
            The score that ``save_best`` names; None if it names none.
        """
        metrics = self.dataloader.dataset.evaluate(results, logger=runner.logger, **self.eval_kwargs)
        runner.metrics = dict(metrics)
        runner.log_buffer.output.update(metrics)
        runner.log_buffer.ready = True
        if self.save_best is None or not metrics:
            return None
        if self.key_indicator == 'auto':
            self._init_rule(self.rule, next(iter(metrics)))
        return metrics[self.key_indicator]

    def _save_ckpt(self, runner: Any, key_score: float) -> None:
        """Write the checkpoint in place of the best so far, if it is better."""
        count = f'epoch_{runner.epoch + 1}' if self.by_epoch else f'iter_{runner.iter + 1}'
        messages = runner.meta['hook_msgs']
        best = messages.get('best_score', self.init_value_map[str(self.rule)])
        if not self.compare_func(key_score, best):
            return
        name = f'best_{self.key_indicator}_{count}.pth'
        if self.best_ckpt_path and Path(self.best_ckpt_path).is_file():
            Path(self.best_ckpt_path).unlink()
        self.best_ckpt_path = str(Path(str(self.out_dir)) / name)
        messages.update(best_score=float(key_score), best_ckpt=self.best_ckpt_path)
        runner.save_checkpoint(str(self.out_dir), name, create_symlink=False)
        runner.logger.info(f'best {self.key_indicator} so far: {key_score:.4f}, saved as {name}')


class DistEvalHook(EvalHook):
    """The same for several processes.

    Args:
        dataloader: With the samples of this process.
        args: As :class:`EvalHook`.
        broadcast_bn_buffer: Whether all processes take the buffers of the first one before.
        tmpdir: Not used: results are sent.
        gpu_collect: Not used.
        kwargs: As :class:`EvalHook`.
    """

    def __init__(
        self,
        dataloader: Any,
        *args: Any,
        broadcast_bn_buffer: bool = True,
        tmpdir: str | None = None,
        gpu_collect: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataloader, *args, **kwargs)
        self.broadcast_bn_buffer, self.tmpdir, self.gpu_collect = broadcast_bn_buffer, tmpdir, gpu_collect

    def default_test(self, model: Any, dataloader: Any, **kwargs: Any) -> Any:
        """The test of all processes together."""
        return multi_gpu_test(model, dataloader, **self.test_kwargs, **kwargs)

    def _do_evaluate(self, runner: Any) -> None:
        if self.broadcast_bn_buffer:
            runner.strategy.before_evaluation()
        results = self.test_fn(runner.model, self.dataloader, tmpdir=self.tmpdir, gpu_collect=self.gpu_collect)
        if runner.rank == 0:
            self._take(runner, results)


def _words(keys: str | Sequence[str] | None) -> Sequence[str] | None:
    return (keys,) if isinstance(keys, str) else keys
