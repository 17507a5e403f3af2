"""The moments of a run at which hooks are called."""

from __future__ import annotations

import enum


class Stage(enum.StrEnum):
    """Every stage, in the order of the loop.

    In pseudo-code::

        before_run
        while epoch < max_epochs:                            # one flow of the workflow after the other
            before_train_epoch
            for data_batch in data_loader:
                before_train_iter
                outputs = model.train_step(data_batch, optimizer)
                after_train_iter                             # the update: zero_grad, backward, clip, step
                iter += 1
            after_train_epoch                                # checkpoint, evaluation, logging
            epoch += 1
            before_val_epoch                                 # only with a ('val', n) flow
            for data_batch in data_loader:
                before_val_iter
                outputs = model.val_step(data_batch)
                after_val_iter
            after_val_epoch
        after_run                                            # always, also when the run fails

    An iteration based run has no train epochs: it calls ``before_epoch`` once at its start and ``after_epoch``
    once at its end. The four general stages stand for their ``train`` and ``val`` forms in a hook that does not
    have those: ``before_epoch``, ``after_epoch``, ``before_iter``, ``after_iter``.

    Around what hooks themselves do, whenever it happens::

        before_evaluation                                    # EvalHook, with the weights of this moment
        after_evaluation                                     # runner.metrics has its metrics
        before_save_checkpoint                               # runner.checkpoint is what will be written
        after_load_checkpoint                                # runner.checkpoint is what was read to resume
    """

    BEFORE_RUN = 'before_run'
    BEFORE_TRAIN_EPOCH = 'before_train_epoch'
    BEFORE_TRAIN_ITER = 'before_train_iter'
    AFTER_TRAIN_ITER = 'after_train_iter'
    AFTER_TRAIN_EPOCH = 'after_train_epoch'
    BEFORE_VAL_EPOCH = 'before_val_epoch'
    BEFORE_VAL_ITER = 'before_val_iter'
    AFTER_VAL_ITER = 'after_val_iter'
    AFTER_VAL_EPOCH = 'after_val_epoch'
    BEFORE_EPOCH = 'before_epoch'
    AFTER_EPOCH = 'after_epoch'
    BEFORE_ITER = 'before_iter'
    AFTER_ITER = 'after_iter'
    AFTER_RUN = 'after_run'
    BEFORE_EVALUATION = 'before_evaluation'
    AFTER_EVALUATION = 'after_evaluation'
    BEFORE_SAVE_CHECKPOINT = 'before_save_checkpoint'
    AFTER_LOAD_CHECKPOINT = 'after_load_checkpoint'

    __hash__ = str.__hash__  # that of Enum is Python code, and the loop looks stages up in every iteration

    @property
    def general(self) -> Stage | None:
        """The stage that stands in for this one: ``before_iter`` for ``before_train_iter``."""
        general = self.replace('_train_', '_').replace('_val_', '_')
        return Stage(general) if general != self else None
