"""Looking into checkpoints, and making files of shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from intarsia.core.errors import CheckpointError
from intarsia.engine.checkpoint.files import RUN_FILE, find_run, write_atomically
from intarsia.nn.weights import PathLike, read_checkpoint

STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
"""Ends of the names of what norm layers count and nobody trains."""


class _Entry(NamedTuple):
    name: str
    shape: torch.Size
    dtype: torch.dtype


@dataclass(frozen=True)
class CheckpointFacts:
    """What is in a checkpoint.

    Attributes:
        path: Where it is.
        kind: ``'run'``, ``'sharded run'``, or ``'weights'``, with which no run can be resumed.
        meta: Entries of ``meta`` that are short: ``epoch``, ``iter``, ``seed``, versions, ...
        classes: Names of the classes.
        hooks: Hooks that keep something in it.
        has_optimizer: Whether the optimizer's state is there.
        num_tensors: Tensors of the model.
        num_parameters: Numbers in them, without the statistics of norm layers.
        num_bytes: Their size.
        dtypes: How many tensors there are of each type.
    """

    path: str
    kind: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    has_optimizer: bool = False
    num_tensors: int = 0
    num_parameters: int = 0
    num_bytes: int = 0
    dtypes: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def describe_checkpoint(path: PathLike) -> CheckpointFacts:
    """What is in a checkpoint, whole or sharded; shards are not read.

    Raises:
        CheckpointError: It is missing or broken.
    """
    checkpoint = find_run(path)
    is_folder = checkpoint.is_dir()
    content = read_checkpoint(checkpoint / RUN_FILE if is_folder else checkpoint)
    meta = content.get('meta') or {}
    entries = [*_entries(content), *(_sharded_entries(checkpoint) if is_folder else ())]
    if not entries:
        raise CheckpointError(f'{checkpoint} holds no tensors')
    return CheckpointFacts(
        path=str(checkpoint),
        kind='sharded run' if is_folder else 'run' if 'optimizer' in content and 'iter' in meta else 'weights',
        meta={k: v for k, v in meta.items() if isinstance(v, (int, float, str)) and len(str(v)) <= 80},
        classes=[str(name) for name in meta.get('CLASSES') or ()],
        hooks=list(content.get('hooks') or ()),
        has_optimizer='optimizer' in content,
        num_tensors=len(entries),
        num_parameters=sum(e.shape.numel() for e in entries if not e.name.endswith(STATISTICS)),
        num_bytes=sum(e.shape.numel() * e.dtype.itemsize for e in entries),
        dtypes=dict(Counter(str(e.dtype).removeprefix('torch.') for e in entries)),
    )


def merge_checkpoint(folder: PathLike, file: PathLike) -> None:
    """Make an ordinary checkpoint of a folder of shards, whatever number of processes has written it.

    Raises:
        CheckpointError: The folder is no checkpoint, or broken.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(f'{folder} is no folder of shards')
    from intarsia.engine.checkpoint import sharded  # here, for it imports half of torch.distributed

    write_atomically(sharded.read(Path(folder)), Path(file))


def _entries(content: Mapping[str, Any]) -> Iterator[_Entry]:
    """The tensors of the model in what a file holds."""
    inner = next((content[k] for k in ('state_dict', 'model') if isinstance(content.get(k), Mapping)), content)
    return (_Entry(k, v.shape, v.dtype) for k, v in inner.items() if isinstance(v, torch.Tensor))


def _sharded_entries(folder: Path) -> Iterator[_Entry]:
    from intarsia.engine.checkpoint import sharded

    sharded.check_intact(folder)
    tensors = sharded.tensors_in(folder)
    return (_Entry(name, *facts) for name, facts in tensors.items() if name.startswith('state_dict/'))
