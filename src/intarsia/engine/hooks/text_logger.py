"""Records as lines of text and of JSON."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import IO, TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hooks.logger import LoggerHook, peak_memory_mb

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class TextLoggerHook(LoggerHook):
    """Writes one line a record to the logger and to ``TIMESTAMP.log.json`` in the work directory.

    The first JSON line holds the run's ``meta`` (environment, config, seed); every other one a record with the keys
    ``mode``, ``epoch``, ``iter``, ``lr``, then times (seconds), losses and metrics.

    Args:
        interval: Iterations between two records.
        ignore_last: Leave out the iterations of an epoch that do not fill an interval.
        reset_flag: Clear the record after logging it.
        by_epoch: Whether records count epochs; None counts what the runner counts.
        interval_exp_name: Iterations between two lines that name the experiment, if ``meta`` has ``exp_name``.
        out_dir: Folder that gets a copy of the logs at the end, in a folder named after the work directory; None
            copies nothing.
        out_suffix: Ends of the names of files that are copied.
        keep_local: Whether files that were copied stay in the work directory too.
    """

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool | None = None,
        interval_exp_name: int = 1000,
        out_dir: str | None = None,
        out_suffix: str | Sequence[str] = ('.log.json', '.log', '.py'),
        keep_local: bool = True,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.interval_exp_name = interval_exp_name
        self.out_dir = out_dir
        self.out_suffix = (out_suffix,) if isinstance(out_suffix, str) else tuple(out_suffix)
        self.keep_local = keep_local

    def before_run(self, runner: BaseRunner) -> None:
        """Open the JSON file and start the clock for the time that is left."""
        super().before_run(runner)
        self.started_s, self.started_iter = perf_counter(), runner.iter
        self._json: IO[str] | None = None
        if runner.work_dir is not None and runner.rank == 0:
            runner.work_dir.mkdir(parents=True, exist_ok=True)
            self._json = (runner.work_dir / f'{runner.timestamp}.log.json').open('a', encoding='utf-8')
            head = {k: v for k, v in runner.meta.items() if k in ('env_info', 'config', 'seed', 'exp_name')}
            self._append(head)

    def after_run(self, runner: BaseRunner) -> None:
        """Close the JSON file, and copy the logs to where they are wanted."""
        if self._json is not None:
            self._json.close()
            self._json = None
            if self.out_dir is not None:
                self._copy_logs(runner.work_dir, Path(self.out_dir))

    def _copy_logs(self, work_dir: Any, out_dir: Path) -> None:
        folder = out_dir / work_dir.name
        folder.mkdir(parents=True, exist_ok=True)
        for file in work_dir.iterdir():
            if file.name.endswith(self.out_suffix):
                (shutil.copy2 if self.keep_local else shutil.move)(file, folder / file.name)

    def log(self, runner: BaseRunner) -> None:
        """Write one record."""
        record = self._record(runner)
        self._append(record)
        if runner.meta.get('exp_name') and self.every_n_iters(runner, self.interval_exp_name):
            runner.logger.info(f'experiment: {runner.meta["exp_name"]}')
        runner.logger.info(self._line(runner, record))

    def _record(self, runner: BaseRunner) -> dict[str, Any]:
        output = dict(runner.log_buffer.output)
        mode = self.get_mode(runner)
        num_val_iters = output.pop('eval_iter_num', None)
        iteration = self.get_iter(runner, inner_iter=True)
        if mode == 'val' and num_val_iters is not None and self.by_epoch:
            iteration = num_val_iters
        record = dict(mode=mode, epoch=self.get_epoch(runner), iter=iteration, lr=self.get_lr(runner))
        memory = peak_memory_mb()
        if mode == 'train' and memory is not None:
            record['memory'] = memory
        return {**record, **output}

    def _line(self, runner: BaseRunner, record: Mapping[str, Any]) -> str:
        if record['mode'] == 'train':
            if self.by_epoch:
                head = f'Epoch [{record["epoch"]}][{record["iter"]}/{len(runner.data_loader)}]'
            else:
                head = f'Iter [{record["iter"]}/{runner.max_iters}]'
            first = [f'lr: {_lr_text(record["lr"])}', f'eta: {self._eta(runner)}', f'time: {record["time"]:.3f}']
            first += [f'data_time: {record["data_time"]:.3f}'] if 'data_time' in record else []
            first += [f'memory: {record["memory"]}'] if 'memory' in record else []
        else:
            count = f'[{record["epoch"]}]' if self.by_epoch else f'[{self.get_iter(runner)}]'
            head, first = f'{"Epoch" if self.by_epoch else "Iter"}(val) {count}[{record["iter"]}]', []
        shown = {'mode', 'epoch', 'iter', 'lr', 'time', 'data_time', 'memory'}
        rest = [f'{k}: {v:.4f}' if isinstance(v, float) else f'{k}: {v}' for k, v in record.items() if k not in shown]
        return head + '\t' + ', '.join(first + rest)

    def _eta(self, runner: BaseRunner) -> str:
        done = runner.iter + 1 - self.started_iter
        seconds = (perf_counter() - self.started_s) / max(done, 1) * ((runner.max_iters or 0) - runner.iter - 1)
        return str(datetime.timedelta(seconds=max(int(seconds), 0)))

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._json is not None:
            rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in record.items()}
            self._json.write(json.dumps(rounded, default=str) + '\n')
            self._json.flush()


def _lr_text(lr: Any) -> str:
    return ' '.join(f'{k}: {v:.3e}' for k, v in lr.items()) if isinstance(lr, Mapping) else f'{lr:.3e}'
