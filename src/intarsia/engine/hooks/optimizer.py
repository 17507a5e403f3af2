"""The hooks that update the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from intarsia.core.errors import IntarsiaError
from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.precision import LossScaler
from intarsia.engine.update import Update

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class OptimizerHook(Hook):
    """Updates the weights after every training iteration; seat ABOVE_NORMAL.

    Args:
        grad_clip: Arguments of ``clip_grad_norm_`` (the norm is logged as ``grad_norm``), or with ``type='value'``
            those of ``clip_grad_value_``.
        cumulative_iters: Iterations whose gradients are averaged for one step. What remains at the end of the run is
            averaged over its own number.
        detect_anomalous_params: Log the parameters that took no part in the loss, whenever they change.
    """

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        cumulative_iters: int = 1,
        detect_anomalous_params: bool = False,
    ) -> None:
        if not isinstance(cumulative_iters, int) or cumulative_iters < 1:
            raise ValueError(f'cumulative_iters must be a positive number, not {cumulative_iters!r}')
        self.update = Update(grad_clip)
        self.cumulative_iters = cumulative_iters
        self.detect_anomalous_params = detect_anomalous_params
        self._anomalous: list[str] = []
        self._loaded: dict[str, torch.Tensor] = {}
        self._must_check = True

    def before_run(self, runner: BaseRunner) -> None:
        """Find the optimizers, and take back the gradients of an interrupted accumulation."""
        optimizer = runner.optimizer
        assert optimizer is not None, 'the update needs an optimizer'
        self.optimizers = list(optimizer.values()) if isinstance(optimizer, dict) else [optimizer]
        self.model = runner.model
        for name, parameter in self.model.named_parameters() if self._loaded else ():
            gradient = self._loaded.get(name)
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self._loaded = {}

    def before_train_iter(self, runner: BaseRunner) -> None:
        """While gradients are added up, processes need not share them."""
        if self.cumulative_iters > 1:
            runner.strategy.sync_gradients(self._is_last(runner))

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Backward and, when the last of ``cumulative_iters`` has come, step."""
        loss, count = runner.outputs['loss'], self.cumulative_iters
        if count == 1:
            norm = self.update(loss, self.optimizers, self.model)
        else:
            first = runner.iter % count == 0
            norm = self.update(loss / self._window(runner), self.optimizers, self.model, first, self._is_last(runner))
        if norm is not None:
            runner.log_buffer.update({'grad_norm': norm.detach()}, runner.outputs['num_samples'])
        if self._must_check:
            self._check_participation(runner)

    def _is_last(self, runner: BaseRunner) -> bool:
        return self.every_n_iters(runner, self.cumulative_iters) or self.is_last_iter(runner)

    def _window(self, runner: BaseRunner) -> int:
        """Iterations whose gradients go into the same step as this one."""
        total = runner.max_iters or 0
        rest = total % self.cumulative_iters
        return self.cumulative_iters if runner.iter < total - rest else rest

    def _check_participation(self, runner: BaseRunner) -> None:
        """Name the parameters without a gradient: an error where processes would wait for it for ever."""
        self._must_check = self.detect_anomalous_params
        left_out = [n for n, p in self.model.named_parameters() if p.requires_grad and p.grad is None]
        if left_out and runner.strategy.needs_all_gradients:
            raise IntarsiaError(
                f'these parameters take no part in the loss: {_some(left_out)}. Several processes share the gradient '
                'of every parameter: freeze them, use them, or set find_unused_parameters=True.'
            )
        if self.detect_anomalous_params and left_out != self._anomalous:
            runner.logger.error(f'iteration {runner.iter + 1}: no part in the loss: {", ".join(left_out) or "none"}')
        self._anomalous = left_out

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """The loss scale, and gradients that wait for their step."""
        state: dict[str, Any] = {}
        if self.update.scaler is not None:
            state['loss_scaler'] = self.update.scaler.state_dict()
        if self.cumulative_iters > 1:
            gradients = {n: p.grad.cpu() for n, p in self.model.named_parameters() if p.grad is not None}
            state['gradients'] = gradients
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back :meth:`state_dict`."""
        if self.update.scaler is not None and 'loss_scaler' in state:
            self.update.scaler.load_state_dict(state['loss_scaler'])
        self._loaded = dict(state.get('gradients', {}))


@HOOKS.register_module()
class GradientCumulativeOptimizerHook(OptimizerHook):
    """The older name of :class:`OptimizerHook` with ``cumulative_iters``."""


@HOOKS.register_module()
class Fp16OptimizerHook(OptimizerHook):
    """Updates weights from a loss that was computed in float16.

    A run with this hook computes its forward pass in float16, as with ``precision = 'fp16'``.

    Args:
        grad_clip: As in :class:`OptimizerHook`.
        cumulative_iters: The same.
        detect_anomalous_params: The same.
        loss_scale: A number, which stays; ``'dynamic'``; or arguments of :class:`torch.amp.GradScaler`.
        coalesce: Kept from older configs; gradients are always shared in buckets.
        bucket_size_mb: Kept from older configs.
    """

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        cumulative_iters: int = 1,
        detect_anomalous_params: bool = False,
        loss_scale: float | str | Mapping[str, Any] = 512.0,
        coalesce: bool = True,
        bucket_size_mb: int = -1,
    ) -> None:
        super().__init__(grad_clip, cumulative_iters, detect_anomalous_params)
        self.update = Update(grad_clip, LossScaler(loss_scale))


@HOOKS.register_module()
class GradientCumulativeFp16OptimizerHook(Fp16OptimizerHook):
    """The older name of :class:`Fp16OptimizerHook` with ``cumulative_iters``."""


def _some(names: list[str], count: int = 5) -> str:
    rest = len(names) - count
    return ', '.join(names[:count]) + (f' and {rest} more' if rest > 0 else '')
