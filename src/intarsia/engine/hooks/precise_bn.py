"""The hook that measures what batch norm layers need at test time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from intarsia.core.registries import HOOKS
from intarsia.engine import loop
from intarsia.engine.distributed import num_processes
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Replaces the running statistics of batch norm by those of the weights as they are at the end of an epoch.

    While weights change, a running average describes none of them well. Here training batches go through the model
    once more, and the statistics of all their activations are taken. They are for epoch based runs; the seat must be
    before checkpoints, ABOVE_NORMAL.

    Rethinking "Batch" in BatchNorm, Wu and Johnson, 2021, arXiv:2105.07576, section 3.

    Args:
        num_samples: How many samples are looked at, in all processes together; at most an epoch.
        interval: Epochs between two measurements.
        num_iters: How many batches are looked at, instead of ``num_samples``.
        dataloader: Other batches than those of training.
        total_variance: Whether the variance is that of all activations, as in the paper. Otherwise it is the mean
            of the variances within batches, which leaves out how much their means differ, as MMClassification had it.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        num_samples: int = 8192,
        interval: int = 1,
        num_iters: int | None = None,
        dataloader: Any = None,
        total_variance: bool = True,
    ) -> None:
        if min(interval, num_samples, num_iters or 1) < 1:
            raise ValueError('interval, num_samples and num_iters of PreciseBNHook must be positive')
        self.num_samples = num_samples
        self.interval = interval
        self.num_iters = num_iters
        self.dataloader = dataloader
        self.total_variance = total_variance

    def before_run(self, runner: BaseRunner) -> None:
        """Refuse a run without epochs."""
        if not runner.by_epoch:
            raise ValueError('PreciseBNHook acts at the end of epochs, and an iteration based run has none')

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Measure, if it is due."""
        if not self.every_n_epochs(runner, self.interval):
            return
        loader = runner.data_loader if self.dataloader is None else self.dataloader
        num_iters = min(self.num_iters or self._num_batches(loader), len(loader))
        epoch_batches = (batch for _, batch in loop.batches(loader, runner.epoch, 0))
        count = measure_statistics(runner.model, itertools.islice(epoch_batches, num_iters), self.total_variance)
        runner.logger.info(f'precise statistics of {count} batch norm layers from {num_iters} batches')

    def _num_batches(self, loader: Any) -> int:
        return max(self.num_samples // ((getattr(loader, 'batch_size', None) or 1) * num_processes()), 1)


class _Statistics:
    """Collects the inputs of one layer.

    ``sums`` is ``(3, C)``: of the weights of batches, and of their means and second moments times the weight. For the
    total variance a batch weighs as much as it has values, and its moment is taken about 0; else it weighs 1, and its
    moment is its unbiased variance.
    """

    def __init__(self, layer: _BatchNorm, total_variance: bool) -> None:
        assert layer.running_mean is not None
        device = layer.running_mean.device
        dtype = torch.float32 if device.type == 'mps' else torch.float64
        self.layer = layer
        self.total_variance = total_variance
        self.sums = torch.zeros(3, layer.num_features, dtype=dtype, device=device)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """The layer is about to see ``inputs``."""
        values = inputs[0].transpose(0, 1).flatten(1).to(self.sums.dtype)
        variance, mean = torch.var_mean(values, 1, correction=0 if self.total_variance else 1)
        if self.total_variance:
            weight, moment = float(values.shape[1]), variance + mean.square()
        else:
            weight, moment = 1.0, variance
        self.sums += weight * torch.stack([torch.ones_like(mean), mean, moment])

    def apply(self) -> None:
        """Set the statistics of the layer, of all processes together."""
        if num_processes() > 1:
            torch.distributed.all_reduce(self.sums)
        weight, mean, moment = self.sums
        mean, moment = mean / weight, moment / weight
        assert self.layer.running_mean is not None
        assert self.layer.running_var is not None
        self.layer.running_mean.copy_(mean)
        self.layer.running_var.copy_((moment - mean.square()).clamp(min=0) if self.total_variance else moment)


@torch.no_grad()
def measure_statistics(model: Any, batches: Iterable[Any], total_variance: bool = True) -> int:
    """Set mean and variance of every batch norm layer that is in training mode to those of its inputs.

    Args:
        model: With ``train_step``, in training mode; nothing but the statistics changes.
        batches: At least one.
        total_variance: As in :class:`PreciseBNHook`.

    Returns:
        How many layers there are.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    counters = [layer.num_batches_tracked for layer in layers if layer.num_batches_tracked is not None]
    counts = [counter.clone() for counter in counters]
    statistics = [_Statistics(layer, total_variance) for layer in layers]
    handles = [each.layer.register_forward_pre_hook(each) for each in statistics]
    try:
        for batch in batches if layers else ():
            model.train_step(batch, None)
    finally:
        for handle in handles:
            handle.remove()
    for each in statistics:
        each.apply()
    for counter, count in zip(counters, counts, strict=True):
        counter.copy_(count)
    return len(layers)
