"""Reading, loading and writing of checkpoints as old code asks for it. Nothing is ever downloaded."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.core.version import __version__
from intarsia.engine.checkpoint.files import find_newest, write_atomically
from intarsia.nn import weights
from intarsia.openmmlab.errors import also
from intarsia.openmmlab.logs import get_root_logger
from intarsia.openmmlab.parallel import unwrapped


def load_checkpoint(
    model: nn.Module,
    filename: str | Path,
    map_location: Any = None,
    strict: bool = False,
    logger: logging.Logger | None = None,
    revise_keys: Sequence[tuple[str, str]] = weights.DROP_MODULE,
) -> dict[str, Any]:
    """Load weights into a model.

    Args:
        model: The model, in a wrapper or not.
        filename: A path, or a name that :func:`intarsia.nn.weights.find_weights` finds.
        map_location: Device of what is returned; by default the CPU.
        strict: Whether all weights have to fit; otherwise what does not fit is logged.
        logger: Where it is logged; by default the logger of runs.
        revise_keys: Pairs (pattern, replacement) that are applied to the names in the file.

    Returns:
        What the file holds.
    """
    checkpoint = _load_checkpoint(filename, map_location, logger)
    state = next((checkpoint[k] for k in ('state_dict', 'model') if isinstance(checkpoint.get(k), Mapping)), checkpoint)
    load_state_dict(model, state, strict, logger, revise_keys)
    return checkpoint


def _load_checkpoint(filename: str | Path, map_location: Any = None, logger: Any = None) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        CheckpointError: It cannot be read, or does not exist; the latter is a ``FileNotFoundError`` too.
    """
    try:
        file = weights.find_weights(filename)
    except CheckpointError as error:
        raise also(error, FileNotFoundError) from error
    return weights.read_checkpoint(file, 'cpu' if map_location in (None, 'default') else map_location)


def load_state_dict(
    module: nn.Module,
    state_dict: Mapping[str, Any],
    strict: bool = False,
    logger: logging.Logger | None = None,
    revise_keys: Sequence[tuple[str, str]] = (),
) -> None:
    """Copy tensors into a model, as :func:`load_checkpoint` does.

    Raises:
        RuntimeError: ``strict``, and something does not fit; it is a ``CheckpointError`` too.
    """
    try:
        report = weights.load_state_dict(unwrapped(module), state_dict, strict=strict, revise_keys=revise_keys)
    except CheckpointError as error:
        raise also(error, RuntimeError) from error
    if not report.complete:
        text = f'The model and loaded state dict do not match exactly: {report}'
        (logger or get_root_logger()).warning(text)


def save_checkpoint(
    model: nn.Module | Mapping[str, Any],
    filename: str | Path,
    optimizer: Any = None,
    meta: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> None:
    """Write a model, its optimizer and ``meta`` to a file, whole or not at all.

    Args:
        model: The model, in a wrapper or not; or all that is to be written.
        filename: The file.
        optimizer: One, or several by name.
        meta: Plain values.
        kwargs: Not used.
    """
    if isinstance(model, Mapping):
        write_atomically(dict(model), Path(filename))
        return
    if meta is not None and not isinstance(meta, Mapping):
        raise TypeError(f'meta must be a dict or None, not {type(meta).__name__}')
    classes = getattr(unwrapped(model), 'CLASSES', None)
    facts = {'CLASSES': list(classes)} if classes is not None else {}
    head = {**(meta or {}), 'intarsia_version': __version__, 'time': time.asctime(), **facts}
    content: dict[str, Any] = {'meta': head, 'state_dict': weights_to_cpu(get_state_dict(model))}
    if isinstance(optimizer, Mapping):
        content['optimizer'] = {name: each.state_dict() for name, each in optimizer.items()}
    elif optimizer is not None:
        content['optimizer'] = optimizer.state_dict()
    write_atomically(content, Path(filename))


def get_state_dict(
    module: nn.Module, destination: Any = None, prefix: str = '', keep_vars: bool = False
) -> OrderedDict[str, Any]:
    """The ``state_dict`` of a model, without its wrapper."""
    state: OrderedDict[str, Any] = unwrapped(module).state_dict(prefix=prefix, keep_vars=keep_vars)
    if destination is None:
        return state
    destination.update(state)
    return destination


def weights_to_cpu(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """The same on the CPU."""
    moved = OrderedDict((k, v.cpu() if isinstance(v, torch.Tensor) else v) for k, v in state_dict.items())
    if hasattr(state_dict, '_metadata'):
        moved._metadata = state_dict._metadata  # type: ignore[attr-defined]
    return moved


class CheckpointLoader:
    """Reads checkpoints by their names."""

    load_checkpoint = staticmethod(_load_checkpoint)


def find_latest_checkpoint(path: str | Path, suffix: str = 'pth') -> str | None:
    """The newest whole checkpoint of a folder; None if there is none."""
    newest = find_newest(Path(path)) if Path(path).is_dir() else None
    if newest is None:
        get_root_logger().warning(f'there is no checkpoint in {path}')
    return str(newest) if newest is not None else None
