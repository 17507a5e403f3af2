"""Weights on disk: found by name, read safely, loaded with a report."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.errors import CheckpointError
from intarsia.core.local_weights import checkpoint_folder, find_local_weights, missing_weights
from intarsia.nn.foreign_objects import load_safely, refused_object

PathLike = str | os.PathLike[str]
DROP_MODULE = ((r'^module\.', ''),)
"""Takes off the prefix that data-parallel wrappers put before every key."""

PREPROCESSOR = 'data_preprocessor.'
"""What the newer toolboxes may keep with the weights though it is none: mean and deviation of the pixels."""


def find_weights(name: PathLike) -> Path:
    """The local file of a weights name. Nothing is ever downloaded.

    Args:
        name: A path, or a name with a scheme (``https://...``, ``open-mmlab://resnet50``, ``torchvision://resnet50``).
            The latter are looked up by the last part of their path, with or without a suffix or the hash that
            publishers add (``resnet50-0676ba61.pth``), in ``$INTARSIA_HOME/checkpoints``.

    Returns:
        An existing file.

    Raises:
        CheckpointError: There is no such file; the message says where it should be.
    """
    text = os.fspath(name)
    if '://' not in text:
        path = Path(text).expanduser()
        if path.is_dir():
            raise CheckpointError(f'{path} is a folder; intarsia checkpoint merge {path} FILE.pth makes it a file')
        if not path.is_file():
            raise CheckpointError(f'there is no checkpoint {path.absolute()}')
        return path
    found = find_local_weights(text)
    if not found:
        raise CheckpointError(missing_weights(text))
    if len(found) > 1:
        names = ' or '.join(p.name for p in found)
        raise CheckpointError(f'{text} may mean {names} in {checkpoint_folder()}: keep one')
    return found[0]


# ---------------------------------------------------------------------- reading


def read_checkpoint(path: PathLike, map_location: str | torch.device = 'cpu') -> dict[str, Any]:
    """Read a checkpoint without running any code from it.

    Args:
        path: A file of ``torch.save`` or of safetensors (suffix ``.safetensors``).
        map_location: Device of the tensors.

    Returns:
        What the file holds; a file of safetensors as ``{'state_dict': tensors, 'meta': header}``. Objects of the old
        toolboxes are replaced, see :mod:`intarsia.nn.foreign_objects`.

    Raises:
        CheckpointError: The file is missing, truncated, not a checkpoint, or holds other things than tensors
            and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {path.absolute()}')
    try:
        content = _read_safetensors(path, map_location) if path.suffix == '.safetensors' else None
        if content is None:
            content = load_safely(path, map_location)
    except Exception as error:
        raise CheckpointError(f'{path} cannot be read: {_reason(path, error)}') from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{path} holds a {type(content).__name__}, not a dict')
    return dict(content)


def _read_safetensors(path: Path, map_location: str | torch.device) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework='pt', device=str(map_location)) as file:
        return {'state_dict': {key: file.get_tensor(key) for key in file.keys()}, 'meta': file.metadata() or {}}  # noqa: SIM118


def _reason(path: Path, error: Exception) -> str:
    """Which of the three ways of being unreadable it is."""
    if path.stat().st_size == 0:
        return 'it is empty'
    name = refused_object(error)
    if name:
        return (
            f'it holds the Python object {name}, and only tensors and plain values are read. If you trust it, load it '
            f"once with torch.load(..., weights_only=False) and save its 'state_dict' alone"
        )
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f'it is truncated or not a checkpoint ({first_line})'


def read_state_dict(path: PathLike, map_location: str | torch.device = 'cpu') -> dict[str, Tensor]:
    """The parameters and buffers in a checkpoint, from under ``state_dict``, ``model`` or the top.

    Raises:
        CheckpointError: As :func:`read_checkpoint`, or there are no tensors.
    """
    return tensors_of(read_checkpoint(path, map_location), path)


def tensors_of(content: Mapping[str, Any], path: PathLike) -> dict[str, Tensor]:
    """The same of what has been read from ``path``."""
    for key in ('state_dict', 'model', 'model_state_dict'):
        if isinstance(content.get(key), Mapping):
            content = dict(content[key])
            break
    state = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise CheckpointError(
            f"{path} holds no tensors under 'state_dict', 'model' or the top; it has {list(content)[:5]}"
        )
    return state


# ---------------------------------------------------------------------- loading


@dataclass(frozen=True)
class LoadReport:
    """What came of loading a state dict.

    Attributes:
        loaded: Keys that were loaded.
        missing: Keys of the module that the state lacks.
        unexpected: Keys of the state that the module lacks.
        mismatched: Keys with another shape: (key, shape in the state, shape in the module).
    """

    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every key fitted."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """One line per kind of disagreement, with the first keys of each."""
        shapes = [f'{key} is {theirs}, expected {ours}' for key, theirs, ours in self.mismatched]
        parts = {'missing': self.missing, 'unexpected': self.unexpected, 'of another shape': shapes}
        lines = [_listing(title, list(keys)) for title, keys in parts.items() if keys]
        return '\n'.join([f'{len(self.loaded)} entries fit', *lines])


def _listing(title: str, items: list[str], shown: int = 8) -> str:
    more = f', and {len(items) - shown} more' if len(items) > shown else ''
    return f'  {len(items)} {title}: {", ".join(items[:shown])}{more}'


def load_state_dict(
    module: nn.Module,
    state: Mapping[str, Tensor],
    strict: bool = True,
    prefix: str | None = None,
    revise_keys: Sequence[tuple[str, str]] = DROP_MODULE,
) -> LoadReport:
    """Copy tensors into a module.

    Args:
        module: Its parameters and buffers are overwritten in place.
        state: Tensors by key; not changed.
        strict: Raise, and load nothing, unless every key fits. Otherwise what fits is loaded.
        prefix: Use only the keys that start with ``prefix.``, without it.
        revise_keys: Pairs (pattern, replacement) that are applied to every key of ``state`` first.

    Returns:
        What was loaded and what was not.

    Raises:
        CheckpointError: ``strict``, and keys are missing, unexpected or of another shape.
    """
    expected = module.state_dict()
    state = _after_hooks(module, without_averages(select(state, prefix, revise_keys)))
    state = {k: v for k, v in state.items() if k in expected or not k.startswith(PREPROCESSOR)}
    fitting = {k: v for k, v in state.items() if k in expected and _shape(v) == _shape(expected[k])}
    report = LoadReport(
        loaded=tuple(fitting),
        missing=tuple(k for k in expected if k not in state and not k.endswith('num_batches_tracked')),
        unexpected=tuple(k for k in state if k not in expected),
        mismatched=tuple(
            (k, _shape(v), _shape(expected[k])) for k, v in state.items() if k in expected and k not in fitting
        ),
    )
    if strict and not report.complete:
        raise CheckpointError(f'the weights do not fit {type(module).__name__}: {report}')
    module.load_state_dict({k: _placed_like(v, expected[k]) for k, v in fitting.items()}, strict=False)
    return report


def select(
    state: Mapping[str, Tensor], prefix: str | None, revise_keys: Sequence[tuple[str, str]]
) -> dict[str, Tensor]:
    """Entries of a state dict under other keys; the arguments are those of :func:`load_state_dict`."""
    revised = {}
    for key, value in state.items():
        for pattern, replacement in revise_keys:
            key = re.sub(pattern, replacement, key)
        revised[key] = value
    if not prefix:
        return revised
    start = prefix.rstrip('.') + '.'
    return {key[len(start) :]: value for key, value in revised.items() if key.startswith(start)}


def without_averages(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the buffers in which MMCV 1 kept trained weights beside their averages: ``ema_`` and a key's name."""
    doubled = {f'ema_{key.replace(".", "_")}' for key in state}
    return {key: value for key, value in state.items() if key not in doubled}


def _after_hooks(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state as the ``load_state_dict`` pre-hooks of all submodules leave it, so that the report speaks of that."""
    for name, child in module.named_modules():
        for hook in child._load_state_dict_pre_hooks.values():
            hook(state, f'{name}.' if name else '', {}, True, [], [], [])
    return state


def _placed_like(value: Any, expected: Any) -> Any:
    """A whole tensor as shards, if those are expected."""
    if not hasattr(expected, 'placements') or hasattr(value, 'placements'):
        return value
    from torch.distributed.tensor import distribute_tensor  # here, for few need it

    return distribute_tensor(value, expected.device_mesh, expected.placements)


def _shape(value: Tensor) -> tuple[int, ...]:
    return tuple(getattr(value, 'shape', ()))
