"""Runners of both generations as old scripts build them, over ours."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from intarsia.core.registries import RUNNERS
from intarsia.engine import runner as engine
from intarsia.engine.checkpoint.state import save_run_state
from intarsia.engine.distributed import from_first, mean_of
from intarsia.engine.environment import draw_seed, seed_everything
from intarsia.engine.strategy import Strategy
from intarsia.engine.update import Update
from intarsia.openmmlab import checkpoints
from intarsia.openmmlab.logs import get_root_logger
from intarsia.openmmlab.parallel import MMDataParallel, get_dist_info, is_module_wrapper, unwrapped
from intarsia.openmmlab.registry import build_from_cfg
from intarsia.optim import build


def _called_by_ours(own: Callable[..., Any]) -> Callable[..., Any]:
    """A ``save_checkpoint(out_dir, filename_tmpl, ...)`` that our hooks can call with the name of a file."""

    def in_our_words(save_optimizer: bool = True, link_latest: bool = True) -> dict[str, bool]:
        return {'save_optimizer': save_optimizer, 'create_symlink': link_latest}

    @functools.wraps(own)
    def save_checkpoint(self: Any, out_dir: str | Path, *args: Any, **kwargs: Any) -> Any:
        if Path(out_dir).suffix != '.pth':
            return own(self, str(out_dir), *args, **kwargs)
        file = (self.work_dir or Path()) / out_dir
        own(self, str(file.parent), filename_tmpl=file.name, **in_our_words(*args, **kwargs))
        return file

    return save_checkpoint


class BaseRunner(engine.BaseRunner):
    """What both runners add to ours: the old constructor, names and files.

    Args:
        model: With ``train_step``; in a wrapper, as a rule.
        batch_processor: Not taken: models have ``train_step``.
        optimizer: One, or several by name.
        work_dir: Folder of what the run writes.
        logger: Where text goes; by default the logger of runs.
        meta: Entries of every checkpoint's ``meta``.
        max_iters: Length in iterations, or
        max_epochs: length in epochs.
        seed: As ours.
        strategy: As ours; by default that of the wrapper.
        rank: As ours.
        world_size: As ours.
    """

    def __init__(
        self,
        model: nn.Module,
        batch_processor: Any = None,
        optimizer: Any = None,
        work_dir: str | Path | None = None,
        logger: logging.Logger | None = None,
        meta: Mapping[str, Any] | None = None,
        max_iters: int | None = None,
        max_epochs: int | None = None,
        seed: int | None = None,
        strategy: Strategy | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        if batch_processor is not None:
            raise TypeError('there is no batch_processor any more: implement train_step(data, optimizer) in the model')
        own_rank, own_size = get_dist_info()
        super().__init__(
            model, optimizer, work_dir, logger or get_root_logger(), meta, max_iters, max_epochs, seed,
            strategy or _strategy_of(model), own_rank if rank is None else rank,
            own_size if world_size is None else world_size,
        )  # fmt: skip
        self.log_buffer.reduce = mean_of if self.world_size > 1 else None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if 'save_checkpoint' in vars(cls) and not cls.__module__.startswith('intarsia.'):
            cls.save_checkpoint = _called_by_ours(cls.save_checkpoint)  # type: ignore[method-assign]

    # ------------------------------------------------------------------ other names of what ours have

    @property
    def meta(self) -> dict[str, Any]:
        """Entries of ``meta``; hooks find their messages in it."""
        return self._meta

    @meta.setter
    def meta(self, values: Mapping[str, Any] | None) -> None:
        self._meta = {**(values or {}), 'hook_msgs': dict((values or {}).get('hook_msgs') or {})}

    @property
    def _hooks(self) -> list[Any]:
        return self.hooks

    def register_lr_hook(self, lr_config: Any) -> None:
        """Register the schedule of the learning rate."""
        self._register(lr_config=lr_config)

    def register_momentum_hook(self, momentum_config: Any) -> None:
        """Register the schedule of the momentum."""
        self._register(momentum_config=momentum_config)

    def register_optimizer_hook(self, optimizer_config: Any) -> None:
        """Register the hook that updates."""
        self._register(optimizer_config=optimizer_config)

    def register_checkpoint_hook(self, checkpoint_config: Any) -> None:
        """Register the hook that writes checkpoints."""
        self._register(checkpoint_config=checkpoint_config)

    def register_logger_hooks(self, log_config: Any) -> None:
        """Register the hooks that log."""
        self._register(log_config=log_config)

    def register_custom_hooks(self, custom_config: Any) -> None:
        """Register further hooks."""
        self._register(custom_hooks_config=custom_config)

    def _register(self, **configs: Any) -> None:
        self.register_training_hooks(**{'lr_config': None, 'timer_config': None, **configs})

    # ------------------------------------------------------------------ files

    def load_checkpoint(  # type: ignore[override]
        self, filename: str | Path, map_location: Any = 'cpu', strict: bool = False, revise_keys: Any = None
    ) -> dict[str, Any]:
        """Load weights; what does not fit is logged.

        Returns:
            What the file holds.
        """
        patterns = checkpoints.weights.DROP_MODULE if revise_keys is None else revise_keys
        return checkpoints.load_checkpoint(self.model, filename, map_location, strict, self.logger, patterns)

    @_called_by_ours
    def save_checkpoint(
        self,
        out_dir: str | Path,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        meta: Mapping[str, Any] | None = None,
        create_symlink: bool = True,
    ) -> Path:
        """Write a checkpoint.

        Args:
            out_dir: Folder.
            filename_tmpl: Name, with ``{}`` for the number of epochs or iterations.
            save_optimizer: Whether the optimizer goes along.
            meta: Further entries of ``meta``.
            create_symlink: Whether ``latest.pth`` points to it.
        """
        template = filename_tmpl or ('epoch_{}.pth' if self.by_epoch else 'iter_{}.pth')
        number = self.progress.epoch if self.by_epoch else self.progress.iter
        self.meta.update(meta or {})
        return save_run_state(self, Path(out_dir) / template.format(number), save_optimizer, create_symlink)

    def resume(self, checkpoint: str | Path, resume_optimizer: bool = True, map_location: Any = 'default') -> None:
        """Continue the run that wrote a checkpoint."""
        super().resume(checkpoint, resume_optimizer)

    def run(
        self,
        data_loaders: Sequence[Any],
        workflow: Sequence[Any] = (('train', 1),),
        max_epochs: int | None = None,
        max_iters: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Run to the end, which the last arguments may say too."""
        self.max_epochs, self.max_iters = max_epochs or self.max_epochs, max_iters or self.max_iters
        super().run(data_loaders, [(str(mode), int(times)) for mode, times in workflow])


def _alias(name: str) -> Any:
    """An attribute under a private name, as subclasses set it."""
    return property(lambda self: getattr(self, name), lambda self, value: setattr(self, name, value))


for _name in ('epoch', 'iter', 'inner_iter', 'max_epochs', 'max_iters', 'rank', 'world_size'):
    setattr(BaseRunner, f'_{_name}', _alias(_name))


def _strategy_of(model: Any) -> Strategy:
    """How a model in a wrapper, or alone, is trained."""
    shared: Strategy | None = getattr(model, 'strategy', None)
    strategy = shared or Strategy(unwrapped(model))
    wrapper = model if is_module_wrapper(model) else MMDataParallel(model)
    strategy.train_step = wrapper.train_step
    strategy.val_step = wrapper.val_step if hasattr(unwrapped(model), 'val_step') else wrapper.train_step
    return strategy


class EpochBasedRunner(BaseRunner, engine.EpochBasedRunner):
    """Counts epochs; see :class:`intarsia.engine.runner.EpochBasedRunner`."""


class IterBasedRunner(BaseRunner, engine.IterBasedRunner):
    """Counts iterations; see :class:`intarsia.engine.runner.IterBasedRunner`."""


OLD: dict[Any, Any] = {engine.EpochBasedRunner: EpochBasedRunner, engine.IterBasedRunner: IterBasedRunner}
"""Our runners, and what old code gets for them."""


def build_runner(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a runner from ``dict(type='EpochBasedRunner', max_epochs=...)``."""
    node = {name: value for name, value in cfg.items() if name != 'constructor'}
    kind = RUNNERS.get(node['type']) if isinstance(node.get('type'), str) else node.get('type')
    return build_from_cfg({**node, 'type': OLD.get(kind, kind)}, RUNNERS, default_args)


# ---------------------------------------------------------------------- optimizers


def build_optimizer(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Build the optimizer, or several by name, of a model in a wrapper or not."""
    return build.build_optimizer(model, cfg)


class OptimWrapper:
    """An optimizer that does the whole update.

    Args:
        optimizer: The optimizer.
        accumulative_counts: How many losses make a step.
        clip_grad: As ``grad_clip`` of :class:`intarsia.engine.update.Update`.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, accumulative_counts: int = 1, clip_grad: Mapping[str, Any] | None = None
    ) -> None:
        self.optimizer = optimizer
        self.accumulative_counts = accumulative_counts
        self._update = Update(clip_grad)
        self._count = 0

    def update_params(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Backward, and a step when it is time."""
        groups = (group['params'] for group in self.optimizer.param_groups)
        model = nn.ParameterList([parameter for group in groups for parameter in group])
        place = self._count % self.accumulative_counts
        self._count += 1
        last = place + 1 == self.accumulative_counts
        self._update(loss / self.accumulative_counts, [self.optimizer], model, place == 0, last)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__['optimizer'], name)


def build_optim_wrapper(model: nn.Module, cfg: Mapping[str, Any]) -> OptimWrapper:
    """Build the optimizer of ``optim_wrapper`` and what updates with it; a run has its own way to do so."""
    extra = {name: cfg[name] for name in ('constructor', 'paramwise_cfg') if cfg.get(name) is not None}
    optimizer = build_optimizer(model, {**cfg['optimizer'], **extra})
    own = inspect.signature(OptimWrapper).parameters.keys() & cfg.keys() - {'optimizer'}
    return OptimWrapper(optimizer, **{name: cfg[name] for name in own})


# ---------------------------------------------------------------------- seeds


def set_random_seed(
    seed: int | None, deterministic: bool = False, use_rank_shift: bool = False, diff_rank_seed: bool = False
) -> int:
    """Seed all global generators.

    Args:
        seed: None draws one.
        deterministic: Allow only deterministic algorithms.
        use_rank_shift: Add the number of the process.
        diff_rank_seed: The same, by its newer name.
    """
    seed = init_random_seed() if seed is None else seed
    seed_everything(seed + (get_dist_info()[0] if use_rank_shift or diff_rank_seed else 0), deterministic)
    return seed


def init_random_seed(seed: int | None = None, device: str = 'cuda') -> int:
    """The seed, or one that is drawn, the same in all processes."""
    return int(from_first(draw_seed())) if seed is None else seed
