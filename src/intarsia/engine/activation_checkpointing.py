"""Trading time for memory: activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.errors import ConfigError, Problem, closest


def checkpoint_activations(model: nn.Module, names: bool | Sequence[str]) -> list[str]:
    """Make modules keep only their input during training (Chen et al., Training Deep Nets with Sublinear Memory Cost,
    2016, arXiv:1604.06174). Results and gradients stay the same.

    Args:
        model: Changed in place; its state dict is not.
        names: Modules by name; True takes the blocks of the backbone: the members of its sequences of equal modules.

    Returns:
        Names of the modules that do so.

    Raises:
        ConfigError: There is no such module.
    """
    modules = dict(model.named_modules())
    chosen = list(block_names(model)) if names is True else list(names or ())
    for name in chosen:
        if name not in modules:
            message = f"the model has no module '{name}'."
            raise ConfigError(
                Problem('bad-config', message, 'activation_checkpointing', suggestion=closest(name, modules))
            )
        module = modules[name]
        plain = module.forward
        module.forward = functools.partial(_recomputed, module, plain)
    return chosen


def block_names(model: nn.Module) -> Iterator[str]:
    """Members of sequences of equal modules that have parts themselves; of nested ones the innermost."""
    backbone = getattr(model, 'backbone', model)
    prefix = 'backbone.' if backbone is not model else ''
    sequences = [
        (n, m) for n, m in backbone.named_modules() if isinstance(m, (nn.Sequential, nn.ModuleList)) and len(m)
    ]
    equal = [(n, m) for n, m in sequences if any(m[0].children()) and all(type(each) is type(m[0]) for each in m)]
    names = [f'{prefix}{name}.{i}'.replace('..', '.') for name, module in equal for i in range(len(module))]
    return (name for name in names if not any(other.startswith(f'{name}.') for other in names))


def _recomputed(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not (module.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)

    def contexts() -> tuple[Any, Any]:
        return contextlib.nullcontext(), _frozen_statistics(module)

    return checkpoint(functools.partial(forward, **kwargs), *args, use_reentrant=False, context_fn=contexts)


@contextlib.contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """The second pass over a batch must not count it again in the running statistics."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    kept = [(m, m.momentum, None if m.num_batches_tracked is None else m.num_batches_tracked.clone()) for m in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)
