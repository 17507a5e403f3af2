"""Files as MMCV and MMEngine read and write them. There is one place for them: the disk."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from intarsia.core.errors import DataError
from intarsia.openmmlab.file_backends import File, Options, Suffix, ends_with, get_file_backend, require_suffix, walk
from intarsia.openmmlab.file_formats import BaseFileHandler, file_handlers


def is_filepath(x: object) -> bool:
    """Whether something is a path: a string or a ``Path``."""
    return isinstance(x, (str, Path))


def fopen(filepath: File, *args: Any, **kwargs: Any) -> IO[Any]:
    """:func:`open`, for paths only.

    Raises:
        ValueError: It is no path.
    """
    if not is_filepath(filepath):
        raise ValueError(f'`filepath` is a string or a Path, not {type(filepath).__name__}')
    return open(filepath, *args, **kwargs)


def check_file_exist(filename: File, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Do nothing if there is such a file.

    Raises:
        FileNotFoundError: There is none; ``msg_tmpl`` is its text.
    """
    if not os.path.isfile(filename):
        raise FileNotFoundError(msg_tmpl.format(filename))


def symlink(src: File, dst: File, overwrite: bool = True, **kwargs: Any) -> None:
    """Make ``dst`` a link to ``src``; with ``overwrite`` in place of what is there."""
    if overwrite and os.path.lexists(dst):
        os.remove(dst)
    os.symlink(src, dst, **kwargs)


def find_vcs_root(path: File, markers: Sequence[str] = ('.git',)) -> str | None:
    """The closest folder at or above a path that has one of the markers in it."""
    start = Path(os.path.abspath(os.path.expanduser(path)))
    folders = (start, *start.parents)
    return next((str(each) for each in folders if any((each / marker).exists() for marker in markers)), None)


def scandir(
    dir_path: File, suffix: Suffix = None, recursive: bool = False, case_sensitive: bool = True
) -> Iterator[str]:
    """Files in a folder, as paths from there, by name; hidden files are left out.

    Args:
        dir_path: The folder.
        suffix: What the names end with, one or several.
        recursive: Whether to go into the folders in it.
        case_sensitive: Whether the suffix has to have the same case.

    Raises:
        TypeError: An argument is of another kind.
    """
    if not is_filepath(dir_path):
        raise TypeError(f'"dir_path" is a string or a Path, not {type(dir_path).__name__}')
    require_suffix(suffix)
    if suffix is None or case_sensitive:
        return (path for path, is_file in walk(dir_path, recursive) if is_file and ends_with(path, suffix))
    lower = suffix.lower() if isinstance(suffix, str) else tuple(each.lower() for each in suffix)
    return (path for path, is_file in walk(dir_path, recursive) if is_file and path.lower().endswith(lower))


def load(
    file: File | IO[Any],
    file_format: str | None = None,
    file_client_args: Options = None,
    backend_args: Options = None,
    **kwargs: Any,
) -> Any:
    """Read a ``.json``, ``.yaml`` or ``.pkl`` file; of a pickle, arrays and plain values only.

    Args:
        file: A path or an open file.
        file_format: The suffix without its dot, where there is none.
        file_client_args: ``dict(backend='disk')`` or None.
        backend_args: The same.
        kwargs: For the reader of that format.

    Raises:
        DataError: A pickle is broken, or holds anything else; or the file is not on disk.
        FileNotFoundError: There is no such file.
        TypeError: The format is not known.
    """
    handler = _handler(file, file_format)
    if not isinstance(file, (str, os.PathLike)):
        return handler.load_from_fileobj(file, **kwargs)
    backend = get_file_backend(file, backend_args=file_client_args or backend_args)
    stream: IO[Any] = io.StringIO(backend.get_text(file)) if handler.str_like else io.BytesIO(backend.get(file))
    try:
        return handler.load_from_fileobj(stream, **kwargs)
    except DataError as error:
        raise DataError(f'{file}: {error}') from error


def dump(
    obj: Any,
    file: File | IO[Any] | None = None,
    file_format: str | None = None,
    file_client_args: Options = None,
    backend_args: Options = None,
    **kwargs: Any,
) -> Any:
    """Write a ``.json``, ``.yaml`` or ``.pkl`` file, and make its folder; the arguments are those of :func:`load`.

    Returns:
        The content if ``file`` is None, else None.

    Raises:
        TypeError: The format is not known, or cannot hold the object.
        ValueError: Neither ``file`` nor ``file_format`` is given.
    """
    if file is None and file_format is None:
        raise ValueError('without a file, `file_format` has to be given')
    handler = _handler(file, file_format)
    if file is None:
        return handler.dump_to_str(obj, **kwargs)
    if not isinstance(file, (str, os.PathLike)):
        return handler.dump_to_fileobj(obj, file, **kwargs)
    content = handler.dump_to_str(obj, **kwargs)
    backend = get_file_backend(file, backend_args=file_client_args or backend_args)
    return backend.put_text(content, file) if handler.str_like else backend.put(content, file)


def _handler(file: Any, file_format: str | None) -> BaseFileHandler:
    name = file_format or (os.fspath(file).rpartition('.')[2] if isinstance(file, (str, os.PathLike)) else None)
    if name not in file_handlers:
        raise TypeError(f'the format of a file is one of {", ".join(file_handlers)}, not {name!r}')
    return file_handlers[name]


def list_from_file(
    filename: File,
    prefix: str = '',
    offset: int = 0,
    max_num: int = 0,
    encoding: str = 'utf-8',
    file_client_args: Options = None,
    backend_args: Options = None,
) -> list[str]:
    """Lines of a text file, with ``prefix`` before each; at most ``max_num`` (0: all) after the first ``offset``."""
    text = get_file_backend(filename, backend_args=file_client_args or backend_args).get_text(filename, encoding)
    lines = itertools.islice(io.StringIO(text), offset, offset + max_num if max_num > 0 else None)
    return [prefix + line.rstrip('\n\r') for line in lines]


def dict_from_file(
    filename: File,
    key_type: Callable[[str], Any] = str,
    encoding: str = 'utf-8',
    file_client_args: Options = None,
    backend_args: Options = None,
) -> dict[Any, str | list[str]]:
    """First word of each line -> its second one, or the list of all others if there are more.

    Raises:
        DataError: A line has no second word.
    """
    mapping: dict[Any, str | list[str]] = {}
    lines = list_from_file(filename, '', 0, 0, encoding, file_client_args, backend_args)
    for number, line in enumerate(lines, 1):
        key, *values = line.split() or ['']
        if not values:
            raise DataError(f'{filename}:{number}: a key and a value are expected, not {line!r}')
        mapping[key_type(key)] = values if len(values) > 1 else values[0]
    return mapping
