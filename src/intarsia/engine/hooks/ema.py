"""The hook that averages the weights over the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from intarsia.core.errors import CheckpointError, ConfigError, Problem
from intarsia.core.registries import HOOKS
from intarsia.engine import averaging
from intarsia.engine.averaging import AverageOfWeights
from intarsia.engine.evaluation import evaluate
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.nn.weights import load_state_dict

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

SHARES: dict[str, tuple[Any, tuple[str, ...]]] = {
    'WarmUpEMA': (averaging.warm_up_momentum, ('momentum', 'warm_up', 'interval')),
    'ExponentialMovingAverage': (averaging.exponential, ('momentum',)),
    'MomentumAnnealingEMA': (averaging.annealing, ('momentum', 'gamma')),
    'ExpMomentumEMA': (averaging.exp_momentum, ('momentum', 'gamma')),
    'StochasticWeightAverage': (averaging.stochastic, ('interval',)),
}
"""Kind of average to the function that makes its share, and the arguments it takes."""


@HOOKS.register_module()
class EMAHook(Hook):
    """Averages the weights; the average is what is evaluated and what checkpoints hold as ``state_dict``.

    Checkpoints hold the trained weights as ``ema_state_dict``, as MMEngine writes and reads them, and a resumed run
    goes on with both. The average of a run lives on the device of the model and costs its size in memory.

    The seat must be between the update of the weights and their evaluation: ABOVE_NORMAL to BELOW_NORMAL.

    Args:
        ema_type: Kind of average; ``w`` are the weights, ``a`` their average.

            - ``'WarmUpEMA'``: that of MMCV 1; ``a += m (w - a)`` from the initial weights on, where ``m`` is
              ``momentum ** interval``, but at most ``(1 + iter) / (warm_up + iter)``.
            - ``'ExponentialMovingAverage'``: the same with ``m = momentum`` after a first copy.
            - ``'MomentumAnnealingEMA'``: with ``m = max(momentum, gamma / (gamma + step))``.
            - ``'ExpMomentumEMA'``: with ``m = momentum + (1 - momentum) exp(-(1 + step) / gamma)``.
            - ``'StochasticWeightAverage'``: the mean of all values.
        momentum: Share of the new weights, in (0, 1), usually small. None is 0.0002.
        gamma: Length of the annealing in steps. None is 100, for ``'ExpMomentumEMA'`` 2000.
        warm_up: Length of the warm-up of ``'WarmUpEMA'`` in steps. None is 100.
        interval: Iterations between two values that are averaged.
        begin_iter: Iteration from which on values are averaged, counted from 1; before it the average is a copy. Or
        begin_epoch: the epoch, counted from 1. Averages that begin later begin with a copy.
        update_buffers: Whether buffers (statistics of batch norm) are averaged too; otherwise those of the trained
            weights serve both.
        strict_load: Whether resuming a checkpoint without averages is an error; otherwise they begin with its weights.
        evaluate_on_ema: Whether the averages are evaluated.
        evaluate_on_origin: Whether the trained weights are evaluated too, as metrics ``NAME_origin``.
        resume_from: Older configs name the checkpoint of the run here too; the run's own ``resume_from`` does it all.

    Raises:
        ConfigError: An argument is out of range, or does not belong to ``ema_type``.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        ema_type: Literal[
            'WarmUpEMA', 'ExponentialMovingAverage', 'MomentumAnnealingEMA', 'ExpMomentumEMA', 'StochasticWeightAverage'
        ] = 'WarmUpEMA',
        momentum: float | None = None,
        gamma: int | None = None,
        warm_up: int | None = None,
        interval: int = 1,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        update_buffers: bool = False,
        strict_load: bool = False,
        evaluate_on_ema: bool = True,
        evaluate_on_origin: bool = False,
        resume_from: str | None = None,
    ) -> None:
        given = dict(momentum=momentum, gamma=gamma, warm_up=warm_up, interval=interval)
        self.share = _share(ema_type, {name: value for name, value in given.items() if value is not None})
        if begin_iter and begin_epoch:
            raise ConfigError(Problem('bad-config', 'begin_iter and begin_epoch cannot both be set.', 'begin_epoch'))
        self.interval = interval
        self.begin_iter = begin_iter
        self.begin_epoch = begin_epoch
        self.update_buffers = update_buffers
        self.strict_load = strict_load
        self.evaluate_on_ema = evaluate_on_ema
        self.evaluate_on_origin = evaluate_on_origin
        self.resume_from = resume_from
        self.average: AverageOfWeights | None = None
        self._next_iter = 0

    # ------------------------------------------------------------------ averaging

    def before_run(self, runner: BaseRunner) -> None:
        """Start with the weights of this moment, unless a resumed run has brought averages."""
        if any(hasattr(p, 'full_tensor') for p in runner.model.parameters()):
            raise ConfigError(Problem('bad-config', "averages need whole weights, but strategy='fsdp' shards them."))
        if self.resume_from and runner.iter == 0:
            message = f"this starts no run anew where another ended; set resume_from = '{self.resume_from}' of the run."
            raise ConfigError(Problem('bad-config', message, 'EMAHook.resume_from'))
        self._prepared(runner)
        self._next_iter = runner.iter

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Take in the new weights."""
        if runner.iter < self._next_iter:
            return  # done already, for a checkpoint
        self._next_iter = runner.iter + 1
        if runner.iter + 1 >= self.begin_iter and runner.epoch + 1 >= self.begin_epoch:
            self.average.update()  # type: ignore[union-attr]  # before_run has made it

    def _prepared(self, runner: BaseRunner) -> AverageOfWeights:
        if self.average is None:
            self.average = AverageOfWeights(
                runner.strategy.model, self._begin_with_copy, self.interval, self.update_buffers
            )
        return self.average

    def _begin_with_copy(self, step: int) -> float:
        return 1.0 if step == 0 and max(self.begin_iter, self.begin_epoch) > 1 else self.share(step)

    # ------------------------------------------------------------------ evaluation

    def before_evaluation(self, runner: BaseRunner) -> None:
        """Put the averages into the model."""
        if self.evaluate_on_ema:
            self._prepared(runner).swap()

    def after_evaluation(self, runner: BaseRunner) -> None:
        """Put the trained weights back, and evaluate them if wanted."""
        self._swap_back()
        if self.evaluate_on_origin and self.evaluate_on_ema:
            hook = next(hook for hook in runner.hooks if isinstance(hook, EvalHook))
            metrics = evaluate(runner.model, hook.dataloader, hook.evaluator)
            runner.metrics |= {f'{name}_origin': value for name, value in metrics.items()}

    def after_run(self, runner: BaseRunner) -> None:
        """Put the trained weights back if an evaluation has failed."""
        self._swap_back()

    def _swap_back(self) -> None:
        if self.average is not None and self.average.is_in_model:
            self.average.swap()

    # ------------------------------------------------------------------ checkpoints

    def before_save_checkpoint(self, runner: BaseRunner) -> None:
        """Put the averages in the first place, and the trained weights in the second."""
        content, average = runner.checkpoint, self._prepared(runner)
        if content['meta']['iter'] > self._next_iter:
            self.after_train_iter(runner)  # a checkpoint written by a hook that sits before this one
        in_model = content['state_dict']
        beside = {**in_model, **average.beside()}
        averaged, trained = (in_model, beside) if average.is_in_model else (beside, in_model)
        content['state_dict'] = averaged
        content['ema_state_dict'] = {
            'steps': torch.tensor(average.steps),
            **{f'module.{name}': value for name, value in trained.items()},
        }

    def after_load_checkpoint(self, runner: BaseRunner) -> None:
        """Take averages and trained weights from their places.

        Raises:
            CheckpointError: There are no averages, and ``strict_load`` is set; or they do not fit the model.
        """
        content, average = runner.checkpoint, self._prepared(runner)
        average.is_in_model = False
        second: dict[str, Tensor] | None = content.get('ema_state_dict')
        if second is None:
            message = 'the checkpoint has no averaged weights (ema_state_dict)'
            if self.strict_load:
                raise CheckpointError(f'{message}; with strict_load=False the average begins with its weights.')
            runner.logger.warning(f'{message}; the average begins with its weights')
            average.restart()
            return
        trained = {name.removeprefix('module.'): value for name, value in second.items() if name != 'steps'}
        load_state_dict(runner.strategy.model, trained)
        average.load(content['state_dict'], int(second['steps']))


def _share(ema_type: str, given: dict[str, Any]) -> averaging.Share:
    """The share of a kind of average, from the arguments that were given."""
    if ema_type not in SHARES:
        raise ConfigError(Problem('bad-config', f"ema_type '{ema_type}' is none of {', '.join(SHARES)}.", 'ema_type'))
    make, names = SHARES[ema_type]
    unknown = next((name for name in given if name not in names and name != 'interval'), None)
    if unknown is not None:
        raise ConfigError(Problem('bad-config', f"'{ema_type}' has no '{unknown}'.", unknown))
    if not 0 < given.get('momentum', 0.5) < 1:
        raise ConfigError(Problem('bad-config', f'momentum must be in (0, 1), not {given["momentum"]}.', 'momentum'))
    for name in ('interval', 'gamma', 'warm_up'):
        if given.get(name, 1) < 1:
            raise ConfigError(Problem('bad-config', f'{name} must be positive, not {given[name]}.', name))
    return make(**{name: value for name, value in given.items() if name in names})
