"""Formats of files that hold data: ``.json``, ``.yaml`` and ``.pkl``."""

from __future__ import annotations

import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import IO, Any, ClassVar, TypeVar

from intarsia.core.errors import DataError

Kind = TypeVar('Kind', bound=type)


class BaseFileHandler(ABC):
    """Base of what reads and writes a format."""

    str_like: ClassVar[bool] = True
    """Whether the format is text."""

    @abstractmethod
    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """What an open file holds."""

    @abstractmethod
    def dump_to_str(self, obj: Any, **kwargs: Any) -> Any:
        """The content of a file that holds an object."""

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write an object to an open file."""
        file.write(self.dump_to_str(obj, **kwargs))


class JsonHandler(BaseFileHandler):
    """Arrays, numbers of NumPy, sets and ranges become lists and plain numbers."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read with :func:`json.load`."""
        return json.load(file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Write with :func:`json.dumps`."""
        return json.dumps(obj, **{'default': _plain, **kwargs})


class YamlHandler(BaseFileHandler):
    """Plain values only, unless ``Loader`` is given."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read with :func:`yaml.load`."""
        import yaml

        return yaml.load(file, **{'Loader': getattr(yaml, 'CSafeLoader', yaml.SafeLoader), **kwargs})

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Write with :func:`yaml.dump`."""
        import yaml

        return yaml.dump(obj, **{'Dumper': getattr(yaml, 'CDumper', yaml.Dumper), **kwargs})


class PickleHandler(BaseFileHandler):
    """Arrays and plain values; nothing in a file is run."""

    str_like = False

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read with an unpickler that knows no other classes.

        Raises:
            DataError: The content is broken, or there is something else in it.
        """
        from intarsia.tasks.action.datasets.skeleton_file import PlainUnpickler

        try:
            return PlainUnpickler(file, **kwargs).load()
        except DataError as error:
            raise DataError(f'{error}; if you trust the file, read it with pickle.load') from None
        except Exception as error:
            raise DataError(f'the pickle cannot be read: {type(error).__name__}: {error}') from error

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        """Write with :func:`pickle.dumps`, in protocol 2 unless another is given."""
        return pickle.dumps(obj, **{'protocol': 2, **kwargs})


def _plain(value: Any) -> Any:
    if isinstance(value, (set, range)):
        return list(value)
    if type(value).__module__ == 'numpy':
        return value.tolist()
    raise TypeError(f'JSON cannot hold a {type(value).__name__}')


file_handlers: dict[str, BaseFileHandler] = {
    'json': JsonHandler(),
    'yaml': YamlHandler(),
    'yml': YamlHandler(),
    'pickle': PickleHandler(),
    'pkl': PickleHandler(),
}
"""By suffix."""


def register_handler(file_formats: str | Sequence[str], **kwargs: Any) -> Callable[[Kind], Kind]:
    """Class decorator: read and write files with such suffixes by a handler of the user's own.

    Args:
        file_formats: One suffix or several.
        kwargs: Arguments of the handler.
    """

    def register(kind: Kind) -> Kind:
        for each in [file_formats] if isinstance(file_formats, str) else file_formats:
            file_handlers[each] = kind(**kwargs)
        return kind

    return register
