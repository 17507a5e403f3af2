"""Checkpoints of which every process writes its own part, while training goes on.

Such a checkpoint is a folder::

    run.pth         an ordinary checkpoint with None in the places of shards, and under 'sharded' their paths in it
    .metadata       shape and type of every sharded tensor, and where its parts lie
    __R_0.distcp    the parts that process R held

The last two are what ``torch.distributed.checkpoint`` writes. The folder is written under a temporary name, and gets
its own when all of it is on disk.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.tensor import DTensor

from intarsia.core.errors import CheckpointError, IntarsiaError
from intarsia.engine.checkpoint.files import RUN_FILE, point_latest_to, remove
from intarsia.engine.distributed import barrier, is_first
from intarsia.nn.weights import read_checkpoint

METADATA_FILE = '.metadata'


# ---------------------------------------------------------------------- what is sharded, and what is not


def split(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, DTensor]]:
    """Take the sharded tensors out of a checkpoint's content.

    Returns:
        The content with None in their places and their paths under ``sharded``, and the tensors by name.
    """
    shards: dict[str, DTensor] = {}
    paths: dict[str, list[Any]] = {}

    def without(value: Any, path: list[Any]) -> Any:
        if isinstance(value, DTensor):
            name = '/'.join(map(str, path))
            shards[name], paths[name] = value, path
            return None
        if isinstance(value, Mapping):
            return {key: without(inner, [*path, key]) for key, inner in value.items()}
        return [without(inner, [*path, i]) for i, inner in enumerate(value)] if isinstance(value, list) else value

    return {**without(content, []), 'sharded': paths}, shards


def join(plain: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Put tensors back to where :func:`split` has found them."""
    content = dict(plain)
    for name, path in content.pop('sharded').items():
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = tensors[name]
    return content


# ---------------------------------------------------------------------- reading


class _MetadataUnpickler(pickle.Unpickler):
    """Reads what describes tensors, and runs no code from it."""

    KNOWN = ('torch', 'torch.serialization', 'pathlib', 'torch.distributed.checkpoint.filesystem',
             'torch.distributed.checkpoint.metadata')  # fmt: skip
    NAMES = ('_StorageInfo', '_get_layout', 'Size', 'PosixPath', '_MEM_FORMAT_ENCODING')

    def find_class(self, module: str, name: str) -> Any:
        """A class that describes tensors.

        Raises:
            UnpicklingError: It is another.
        """
        of_metadata = module == 'torch.distributed.checkpoint.metadata'
        found = super().find_class(module, name) if module in self.KNOWN else None
        if found is not None and (of_metadata or name in self.NAMES or isinstance(found, torch.dtype)):
            return found
        raise pickle.UnpicklingError(f'it names {module}.{name}, which describes no tensor')


class _Reader(dcp.FileSystemReader):
    """A reader for checkpoints of strangers."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Shapes and places of the tensors."""
        return read_metadata(Path(self.path))


def read_metadata(folder: Path) -> Metadata:
    """What ``torch.distributed.checkpoint`` knows of the tensors in a folder.

    Raises:
        CheckpointError: The folder is no checkpoint.
    """
    try:
        metadata = _MetadataUnpickler(io.BytesIO((folder / METADATA_FILE).read_bytes())).load()
        assert isinstance(metadata, Metadata)
    except Exception as error:
        raise CheckpointError(f'{folder} is no sharded checkpoint: {error}') from error
    return metadata


def tensors_in(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of every sharded tensor."""
    known = read_metadata(folder).state_dict_metadata
    return {k: (v.size, v.properties.dtype) for k, v in known.items() if isinstance(v, TensorStorageMetadata)}


def check_intact(folder: Path) -> None:
    """Raise unless every part is there, in its full length.

    Raises:
        CheckpointError: One is missing or short.
    """
    for info in (read_metadata(folder).storage_data or {}).values():
        part = folder / info.relative_path
        if not part.is_file() or part.stat().st_size < info.offset + info.length:
            raise CheckpointError(f'{part} is missing or truncated')


def read(
    folder: Path, empty: Callable[[torch.Size, torch.dtype], Tensor] | None = None, group: Any = None
) -> dict[str, Any]:
    """Read a folder, written by any number of processes.

    Args:
        folder: The checkpoint.
        empty: Makes the tensor of a size and type that is filled, whole or a shard; None makes whole ones, which every
            process reads for itself.
        group: Processes that share the work of shards.

    Returns:
        What an ordinary checkpoint holds.

    Raises:
        CheckpointError: The folder is no checkpoint, or broken.
    """
    check_intact(folder)
    plain = read_checkpoint(folder / RUN_FILE)
    make = empty or (lambda size, dtype: torch.empty(size, dtype=dtype))
    tensors = {name: make(size, dtype) for name, (size, dtype) in tensors_in(folder).items()}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'torch.distributed is disabled')
            dcp.load(dict(tensors), storage_reader=_Reader(folder), process_group=group, no_dist=empty is None)
        return join(plain, tensors)
    except Exception as error:
        raise CheckpointError(f'{folder} cannot be read: {error}') from error


# ---------------------------------------------------------------------- writing


class _Writer(dcp.FileSystemWriter):
    """Copies to the CPU what training goes on to change."""

    def stage(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """The copies that are written."""
        return {
            name: v.detach().clone() if v.device.type == 'cpu' else v.detach().cpu() for name, v in state_dict.items()
        }


class ShardedWriter:
    """Writes one folder at a time, in the background.

    Args:
        group: All processes, over a backend of CPU tensors; no one else may use it.
    """

    def __init__(self, group: Any) -> None:
        self.group = group
        self._written: Future[None] | None = None
        self._outdated: list[Path] = []
        self._lock = threading.Lock()

    def write(self, content: Mapping[str, Any], folder: Path, link_latest: bool) -> None:
        """Copy the content and begin to write it; all processes call this.

        What was begun before is waited for.
        """
        self.finish()
        plain, shards = split(content)
        temporary = folder.with_name(f'.{folder.name}.tmp')
        try:
            if is_first():
                shutil.rmtree(temporary, ignore_errors=True)  # left by a killed run
                temporary.mkdir(parents=True)
                with (temporary / RUN_FILE).open('wb') as stream:
                    torch.save(plain, stream)
                    stream.flush()
                    os.fsync(stream.fileno())
        except (OSError, RuntimeError) as error:
            raise _cannot(folder, error) from error
        barrier()
        saving: Any = dcp.async_save(shards, storage_writer=_Writer(temporary), process_group=self.group)
        written = self._written = Future()
        saving.add_done_callback(lambda done: self._complete(done, written, temporary, folder, link_latest))

    def remove(self, folder: Path) -> None:
        """Delete a checkpoint, but not before the one that is being written is there."""
        if not is_first():
            return
        with self._lock:
            if self._written is not None and not self._written.done():
                self._outdated.append(folder)
                return
        remove(folder)

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            IntarsiaError: It could not be written; older checkpoints are intact.
        """
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _complete(
        self, saving: Future[Any], written: Future[None], temporary: Path, folder: Path, link_latest: bool
    ) -> None:
        """Give a folder its name; called in the background."""
        try:
            saving.result()
            if is_first():
                _put_in_place(temporary, folder)
                if link_latest:
                    point_latest_to(folder)
        except Exception as error:
            written.set_exception(_cannot(folder, error))
            return
        with self._lock:
            for checkpoint in self._outdated:
                remove(checkpoint)
            self._outdated.clear()
            written.set_result(None)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename; a folder that a run has left there before it was resumed gives way."""
    old = folder.with_name(f'.{folder.name}.old')
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _cannot(folder: Path, error: Exception) -> IntarsiaError:
    return IntarsiaError(f'{folder} cannot be written: {error}. What was there before is intact.')
