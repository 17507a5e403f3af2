"""Where files lie, as MMCV and MMEngine see it: on disk, unless a project brings a place of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from intarsia.core.errors import DataError

File = str | os.PathLike[str]
Options = Mapping[str, Any] | None
Suffix = str | tuple[str, ...] | None
Kind = TypeVar('Kind', bound=type)


def mkdir_or_exist(dir_name: File, mode: int = 0o777) -> None:
    """Make a folder and those it lies in; nothing if it is there, or its name is empty. ``~`` is the home folder."""
    if os.fspath(dir_name):
        os.makedirs(os.path.expanduser(dir_name), mode=mode, exist_ok=True)


def walk(folder: File, recursive: bool, start: str = '') -> Iterator[tuple[str, bool]]:
    """Files and folders in a folder, by name: path from there, and whether it is a file. Hidden files are left out."""
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = os.path.join(start, entry.name)
        if entry.is_file() and not entry.name.startswith('.'):
            yield path, True
        elif entry.is_dir():
            yield path, False
            if recursive:
                yield from walk(entry.path, recursive, path)


def ends_with(path: str, suffix: Suffix) -> bool:
    """Whether a path ends with a suffix, or one of several."""
    return suffix is None or path.endswith(suffix)


def require_suffix(suffix: Suffix) -> None:
    """Check that a suffix is a string or a tuple of strings, else raise TypeError."""
    if suffix is not None and not isinstance(suffix, (str, tuple)):
        raise TypeError(f'"suffix" is a string or a tuple of strings, not {type(suffix).__name__}')


class BaseStorageBackend:
    """Base of where files lie."""

    allow_symlink: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Of the class."""
        return type(self).__name__


class LocalBackend(BaseStorageBackend):
    """Files on disk."""

    allow_symlink = True

    def get(self, filepath: File) -> bytes:
        """The content of a file."""
        return Path(filepath).read_bytes()

    def get_text(self, filepath: File, encoding: str = 'utf-8') -> str:
        """The text in a file."""
        return Path(filepath).read_text(encoding=encoding)

    def put(self, obj: bytes, filepath: File) -> None:
        """Write a file; its folder is made."""
        mkdir_or_exist(os.path.dirname(filepath))
        Path(filepath).write_bytes(obj)

    def put_text(self, obj: str, filepath: File, encoding: str = 'utf-8') -> None:
        """Write a text file; its folder is made."""
        mkdir_or_exist(os.path.dirname(filepath))
        Path(filepath).write_text(obj, encoding=encoding)

    def exists(self, filepath: File) -> bool:
        """Whether there is a file or a folder."""
        return os.path.exists(filepath)

    def isdir(self, filepath: File) -> bool:
        """Whether there is a folder."""
        return os.path.isdir(filepath)

    def isfile(self, filepath: File) -> bool:
        """Whether there is a file."""
        return os.path.isfile(filepath)

    def join_path(self, filepath: File, *filepaths: File) -> str:
        """One path of several parts."""
        return os.path.join(filepath, *filepaths)

    @contextmanager
    def get_local_path(self, filepath: File) -> Iterator[File]:
        """The file itself."""
        yield filepath

    def remove(self, filepath: File) -> None:
        """Delete a file."""
        os.remove(filepath)

    def rmtree(self, dir_path: File) -> None:
        """Delete a folder and all in it."""
        shutil.rmtree(dir_path)

    def copyfile(self, src: File, dst: File) -> str:
        """Copy a file to a path or into a folder, and say where it is now."""
        return str(shutil.copy(src, dst))

    def copytree(self, src: File, dst: File) -> str:
        """Copy a folder; ``dst`` must not exist."""
        return str(shutil.copytree(src, dst))

    copyfile_from_local = copyfile_to_local = copyfile
    copytree_from_local = copytree_to_local = copytree

    def list_dir_or_file(
        self,
        dir_path: File,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Folders and files in a folder, as paths from there, by name; hidden files are left out.

        Raises:
            TypeError: There is a suffix though folders are wanted.
        """
        require_suffix(suffix)
        if list_dir and suffix is not None:
            raise TypeError('folders have no suffix: `list_dir` is False where a `suffix` is given')
        wanted = {True: list_file, False: list_dir}
        found = walk(dir_path, recursive)
        return (path for path, is_file in found if wanted[is_file] and (not is_file or ends_with(path, suffix)))


_BACKENDS: dict[str, type[Any]] = {'disk': LocalBackend, 'local': LocalBackend, '': LocalBackend}
"""By name, and by what stands before ``://`` in a path."""


def register_backend(
    name: str, backend: type[Any] | None = None, force: bool = False, prefixes: str | Sequence[str] | None = None
) -> Callable[[Kind], Kind] | None:
    """Let :class:`FileClient` and the functions here use a backend of the user's own; also as a decorator.

    The steps of a pipeline read from disk all the same.

    Raises:
        KeyError: There is one of that name already.
    """

    def register(kind: Kind) -> Kind:
        for each in (name, *([prefixes] if isinstance(prefixes, str) else prefixes or ())):
            if each in _BACKENDS and not force:
                raise KeyError(f"there is a backend '{each}' already; force=True puts another in its place")
            _BACKENDS[each] = kind
        return kind

    if backend is None:
        return register
    register(backend)
    return None


def get_file_backend(
    uri: File | None = None, *, backend_args: Options = None, enable_singleton: bool = False
) -> LocalBackend:
    """What reads and writes a file.

    Args:
        uri: The file.
        backend_args: ``dict(backend='local')`` or None.
        enable_singleton: Does not matter.

    Raises:
        DataError: The file is not on disk.
        ValueError: Neither argument is given.
    """
    options = dict(backend_args or {})
    if uri is None and 'backend' not in options:
        raise ValueError("without `uri`, `backend_args` has to name the 'backend'")
    prefix = FileClient.parse_uri_prefix(uri) or '' if uri is not None else ''
    return _backend(options.pop('backend', None) or prefix, options)


def _backend(name: str, options: Mapping[str, Any]) -> LocalBackend:
    if name not in _BACKENDS:
        raise DataError(f"files are read from disk, not from '{name}': copy them here, and leave file_client_args out")
    return _BACKENDS[name](**options)


class FileClient:
    """The backend of a name; its methods are those of the backend, such as :class:`LocalBackend`.

    Args:
        backend: ``'disk'``, or the name of one that was registered.
        prefix: What stands before ``://`` in a path.
        kwargs: Arguments of the backend.

    Raises:
        DataError: There is no such backend.
    """

    client: Any

    def __init__(self, backend: str | None = None, prefix: str | None = None, **kwargs: Any) -> None:
        self.client = _backend(backend or prefix or 'disk', kwargs)

    def __getattr__(self, name: str) -> Any:
        """Whatever the backend has."""
        if name == 'client' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.client, name)

    @staticmethod
    def parse_uri_prefix(uri: File) -> str | None:
        """``'s3'`` for ``'s3://bucket/a.jpg'`` and ``'cluster:s3://bucket/a.jpg'``; None for a path on disk."""
        prefix, found, _ = str(uri).partition('://')
        return prefix.rpartition(':')[2] if found else None

    @classmethod
    def infer_client(cls, file_client_args: Options = None, uri: File | None = None) -> FileClient:
        """The client for ``dict(backend=...)``, or else for a path."""
        if file_client_args is not None:
            return cls(**file_client_args)
        return cls(prefix=None if uri is None else cls.parse_uri_prefix(uri))

    register_backend = staticmethod(register_backend)


def get(filepath: File, backend_args: Options = None) -> bytes:
    """The content of a file; this and what follows are methods of :class:`LocalBackend`."""
    return get_file_backend(filepath, backend_args=backend_args).get(filepath)


def get_text(filepath: File, encoding: str = 'utf-8', backend_args: Options = None) -> str:
    """The text in a file."""
    return get_file_backend(filepath, backend_args=backend_args).get_text(filepath, encoding)


def put(obj: bytes, filepath: File, backend_args: Options = None) -> None:
    """Write a file."""
    get_file_backend(filepath, backend_args=backend_args).put(obj, filepath)


def put_text(obj: str, filepath: File, backend_args: Options = None) -> None:
    """Write a text file."""
    get_file_backend(filepath, backend_args=backend_args).put_text(obj, filepath)


def exists(filepath: File, backend_args: Options = None) -> bool:
    """Whether there is a file or a folder."""
    return get_file_backend(filepath, backend_args=backend_args).exists(filepath)


def isdir(filepath: File, backend_args: Options = None) -> bool:
    """Whether there is a folder."""
    return get_file_backend(filepath, backend_args=backend_args).isdir(filepath)


def isfile(filepath: File, backend_args: Options = None) -> bool:
    """Whether there is a file."""
    return get_file_backend(filepath, backend_args=backend_args).isfile(filepath)


def join_path(filepath: File, *filepaths: File, backend_args: Options = None) -> str:
    """One path of several parts."""
    return get_file_backend(filepath, backend_args=backend_args).join_path(filepath, *filepaths)


def get_local_path(filepath: File, backend_args: Options = None) -> AbstractContextManager[File]:
    """A path on disk, for a ``with`` block."""
    return get_file_backend(filepath, backend_args=backend_args).get_local_path(filepath)


def remove(filepath: File, backend_args: Options = None) -> None:
    """Delete a file."""
    get_file_backend(filepath, backend_args=backend_args).remove(filepath)


def rmtree(dir_path: File, backend_args: Options = None) -> None:
    """Delete a folder and all in it."""
    get_file_backend(dir_path, backend_args=backend_args).rmtree(dir_path)


def copyfile(src: File, dst: File, backend_args: Options = None) -> str:
    """Copy a file, and say where it is now."""
    return get_file_backend(src, backend_args=backend_args).copyfile(src, dst)


def copytree(src: File, dst: File, backend_args: Options = None) -> str:
    """Copy a folder, and say where it is now."""
    return get_file_backend(src, backend_args=backend_args).copytree(src, dst)


def list_dir_or_file(
    dir_path: File,
    list_dir: bool = True,
    list_file: bool = True,
    suffix: Suffix = None,
    recursive: bool = False,
    backend_args: Options = None,
) -> Iterator[str]:
    """Folders and files in a folder, as paths from there."""
    backend = get_file_backend(dir_path, backend_args=backend_args)
    return backend.list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)
