"""Loggers and hubs of messages as old code asks for them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from intarsia.engine.log.text import NAME

FORMAT = '%(asctime)s - %(name)s - %(levelname)s - %(message)s'


def get_logger(
    name: str, log_file: str | Path | None = None, log_level: int | str = logging.INFO, file_mode: str = 'w'
) -> logging.Logger:
    """The logger of a name; set up when it is first asked for. Of several processes only the first one logs.

    Args:
        name: Its name; ``a.b`` writes where ``a`` writes.
        log_file: A file that gets its lines too.
        log_level: The lowest level that is shown.
        file_mode: ``'w'`` begins the file anew, ``'a'`` adds to it.
    """
    logger = logging.getLogger(name)
    is_set_up = any(each.handlers for each in (logger, *_parents(logger)))
    is_first = _rank() == 0
    if not is_set_up:
        _add(logger, logging.StreamHandler())
        logger.propagate = False
        logger.setLevel(log_level if is_first else logging.ERROR)
    if log_file is not None and is_first and not _writes_to(logger, Path(log_file)):
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        _add(logger, logging.FileHandler(log_file, file_mode, encoding='utf-8'))
    return logger


def _parents(logger: logging.Logger) -> list[logging.Logger]:
    parent = logger.parent
    return [parent, *_parents(parent)] if parent is not None and parent.name != 'root' else []


def _add(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)


def _writes_to(logger: logging.Logger, file: Path) -> bool:
    files = [h.baseFilename for h in logger.handlers if isinstance(h, logging.FileHandler)]
    return str(file.absolute()) in files


def _rank() -> int:
    from intarsia.openmmlab.parallel import get_rank  # here, for it imports torch

    return get_rank()


def get_root_logger(log_file: str | Path | None = None, log_level: int | str = logging.INFO) -> logging.Logger:
    """The logger of runs. A run goes on writing to the same logger; its file is ``TIMESTAMP.log``.

    Args:
        log_file: A file that gets its lines too; a name of a level, as some scripts have it, is the level.
        log_level: The lowest level that is shown.
    """
    if isinstance(log_file, str) and log_file in logging.getLevelNamesMapping():
        return get_logger(NAME, None, log_file)
    return get_logger(NAME, log_file, log_level, 'a')


def print_log(msg: Any, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Log a message.

    Args:
        msg: The message.
        logger: A logger or its name; ``'current'`` is that of runs, ``'silent'`` nobody, None prints.
        level: Of the message.
    """
    if logger is None:
        print(msg)  # noqa: T201 - that is what None asks for
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif isinstance(logger, str):
        if logger != 'silent':
            (get_root_logger() if logger == 'current' else get_logger(logger)).log(level, msg)
    else:
        raise TypeError(f"logger is a logging.Logger, a name, 'current', 'silent' or None, not {type(logger).__name__}")


class MMLogger(logging.Logger):
    """Gives the logger of runs."""

    @classmethod
    def get_instance(
        cls, name: str, log_file: str | Path | None = None, log_level: int | str = logging.INFO, **kwargs: Any
    ) -> logging.Logger:
        """The logger of a name, as :func:`get_logger`."""
        return get_logger(name, log_file, log_level, kwargs.get('file_mode', 'w'))

    @classmethod
    def get_current_instance(cls) -> logging.Logger:
        """The logger of runs."""
        return get_root_logger()


class History:
    """Values of one name, as they came."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.counts: list[int] = []

    @property
    def data(self) -> tuple[Any, Any]:
        """Arrays of values and of their counts."""
        import numpy as np

        return np.array(self.values), np.array(self.counts)

    def current(self) -> float:
        """The last value."""
        return self.values[-1]

    def mean(self, window_size: int | None = None) -> float:
        """Mean of the last values, of all by default."""
        last = slice(-window_size if window_size else None, None)
        values, counts = self.values[last], self.counts[last]
        return sum(v * n for v, n in zip(values, counts, strict=True)) / max(sum(counts), 1)

    def max(self, window_size: int | None = None) -> float:
        """Largest of the last values."""
        return max(self.values[-(window_size or 0) :])

    def min(self, window_size: int | None = None) -> float:
        """Smallest of the last values."""
        return min(self.values[-(window_size or 0) :])


class MessageHub:
    """What parts of a program leave for each other, by name."""

    _hubs: ClassVar[dict[str, MessageHub]] = {}

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self.log_scalars: dict[str, History] = defaultdict(History)
        self.runtime_info: dict[str, Any] = {}

    @classmethod
    def get_instance(cls, name: str = NAME, **kwargs: Any) -> MessageHub:
        """The hub of a name, which is the current one from now on."""
        hub = cls._hubs.pop(name, None) or cls(name)
        cls._hubs[name] = hub
        return hub

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """The hub that was asked for last."""
        return next(reversed(cls._hubs.values())) if cls._hubs else cls.get_instance()

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Leave a value."""
        self.runtime_info[key] = value

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Leave several."""
        self.runtime_info.update(info_dict)

    def get_info(self, key: str, default: Any = None) -> Any:
        """What was left."""
        return self.runtime_info.get(key, default)

    def pop_info(self, key: str, default: Any = None) -> Any:
        """The same, and forget it."""
        return self.runtime_info.pop(key, default)

    def update_scalar(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Add a number to the history of a name."""
        self.log_scalars[key].values.append(float(value))
        self.log_scalars[key].counts.append(count)

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Add several; one is a number, or ``dict(value=..., count=...)``."""
        for key, value in log_dict.items():
            self.update_scalar(key, **value) if isinstance(value, Mapping) else self.update_scalar(key, value)

    def get_scalar(self, key: str) -> History:
        """The history of a name.

        Raises:
            KeyError: There is none.
        """
        if key not in self.log_scalars:
            raise KeyError(
                f'{key} is not found in MessageHub.log_scalars: {", ".join(self.log_scalars) or "it is empty"}'
            )
        return self.log_scalars[key]
