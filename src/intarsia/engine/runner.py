"""Runners: a model, an optimizer and hooks, run through their loaders. They receive built parts and build nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.core.registries import HOOKS, RUNNERS
from intarsia.engine import loop
from intarsia.engine.checkpoint.state import load_run_state, save_run_state
from intarsia.engine.hook import Hook
from intarsia.engine.hook_list import HookList
from intarsia.engine.log.buffer import LogBuffer
from intarsia.engine.priority import Priority
from intarsia.engine.stage import Stage
from intarsia.engine.strategy import Strategy
from intarsia.engine.training_hooks import register_training_hooks
from intarsia.nn.weights import load_state_dict, read_state_dict

Optimizers = torch.optim.Optimizer | dict[str, torch.optim.Optimizer]


class Progress(NamedTuple):
    """How far a run is: complete epochs, complete iterations, and those of the epoch begun."""

    epoch: int
    iter: int
    inner_iter: int


class BaseRunner:
    """What both runners share.

    Args:
        model: A network with ``train_step`` and ``val_step``.
        optimizer: One optimizer, or several by name.
        work_dir: Folder of what the run writes; None writes nothing.
        logger: Where text goes.
        meta: Entries of every checkpoint's ``meta``.
        max_iters: Length in iterations, or
        max_epochs: length in epochs: one of the two.
        seed: Seed of what the model draws (dropout); None leaves torch's generators alone.
        strategy: How a training step runs; None is the model's own ``train_step``, in this process alone.
        rank: This process among
        world_size: all that train together.

    Attributes:
        mode: ``'train'`` or ``'val'``.
        epoch: Complete epochs of training; within an epoch its number from 0.
        iter: Complete iterations; within an iteration its number from 0.
        inner_iter: The same within the epoch.
        data_loader: Loader of the running flow.
        data_batch: The batch, while an iteration runs.
        outputs: What the last ``train_step`` or ``val_step`` gave: ``loss``, ``log_vars``, ``num_samples``.
        log_buffer: Values waiting to be logged.
        stage: The stage whose hooks were called last.
        metrics: Results of the last evaluation.
        checkpoint: What is being written or resumed, in the stages of checkpoints.
    """

    by_epoch: bool

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizers | None = None,
        work_dir: str | Path | None = None,
        logger: logging.Logger | None = None,
        meta: Mapping[str, Any] | None = None,
        max_iters: int | None = None,
        max_epochs: int | None = None,
        seed: int | None = None,
        strategy: Strategy | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if max_iters is not None and max_epochs is not None:
            raise ValueError('a run is as long as max_epochs or max_iters says, not both')
        self.model: Any = model
        self.optimizer = optimizer
        self.work_dir = Path(work_dir).absolute() if work_dir is not None else None
        self.logger = logger or logging.getLogger('intarsia')
        self.meta: dict[str, Any] = {'hook_msgs': {}, **(meta or {})}
        self.max_iters = max_iters
        self.max_epochs = max_epochs
        self.seed = seed
        self.strategy = strategy or Strategy(model)
        self.train_step, self.val_step = self.strategy.train_step, self.strategy.val_step
        self.rank, self.world_size = rank, world_size
        self.timestamp = time.strftime('%Y%m%d_%H%M%S')
        self.mode = 'train'
        self.epoch: int = 0
        self.iter: int = 0
        self.inner_iter: int = 0
        self.data_loader: Any = ()
        self.data_batch: Any = None
        self.outputs: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.log_buffer = LogBuffer()
        self.stage: Stage = Stage.BEFORE_RUN
        self.is_stopping = False
        self.checkpoint: dict[str, Any] = {}
        self.hook_list = HookList()
        self._is_on_cuda = any(p.is_cuda for p in model.parameters())

    @property
    def model_name(self) -> str:
        """Class name of the model."""
        return type(self.model).__name__

    # ------------------------------------------------------------------ hooks

    @property
    def hooks(self) -> list[Hook]:
        """All hooks, in the order they are called."""
        return list(self.hook_list)

    def register_hook(self, hook: Hook, priority: int | str | Priority | None = None) -> None:
        """Give ``hook`` a seat, by default its own; among equal priorities it comes last."""
        self.hook_list.add(hook, getattr(hook, 'priority', Priority.NORMAL) if priority is None else priority)

    def register_hook_from_cfg(self, cfg: Mapping[str, Any]) -> None:
        """Build a node of HOOKS and register it; ``priority`` in it gives the seat."""
        node = dict(cfg)
        priority = node.pop('priority', None)
        self.register_hook(HOOKS.build(node), priority)

    def register_training_hooks(
        self,
        lr_config: Any,
        optimizer_config: Any = None,
        checkpoint_config: Any = None,
        log_config: Any = None,
        momentum_config: Any = None,
        timer_config: Any = MappingProxyType({'type': 'IterTimerHook'}),
        custom_hooks_config: Any = None,
    ) -> None:
        """Register the hooks of a training from their configs, each in its seat; see :mod:`.training_hooks`."""
        register_training_hooks(
            self, lr_config, optimizer_config, checkpoint_config, log_config, momentum_config, timer_config,
            custom_hooks_config,
        )  # fmt: skip

    def call(self, stage: Stage) -> None:
        """Call every hook that has something to do at ``stage`` of the loop."""
        self.stage = stage
        self.hook_list.call(stage, self)

    def call_hook(self, name: str) -> None:
        """As :meth:`call`, by the name of the stage."""
        self.call(Stage(name))

    def get_hook_info(self) -> str:
        """A table of the hooks by stage, in the order they are called."""
        return self.hook_list.table()

    # ------------------------------------------------------------------ queries

    def current_lr(self) -> list[float] | dict[str, list[float]]:
        """Learning rate of every parameter group (by optimizer, if there are several)."""
        return self._per_group(lambda group: group['lr'])

    def current_momentum(self) -> list[float] | dict[str, list[float]]:
        """Momentum, or the first beta, or 0, of every parameter group."""
        return self._per_group(lambda g: g['momentum'] if 'momentum' in g else g.get('betas', (0,))[0])

    def _per_group(self, read: Any) -> Any:
        if isinstance(self.optimizer, dict):
            return {name: [read(g) for g in each.param_groups] for name, each in self.optimizer.items()}
        return [read(g) for g in self.optimizer.param_groups] if self.optimizer is not None else []

    @property
    def progress(self) -> Progress:
        """What is complete at this moment, hooks of the ending iteration or epoch included."""
        if self.stage is Stage.AFTER_TRAIN_ITER:
            return Progress(self.epoch, self.iter + 1, self.inner_iter + 1)
        if self.stage is Stage.AFTER_TRAIN_EPOCH:
            return Progress(self.epoch + 1, self.iter, 0)
        return Progress(self.epoch, self.iter, self.inner_iter)

    def seed_step(self) -> None:
        """Seed what the model draws in this iteration from (seed, rank, iter), whatever ran before."""
        if self.seed is not None:
            step_seed = (self.seed * 0x9E3779B97F4A7C15 + self.rank * 0xBF58476D1CE4E5B9 + self.iter) & (2**63 - 1)
            torch.default_generator.manual_seed(step_seed)
            if self._is_on_cuda:
                torch.cuda.manual_seed(step_seed)

    # ------------------------------------------------------------------ state

    def save_checkpoint(self, name: str, save_optimizer: bool = True, link_latest: bool = True) -> Path:
        """Write model, optimizer and progress to ``work_dir/name``, whole or not at all."""
        assert self.work_dir is not None
        return save_run_state(self, self.work_dir / name, save_optimizer, link_latest)

    def load_checkpoint(self, file: str | Path, strict: bool = True) -> None:
        """Load weights only; a file of which nothing fits is an error also without ``strict``."""
        report = load_state_dict(self.model, read_state_dict(file), strict=strict)
        if not report.loaded:
            raise CheckpointError(f'nothing in {file} fits {type(self.model).__name__}: {report}')

    def resume(self, file: str | Path, resume_optimizer: bool = True) -> None:
        """Continue the run that wrote ``file``, at the very iteration."""
        load_run_state(self, Path(file), resume_optimizer)

    def request_stop(self) -> None:
        """End the run after the iteration that is running."""
        self.is_stopping = True

    # ------------------------------------------------------------------ running

    def run(self, data_loaders: Sequence[Any], workflow: Sequence[tuple[str, int]] = (('train', 1),)) -> None:
        """Run until the end, or until a stop is requested.

        Args:
            data_loaders: One loader for every flow.
            workflow: ``(mode, how often)`` pairs, run in turn: epochs, or iterations of an iteration based run.
        """
        flows = [(str(mode), int(times), loader) for (mode, times), loader in zip(workflow, data_loaders, strict=True)]
        unknown = [mode for mode, _, _ in flows if mode not in ('train', 'val')]
        if unknown or not any(mode == 'train' and times > 0 for mode, times, _ in flows):
            raise ValueError(f"a workflow is made of 'train' and 'val' and must train, but is {list(workflow)}")
        self._fix_length(next(loader for mode, _, loader in flows if mode == 'train'))
        self.call(Stage.BEFORE_RUN)
        try:
            self._run_flows(flows)
        except Exception as error:
            error.add_note(self._where())
            raise
        finally:
            self.call(Stage.AFTER_RUN)

    def _where(self) -> str:
        """The iteration and the batch, for the traceback of what went wrong there."""
        if self.data_batch is None:
            return f'after {self.iter} iterations'
        batch = self.data_batch if isinstance(self.data_batch, Mapping) else {}
        shapes = ', '.join(f'{k} {tuple(v.shape)} {v.dtype}' for k, v in batch.items() if isinstance(v, torch.Tensor))
        place = f'iteration {self.iter + 1}, {self.inner_iter + 1} of round {self.epoch + 1} ({self.mode})'
        return f'at {place}, batch: {shapes}' if shapes else f'at {place}'

    def _fix_length(self, train_loader: Any) -> None:
        raise NotImplementedError(f'{type(self).__name__} does not say how long a run is')

    def _run_flows(self, flows: list[tuple[str, int, Any]]) -> None:
        raise NotImplementedError(f'{type(self).__name__} does not say how flows alternate')


@RUNNERS.register_module()
class EpochBasedRunner(BaseRunner):
    """Counts epochs: flows of the workflow last epochs, hooks see ``*_train_epoch`` and ``*_val_epoch``."""

    by_epoch = True

    def _fix_length(self, train_loader: Any) -> None:
        if self.max_epochs is None:
            raise ValueError('EpochBasedRunner needs max_epochs')
        if len(train_loader) == 0:
            raise ValueError('the training loader has no batches: fewer samples than one batch, and drop_last')
        self.max_iters = self.max_epochs * len(train_loader)
        if self.iter != self.epoch * len(train_loader) + self.inner_iter:
            self.logger.warning(
                f'the resumed run stood at iteration {self.iter}, but with {len(train_loader)} iterations an epoch, '
                f'epoch {self.epoch} and {self.inner_iter} more make another number: data or batch size have changed, '
                'so the rest of this run is not what it would have been'
            )

    def _run_flows(self, flows: list[tuple[str, int, Any]]) -> None:
        assert self.max_epochs is not None
        while self.epoch < self.max_epochs and not self.is_stopping:
            for mode, times, loader in flows:
                for _ in range(times):
                    if self.is_stopping or (mode == 'train' and self.epoch >= self.max_epochs):
                        break
                    (loop.train_epoch if mode == 'train' else loop.val_epoch)(self, loader)


@RUNNERS.register_module()
class IterBasedRunner(BaseRunner):
    """Counts iterations: the training loader is gone through again and again until ``max_iters``.

    ``epoch`` counts its rounds; there are no train epochs for hooks.
    """

    by_epoch = False

    def _fix_length(self, train_loader: Any) -> None:
        if self.max_iters is None:
            raise ValueError('IterBasedRunner needs max_iters')
        if len(train_loader) == 0:
            raise ValueError('the training loader has no batches: fewer samples than one batch, and drop_last')

    def _run_flows(self, flows: list[tuple[str, int, Any]]) -> None:
        assert self.max_iters is not None
        sources = [_Endless(self, loader, mode) for mode, _, loader in flows]
        self.data_loader = flows[0][2]
        self.call(Stage.BEFORE_EPOCH)
        while self.iter < self.max_iters and not self.is_stopping:
            for (mode, times, loader), source in zip(flows, sources, strict=True):
                loop.start_flow(self, loader, mode)
                for _ in range(times):
                    if self.is_stopping or (mode == 'train' and self.iter >= self.max_iters):
                        break
                    source.run_iter()
        self.call(Stage.AFTER_EPOCH)


class _Endless:
    """Goes through a loader round after round, one iteration at a time."""

    def __init__(self, runner: IterBasedRunner, loader: Any, mode: str) -> None:
        self.runner, self.loader, self.mode = runner, loader, mode
        self.round = runner.epoch if mode == 'train' else 0
        self.numbered = loop.batches(loader, self.round, runner.inner_iter if mode == 'train' else 0)

    def run_iter(self) -> None:
        runner = self.runner
        number, batch = self._next()
        if self.mode == 'train':
            runner.epoch, runner.inner_iter = self.round, number
            loop.train_iter(runner, batch)
            runner.inner_iter = number + 1
        else:
            runner.data_batch = batch
            loop.val_iter(runner)

    def _next(self) -> tuple[int, Any]:
        found = next(self.numbered, None)
        if found is None:
            self.round += 1
            self.numbered = loop.batches(self.loader, self.round, 0)
            found = next(self.numbered)
        return found
