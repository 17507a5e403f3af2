"""The hook that gives cached GPU memory back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Gives GPU memory that PyTorch keeps for itself back to the device, for other programs to use.

    Training itself needs less time without it. Nothing happens on other devices.

    Args:
        before_epoch: Whether before every epoch.
        after_epoch: Whether after every epoch.
        after_iter: Whether after every iteration.
    """

    def __init__(self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False) -> None:
        self.wanted = dict(before_epoch=before_epoch, after_epoch=after_epoch, after_iter=after_iter)

    def before_epoch(self, runner: BaseRunner) -> None:
        """Empty the cache, if wanted here."""
        self._empty('before_epoch')

    def after_epoch(self, runner: BaseRunner) -> None:
        """Empty the cache, if wanted here."""
        self._empty('after_epoch')

    def after_iter(self, runner: BaseRunner) -> None:
        """Empty the cache, if wanted here."""
        self._empty('after_iter')

    def _empty(self, moment: str) -> None:
        if self.wanted[moment] and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
