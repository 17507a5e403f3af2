"""The hook that writes checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook

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
        meta: Entries added to ``meta``.
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
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self.interval = interval
        self.by_epoch = by_epoch
        self.max_keep_ckpts = max_keep_ckpts
        self.save_optimizer = save_optimizer
        self.save_last = save_last
        self.out_dir = out_dir
        self.create_symlink = create_symlink
        self.meta = dict(meta or {})
        self._written: list[Path] = []

    def before_run(self, runner: BaseRunner) -> None:
        """Find the folder, and the files of the run that is resumed."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch
        assert runner.work_dir is not None, 'checkpoints need a work directory'
        self.folder = Path(self.out_dir) / runner.work_dir.name if self.out_dir else runner.work_dir
        runner.meta.update(self.meta)
        pattern = 'epoch_*.pth' if self.by_epoch else 'iter_*.pth'
        numbered = [(int(f.stem.partition('_')[2]), f) for f in self.folder.glob(pattern) if f.stem[-1].isdigit()]
        done = runner.epoch if self.by_epoch else runner.iter
        self._written = [f for n, f in sorted(numbered) if n <= done] if done else []

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Write the epoch's file, if it is due."""
        if self.by_epoch and (
            self.every_n_epochs(runner, self.interval) or (self.save_last and self.is_last_epoch(runner))
        ):
            self._write(runner, f'epoch_{runner.epoch + 1}.pth')

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Write the iteration's file, if it is due."""
        if not self.by_epoch and (
            self.every_n_iters(runner, self.interval) or (self.save_last and self.is_last_iter(runner))
        ):
            self._write(runner, f'iter_{runner.iter + 1}.pth')

    def _write(self, runner: BaseRunner, name: str) -> None:
        file = self.folder / name
        runner.logger.info(f'saving {file}')
        runner.save_checkpoint(str(file), self.save_optimizer, self.create_symlink)
        runner.meta['hook_msgs']['last_ckpt'] = str(file)
        self._written = [*(f for f in self._written if f != file), file]
        while 0 < self.max_keep_ckpts < len(self._written):
            self._written.pop(0).unlink(missing_ok=True)
