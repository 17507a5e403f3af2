"""Labels in the two forms that classification losses want: class indices, or a score per class.

Shapes: n samples, c classes.
"""

from __future__ import annotations

import inspect
from typing import Literal

import torch
from torch import Tensor, nn

TargetKind = Literal['index', 'score']


def as_scores(target: Tensor, num_classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Labels as one score per class.

    Args:
        target: Class indices, int64 ``(N,)`` or ``(N, 1)``, or scores ``(N, C)``.
        num_classes: C.
        dtype: Type of the result where ``target`` is not floating; float32 at least, for soft labels are fine-grained.

    Returns:
        ``(N, C)``: one-hot rows for indices; scores as they are.

    Raises:
        ValueError: The shape is none of these.
    """
    if target.is_floating_point():
        return target
    dtype = torch.promote_types(dtype, torch.float32)
    if target.dim() == 2 and target.shape[1] == num_classes:
        return target.to(dtype)
    if target.numel() != len(target):
        raise ValueError(f'labels of shape {tuple(target.shape)} are neither (N,) nor (N, {num_classes})')
    # not F.one_hot: it looks at the values, which stalls a GPU
    score_nc = torch.zeros(len(target), num_classes, dtype=dtype, device=target.device)
    return score_nc.scatter_(1, target.reshape(-1, 1).long(), 1)


def check_labels(target: Tensor, num_classes: int) -> None:
    """Raise a ValueError if a class index is outside 0 ... ``num_classes`` - 1; looks only at labels on the CPU."""
    if target.device.type != 'cpu' or target.is_floating_point() or target.dim() != 1 or not target.numel():
        return
    outside = ((target < 0) | (target >= num_classes)).nonzero()
    if len(outside):
        first = int(outside[0])
        raise ValueError(
            f'label {int(target[first])} (sample {first} of the batch) is not a class: '
            f'the head has {num_classes} classes, so labels are 0 ... {num_classes - 1}'
        )


def target_kind(loss: nn.Module) -> TargetKind:
    """Which form of labels a loss module is given when the data has class indices.

    Args:
        loss: The module. A class attribute ``target_kind = 'index'`` or ``'score'`` decides. Without one it is
            ``'score'`` if its ``forward`` uses a function made by
            :func:`~intarsia.models.losses.weighted.weighted_loss`, which compares score by score, else ``'index'``.

    Raises:
        ValueError: The attribute has another value.
    """
    declared = getattr(loss, 'target_kind', None)
    if declared in ('index', 'score'):
        return declared
    if declared is not None:
        raise ValueError(f"{type(loss).__name__}.target_kind must be 'index' or 'score', not {declared!r}")
    return 'score' if _uses_elementwise_function(loss) else 'index'


def _uses_elementwise_function(loss: nn.Module) -> bool:
    """Whether a name in ``forward``, or an attribute of the module, is a function made by ``weighted_loss``."""
    forward = inspect.unwrap(type(loss).forward)
    names, scope = forward.__code__.co_names, forward.__globals__
    reached = [scope[name] for name in names if name in scope]
    reached += [getattr(m, name, None) for m in list(reached) if inspect.ismodule(m) for name in names]
    return any(getattr(each, 'is_elementwise', False) is True for each in (*reached, *vars(loss).values()))
