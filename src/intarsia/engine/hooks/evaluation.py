"""The hook that evaluates during training and keeps the best checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from intarsia.core.errors import ConfigError, Problem, closest
from intarsia.core.registries import HOOKS
from intarsia.engine.evaluation import evaluate, mean_losses
from intarsia.engine.evaluator import Evaluator
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.logger import log_now, log_pending
from intarsia.engine.stage import Stage

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner

Rule = Literal['greater', 'less']

GREATER_KEYS = ('acc', 'top', 'AR@', 'auc', 'precision', 'mAP', 'mDice', 'mIoU', 'mAcc', 'aAcc', 'recall', 'f1',
                'ap', 'ar', 'pck', 'pcp', '3dpck', '3dauc')  # fmt: skip
LESS_KEYS = ('loss', 'error', 'epe', 'nme', 'mpjpe')


@HOOKS.register_module()
class EvalHook(Hook):
    """Evaluates every ``interval`` epochs or iterations; seat LOW.

    An evaluation that was due when the run was interrupted is made up for when it is resumed.

    Args:
        dataloader: What is evaluated.
        evaluator: Makes metrics of the results.
        interval: Epochs (or iterations) between two evaluations.
        start: First epoch (or iteration) that is evaluated; later ones count from there. With 0 the run is evaluated
            before it trains.
        by_epoch: Whether ``interval`` counts epochs; None counts what the runner counts.
        save_best: Metrics whose best checkpoint is kept as ``best_METRIC_epoch_N.pth``; ``'auto'`` is the first.
        rule: Whether more or less is better, one word or one for each metric; None tells from the metric's name.
        greater_keys: Parts of names that mean more, besides the usual ones.
        less_keys: Parts of names that mean less.
        dynamic_intervals: Pairs ``(first, interval)``: from epoch (or iteration) ``first`` on, counted from 1, another
            interval.
        loss_loader: Batches of validation losses, which are logged with the metrics; None computes none.
    """

    def __init__(
        self,
        dataloader: Any,
        evaluator: Evaluator,
        interval: int = 1,
        start: int | None = None,
        by_epoch: bool | None = None,
        save_best: str | bool | Sequence[str] | None = None,
        rule: Rule | Sequence[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        dynamic_intervals: Sequence[tuple[int, int]] = (),
        loss_loader: Any = None,
    ) -> None:
        self.dynamic_intervals = sorted((int(first), int(every)) for first, every in dynamic_intervals)
        if min([interval, *(every for _, every in self.dynamic_intervals)]) <= 0:
            raise ValueError(f'intervals of evaluation must be positive, not {interval}, {dynamic_intervals}')
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.interval = interval
        self.start = start
        self.by_epoch = by_epoch
        self.loss_loader = loss_loader
        wanted = 'auto' if save_best is True else save_best or ()
        self.save_best = [wanted] if isinstance(wanted, str) else list(wanted)
        self.rules = _rules(rule, len(self.save_best))
        self.greater_keys = (*(greater_keys or ()), *GREATER_KEYS)
        self.less_keys = (*(less_keys or ()), *LESS_KEYS)
        self.best: dict[str, float] = {}
        self.best_files: dict[str, str] = {}
        self.evaluated_iter = -1

    def before_run(self, runner: BaseRunner) -> None:
        """Count what the runner counts."""
        if self.by_epoch is None:
            self.by_epoch = runner.by_epoch

    def before_epoch(self, runner: BaseRunner) -> None:
        """Make up for the evaluation that an interruption has cost."""
        done = runner.epoch if self.by_epoch else runner.iter
        at_end_of_epoch = not self.by_epoch or runner.inner_iter == 0
        begins = runner.iter > 0 or self.start == 0
        if begins and at_end_of_epoch and self._is_due(done) and self.evaluated_iter != runner.iter:
            self._evaluate(runner)
            log_now(runner)

    def after_train_epoch(self, runner: BaseRunner) -> None:
        """Evaluate, if it is due."""
        if self.by_epoch and self._is_due(runner.epoch + 1):
            self._evaluate(runner)

    def after_train_iter(self, runner: BaseRunner) -> None:
        """Evaluate, if it is due."""
        if not self.by_epoch and self._is_due(runner.iter + 1):
            log_pending(runner)
            self._evaluate(runner)

    def before_val_epoch(self, runner: BaseRunner) -> None:
        """Nothing: validation flows are no epochs of training."""

    def _is_due(self, done: int) -> bool:
        begun = [every for first, every in self.dynamic_intervals if first <= done + 1]
        if begun:
            return done >= (self.start or 0) and done % begun[-1] == 0
        first = self.start
        return done % self.interval == 0 if first is None else done >= first and (done - first) % self.interval == 0

    def _evaluate(self, runner: BaseRunner) -> None:
        runner.strategy.before_evaluation()
        runner.hook_list.call(Stage.BEFORE_EVALUATION, runner)
        runner.metrics = evaluate(runner.model, self.dataloader, self.evaluator)
        table = self.evaluator.table()
        if table:
            runner.logger.info(f'evaluation\n{table}')
        if self.loss_loader is not None:
            runner.metrics |= mean_losses(runner.model, self.loss_loader)
        runner.hook_list.call(Stage.AFTER_EVALUATION, runner)
        self.evaluated_iter = runner.progress.iter
        numbers = {k: v for k, v in runner.metrics.items() if isinstance(v, (int, float))}
        runner.log_buffer.output = {**numbers, 'eval_iter_num': len(self.dataloader)}
        runner.log_buffer.ready = True
        for place in range(len(self.save_best)):
            self._keep_best(runner, numbers, place)

    # ------------------------------------------------------------------ the best checkpoints

    def _keep_best(self, runner: BaseRunner, metrics: dict[str, float], place: int) -> None:
        key = self._key(metrics, place)
        score = metrics[key]
        if math.isnan(score) or not self._is_better(key, score, self.rules[place]):
            return
        progress = runner.progress
        count = f'epoch_{progress.epoch}' if self.by_epoch else f'iter_{progress.iter}'
        name = f'best_{key.replace("/", "_")}_{count}{runner.strategy.checkpoint_suffix}'
        assert runner.work_dir is not None
        old, self.best[key], self.best_files[key] = self.best_files.get(key), score, str(runner.work_dir / name)
        runner.meta['hook_msgs'].update(best_score=score, best_ckpt=self.best_files[key])
        runner.save_checkpoint(name, link_latest=False)
        if old is not None and old != self.best_files[key]:
            runner.strategy.remove_checkpoint(Path(old))
        runner.logger.info(f'best {key} so far: {score:.4f}, saved as {name}')

    def _key(self, metrics: dict[str, float], place: int) -> str:
        wanted = self.save_best[place]
        if wanted == 'auto':
            self.save_best[place] = wanted = next(iter(metrics))
        if wanted not in metrics:
            close = next((m for m in metrics if m.startswith(wanted)), closest(wanted, metrics))
            message = f"save_best='{wanted}', but the metrics are {', '.join(metrics)}."
            raise ConfigError(Problem('bad-config', message, 'evaluation.save_best', suggestion=close))
        return wanted

    def _is_better(self, key: str, score: float, rule: Rule | None) -> bool:
        greater = (rule or infer_rule(key, self.greater_keys, self.less_keys)) == 'greater'
        best = self.best.get(key)
        return best is None or (score > best if greater else score < best)

    def state_dict(self) -> dict[str, Any]:
        """The best scores and their files, and the iteration of the last evaluation."""
        return {'best': dict(self.best), 'best_files': dict(self.best_files), 'evaluated_iter': self.evaluated_iter}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back :meth:`state_dict`."""
        self.best, self.best_files = dict(state['best']), dict(state['best_files'])
        self.evaluated_iter = state['evaluated_iter']


def _rules(rule: Any, count: int) -> list[Rule | None]:
    rules = list(rule) if isinstance(rule, (list, tuple)) else [rule] * count
    for each in rules:
        if each not in ('greater', 'less', None):
            raise ValueError(f"rule must be 'greater', 'less' or None, not {each!r}")
    if len(rules) != count:
        raise ValueError(f'rule has {len(rules)} entries for {count} metrics in save_best')
    return rules


def infer_rule(key: str, greater_keys: Sequence[str] = GREATER_KEYS, less_keys: Sequence[str] = LESS_KEYS) -> Rule:
    """Whether more of a metric is better, told from its name: an equal word goes before a contained one.

    Raises:
        ValueError: The name tells nothing.
    """
    folded = key.casefold()
    rules: tuple[tuple[Rule, Sequence[str]], ...] = (('greater', greater_keys), ('less', less_keys))
    for contains in (str.__eq__, str.__contains__):
        for rule, words in rules:
            if any(contains(folded, word.casefold()) for word in words):
                return rule
    raise ValueError(f"whether more of '{key}' is better is not known; say rule='greater' or rule='less'.")
