"""Records as a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.logger import LoggerHook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class CSVLoggerHook(LoggerHook):
    """Writes one row a record: ``mode``, ``epoch``, ``iter`` (of the whole run), then learning rate and all numbers.

    When a record brings a new name, the table gets a new column, empty in the rows before.

    Args:
        file: Name of the table, in the work directory; None is ``TIMESTAMP.csv``. One that is there already goes on.
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it.
        by_epoch: Whether records count epochs; None counts what the runner counts.
    """

    def __init__(
        self,
        file: str | None = None,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.file = file

    def before_run(self, runner: BaseRunner) -> None:
        """Find the columns of a table that is there already."""
        super().before_run(runner)
        assert runner.work_dir is not None, 'a table needs a work directory'
        self.path = runner.work_dir / (self.file or f'{runner.timestamp}.csv')
        self.columns: list[str] = []
        if self.path.exists():
            with self.path.open(newline='', encoding='utf-8') as stream:
                self.columns = next(csv.reader(stream), [])

    def log(self, runner: BaseRunner) -> None:
        """Add a row."""
        mode = self.get_mode(runner)
        iteration = runner.progress.iter if mode == 'val' else self.get_iter(runner)
        numbers = {tag.removeprefix(f'{mode}/'): value for tag, value in self.scalars(runner).items()}
        row = {'mode': mode, 'epoch': self.get_epoch(runner), 'iter': iteration, **numbers}
        new = [name for name in row if name not in self.columns]
        if new:
            self.columns += new
            write_rows(self.path, self.columns, read_rows(self.path))
        with self.path.open('a', newline='', encoding='utf-8') as stream:
            csv.DictWriter(stream, self.columns).writerow(row)


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Rows of a table by column; none if there is no such file."""
    if not file.exists():
        return []
    with file.open(newline='', encoding='utf-8') as stream:
        return list(csv.DictReader(stream))


def write_rows(file: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Write a table, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f'.{file.name}.tmp')
    with temporary.open('w', newline='', encoding='utf-8') as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(file)
