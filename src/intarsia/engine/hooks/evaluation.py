"""The hook that evaluates during training and keeps the best checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from intarsia.core.errors import CheckpointError, ConfigError, Problem, closest
from intarsia.core.registries import HOOKS
from intarsia.engine.evaluation import evaluate
from intarsia.engine.evaluator import Evaluator
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.logger import log_pending
from intarsia.nn.weights import read_checkpoint

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

GREATER_KEYS = ('acc', 'top', 'AR@', 'auc', 'precision', 'mAP', 'mDice', 'mIoU', 'mAcc', 'aAcc', 'recall', 'f1')
LESS_KEYS = ('loss', 'error')


@HOOKS.register_module()
class EvalHook(Hook):
    """Evaluates every ``interval`` epochs or iterations; seat LOW.

    Args:
        dataloader: What is evaluated.
        evaluator: Makes metrics of the results.
        interval: Epochs (or iterations) between two evaluations.
        start: First epoch (or iteration) that is evaluated; later ones count from there. A run that begins at or
            after it is evaluated before it trains.
        by_epoch: Whether ``interval`` counts epochs; None counts what the runner counts.
        save_best: Metric whose best checkpoint is kept as ``best_METRIC_epoch_N.pth``; ``'auto'`` is the first.
        rule: Whether more or less is better; None tells from the metric's name.
    """

    def __init__(
        self,
        dataloader: Any,
        evaluator: Evaluator,
        interval: int = 1,
        start: int | None = None,
        by_epoch: bool | None = None,
        save_best: str | bool | None = None,
        rule: Literal['greater', 'less'] | None = None,
    ) -> None:
        if interval <= 0:
            raise ValueError(f'the interval of evaluation must be positive, not {interval}')
        if rule not in ('greater', 'less', None):
            raise ValueError(f"rule must be 'greater', 'less' or None, not {rule!r}")
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.interval = interval
        self.start = start
        self.by_epoch = by_epoch
        self.save_best = 'auto' if save_best is True else save_best or None
        self.rule = rule
        self.best_score: float | None = None
        self.best_file: Path | None = None

    def before_run(self, runner: BaseRunner) -> None:
        """Evaluate first if the run starts late enough, and remember the best of a resumed run."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch
        if self.save_best and runner.iter > 0 and runner.work_dir is not None:
            self._recall_best(runner, runner.work_dir)

    def before_train_epoch(self, runner: BaseRunner) -> None:
        """The evaluation before training that ``start`` asks for."""
        if self.by_epoch and self.start is not None and runner.inner_iter == 0 and runner.epoch == self.start > 0:
            self._evaluate(runner)

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Evaluate, if it is due."""
        if self.by_epoch and self._is_due(runner.epoch + 1):
            self._evaluate(runner)

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Evaluate, if it is due."""
        if not self.by_epoch and self._is_due(runner.iter + 1):
            log_pending(runner)
            self._evaluate(runner)

    def _is_due(self, done: int) -> bool:
        first = self.start
        return done % self.interval == 0 if first is None else done >= first and (done - first) % self.interval == 0

    def _evaluate(self, runner: BaseRunner) -> None:
        runner.metrics = evaluate(runner.model, self.dataloader, self.evaluator)
        numbers = {k: v for k, v in runner.metrics.items() if isinstance(v, (int, float))}
        runner.log_buffer.output = {**numbers, 'eval_iter_num': len(self.dataloader)}
        runner.log_buffer.ready = True
        if self.save_best:
            self._keep_best(runner, numbers)

    # ------------------------------------------------------------------ the best checkpoint

    def _keep_best(self, runner: BaseRunner, metrics: dict[str, float]) -> None:
        key = self._key(metrics)
        score = metrics[key]
        if math.isnan(score) or not self._is_better(key, score):
            return
        progress = runner.progress
        count = f'epoch_{progress.epoch}' if self.by_epoch else f'iter_{progress.iter}'
        name = f'best_{key.replace("/", "_")}_{count}.pth'
        old, self.best_score = self.best_file, score
        assert runner.work_dir is not None
        self.best_file = runner.work_dir / name
        runner.meta['hook_msgs'].update(best_score=score, best_ckpt=str(self.best_file))
        runner.save_checkpoint(name, link_latest=False)
        if old is not None and old != self.best_file:
            old.unlink(missing_ok=True)
        runner.logger.info(f'best {key} so far: {score:.4f}, saved as {name}')

    def _key(self, metrics: dict[str, float]) -> str:
        assert self.save_best
        if self.save_best == 'auto':
            self.save_best = next(iter(metrics))
        if self.save_best not in metrics:
            close = next(
                (m for m in metrics if m.startswith(str(self.save_best))), closest(str(self.save_best), metrics)
            )
            message = f"save_best='{self.save_best}', but the metrics are {', '.join(metrics)}."
            raise ConfigError(Problem('bad-config', message, 'evaluation.save_best', suggestion=close))
        return str(self.save_best)

    def _is_better(self, key: str, score: float) -> bool:
        greater = (self.rule or infer_rule(key)) == 'greater'
        return self.best_score is None or (score > self.best_score if greater else score < self.best_score)

    def _recall_best(self, runner: BaseRunner, work_dir: Path) -> None:
        """Take score and file of the best so far from the best file itself, if the resumed run had written it."""
        for file in work_dir.glob('best_*.pth'):
            try:
                meta = read_checkpoint(file)['meta']
                if meta['iter'] <= runner.iter:
                    self.best_score, self.best_file = meta['hook_msgs']['best_score'], file
            except (CheckpointError, KeyError):
                continue


def infer_rule(key: str) -> Literal['greater', 'less']:
    """Whether more of a metric is better, told from its name.

    Raises:
        ValueError: The name tells nothing.
    """
    folded = key.casefold()
    for rule, words in (('greater', GREATER_KEYS), ('less', LESS_KEYS)):
        if any(word.casefold() in folded for word in words):
            return rule  # type: ignore[return-value]
    raise ValueError(f"whether more of '{key}' is better is not known; say rule='greater' or rule='less'.")
