"""The hook that trains with another pipeline from an epoch on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from intarsia.core.registries import HOOKS
from intarsia.engine.hook import Hook

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


@HOOKS.register_module()
class PipelineSwitchHook(Hook):
    """Sends samples through another pipeline in the last part of a training, as a rule one that changes them less.

    Args:
        switch_epoch: The first epoch with the new pipeline, counted from 0.
        switch_pipeline: Transform nodes or callables.
    """

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[Mapping[str, Any]]) -> None:
        self.switch_epoch = switch_epoch
        self.switch_pipeline = switch_pipeline
        self._has_switched = False

    def before_train_epoch(self, runner: BaseRunner) -> None:
        """Switch, if it is time; also in a run that is resumed later."""
        if runner.epoch >= self.switch_epoch and not self._has_switched:
            runner.data_loader.switch_pipeline(self.switch_pipeline)
            self._has_switched = True
