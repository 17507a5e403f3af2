"""The logger of a run: lines on the console and in ``TIMESTAMP.log``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

NAME = 'intarsia'


def make_logger(
    work_dir: Path | None, timestamp: str, level: str = 'INFO', console: Any = None, rank: int = 0
) -> logging.Logger:
    """Set up the package's logger.

    Args:
        work_dir: Folder of ``TIMESTAMP.log``; None logs to the console only.
        timestamp: Start of the run, ``YYYYMMDD_HHMMSS``.
        level: Lowest level that is shown.
        console: A ``rich.console.Console`` on a terminal; None writes plain lines to stderr.
        rank: This process among those that train together; all but the first show errors only, and write no file.
    """
    logger = logging.getLogger(NAME)
    logger.setLevel(level.upper() if rank == 0 else logging.ERROR)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    plain = logging.Formatter('%(asctime)s - %(name)s - %(levelname)s - %(message)s')
    screen = _console_handler(console)
    if console is None:
        screen.setFormatter(plain)
    logger.addHandler(screen)
    if work_dir is not None and rank == 0:
        work_dir.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(work_dir / f'{timestamp}.log', encoding='utf-8')
        file.setFormatter(plain)
        logger.addHandler(file)
    return logger


def _console_handler(console: Any) -> logging.Handler:
    if console is None:
        return logging.StreamHandler()
    from rich.logging import RichHandler

    return RichHandler(console=console, show_path=False, markup=False, highlighter=None)
