"""The hook that writes checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.sync_buffers import average_buffers

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Writes ``epoch_N.pth`` after N epochs or ``iter_N.pth`` after N iterations; seat NORMAL.

    Args:
        interval: Epochs (or iterations) between two; -1 writes none before the end.
        by_epoch: Whether ``interval`` counts epochs; None counts what the runner counts.
        max_keep_ckpts: How many of this hook's files stay; -1 keeps all.
        save_optimizer: Whether the optimizer goes along; needed to resume.
        save_last: Whether the end of training writes one whatever the interval.
        out_dir: Folder; None is the work directory. A folder named after the work directory is made below it.
        create_symlink: Whether ``latest.pth`` points to the newest.
        filename_tmpl: Name of a file, with ``{}`` for its number; None is ``epoch_{}.pth`` or ``iter_{}.pth``.
        meta: Entries added to ``meta``.
        sync_buffer: Average the buffers of processes that train together before writing.
    """

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool | None = None,
        max_keep_ckpts: int = -1,
        save_optimizer: bool = True,
        save_last: bool = True,
        out_dir: str | None = None,
        create_symlink: bool = True,
        filename_tmpl: str | None = None,
        meta: Mapping[str, Any] | None = None,
        sync_buffer: bool = False,
    ) -> None:
        self.interval = interval
        self.by_epoch = by_epoch
        self.max_keep_ckpts = max_keep_ckpts
        self.save_optimizer = save_optimizer
        self.save_last = save_last
        self.out_dir = out_dir
        self.create_symlink = create_symlink
        self.filename_tmpl = filename_tmpl
        self.meta = dict(meta or {})
        self.sync_buffer = sync_buffer
        self._written: list[Path] = []

    def before_run(self, runner: BaseRunner) -> None:
        """Find the folder, and the files of the run that is resumed."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch
        assert runner.work_dir is not None, 'checkpoints need a work directory'
        self.folder = Path(self.out_dir) / runner.work_dir.name if self.out_dir else runner.work_dir
        runner.meta.update(self.meta)
        template = self.filename_tmpl or ('epoch_{}.pth' if self.by_epoch else 'iter_{}.pth')
        self.template = template.replace('.pth', runner.strategy.checkpoint_suffix)
        done = runner.epoch if self.by_epoch else runner.iter
        start, _, end = self.template.partition('{}')
        numbers = [f.name.removeprefix(start).removesuffix(end) for f in self.folder.glob(self.template.format('*'))]
        earlier = sorted(int(number) for number in numbers if number.isdigit() and int(number) <= done)
        self._written = [self.folder / self.template.format(number) for number in earlier] if done else []

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Write the epoch's file, if it is due."""
        if self.by_epoch and (
            self.every_n_epochs(runner, self.interval) or (self.save_last and self.is_last_epoch(runner))
        ):
            self._write(runner, runner.epoch + 1)

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Write the iteration's file, if it is due."""
        if not self.by_epoch and (
            self.every_n_iters(runner, self.interval) or (self.save_last and self.is_last_iter(runner))
        ):
            self._write(runner, runner.iter + 1)

    def _write(self, runner: BaseRunner, number: int) -> None:
        file = self.folder / self.template.format(number)
        if self.sync_buffer:
            average_buffers(runner.model)
        runner.logger.info(f'saving {file}')
        runner.save_checkpoint(str(file), self.save_optimizer, self.create_symlink)
        runner.meta['hook_msgs']['last_ckpt'] = str(file)
        self._written = [*(f for f in self._written if f != file), file]
        while 0 < self.max_keep_ckpts < len(self._written):
            runner.strategy.remove_checkpoint(self._written.pop(0))
