"""What every default hook costs an iteration, and what memory an evaluation takes.

The loop runs with all default hooks, and with all but one; the difference is the cost of that one. Runs alternate, and
the median of the differences is taken, in time of this process, so that others on the machine count little. The model
is a stub whose forward, backward and step do nothing, for real ones would hide costs this small. No checkpoint and no
evaluation is due.

An evaluation counts batch by batch: its memory must not grow with the number of images. It is given random scores of
1,000 classes, for two numbers of images; the difference is what the process took at its peak.

    python benchmarks/hook_cost.py [--iters 2000] [--repeats 25] [--out benchmarks/results/hook_cost.json]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from loop_overhead import BASE_LR, LOG_INTERVAL
from torch import nn

from intarsia.core.registries import HOOKS
from intarsia.engine.evaluation import evaluate
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.evaluation import EvalHook
from intarsia.engine.runner import EpochBasedRunner
from intarsia.tasks.classification.metrics.evaluator import ClassificationEvaluator
from intarsia.tasks.classification.results import ClassificationResult

DEFAULT_HOOKS = {
    'CosineAnnealingLrUpdaterHook': (dict(min_lr=0, by_epoch=False), 'VERY_HIGH'),
    'OptimizerHook': ({}, 'ABOVE_NORMAL'),
    'NanGuardHook': ({}, 'ABOVE_NORMAL'),
    'CheckpointHook': (dict(interval=10, save_last=False), 'NORMAL'),
    'IterTimerHook': ({}, 'LOW'),
    'EvalHook': ({}, 'LOW'),
    'TextLoggerHook': (dict(interval=LOG_INTERVAL), 'VERY_LOW'),
}
"""Arguments and seats of what a run without any wishes has."""

NUM_CLASSES, BATCH = 1000, 64


class Nothing:
    """A loss and an optimizer that do nothing."""

    def __init__(self) -> None:
        self.param_groups = [{'lr': BASE_LR, 'params': []}]

    def zero_grad(self) -> None:
        """Nothing."""

    def backward(self) -> None:
        """Nothing."""

    def step(self) -> None:
        """Nothing."""


class Stub(nn.Module):
    """A model that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = {'loss': Nothing(), 'log_vars': {'loss': torch.tensor(1.0)}, 'num_samples': BATCH}

    def train_step(self, batch: object, optimizer: object = None) -> dict:
        """The same every time."""
        return self.outputs


class Clock(Hook):
    """Measures an epoch."""

    def before_train_epoch(self, runner: object) -> None:
        """Start."""
        self.start = time.process_time()

    def after_train_epoch(self, runner: object) -> None:
        """Stop."""
        self.seconds = time.process_time() - self.start


def microseconds(num_iters: int, left_out: str | None) -> float:
    """Of one iteration, without one hook."""
    logger = logging.getLogger('benchmark')
    logger.setLevel('INFO')
    logger.handlers, logger.propagate = [logging.NullHandler()], False
    with tempfile.TemporaryDirectory() as folder:
        runner = EpochBasedRunner(Stub(), Nothing(), folder, logger, max_epochs=1, seed=0)
        for name, (arguments, seat) in DEFAULT_HOOKS.items():
            if name == 'EvalHook' != left_out:
                runner.register_hook(EvalHook([], None, interval=10), seat)  # type: ignore[arg-type]
            elif name not in (left_out, 'EvalHook'):
                runner.register_hook(HOOKS.build(dict(type=name, **arguments)), seat)
        clock = Clock()
        runner.register_hook(clock, 'LOWEST')
        runner.run([[None] * num_iters], [('train', 1)])
    return clock.seconds / num_iters * 1e6


class RandomScores(nn.Module):
    """Answers at random."""

    def predict(self, inputs: torch.Tensor, metas: object = None) -> list[ClassificationResult]:
        """One result for every image."""
        scores = np.random.default_rng(0).random((len(inputs), NUM_CLASSES), dtype=np.float32)
        return [ClassificationResult.of(row, [int(row.argmax())], None) for row in scores]


class Batches:
    """As many images as wanted, made one batch at a time."""

    world_size = 1

    def __init__(self, num_images: int) -> None:
        self.num_batches = num_images // BATCH

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[dict]:
        for i in range(self.num_batches):
            yield {'img': torch.zeros(BATCH, 1), 'gt_label': torch.arange(i, i + BATCH) % NUM_CLASSES}


def peak_of_evaluation(num_images: int) -> float:
    """MiB that an evaluation adds to the process at its peak, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, '--evaluate', str(num_images)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def evaluate_here(num_images: int) -> None:
    """Print the MiB that an evaluation adds."""
    from intarsia.api.batch_size import MeasuredMemory

    metrics = ['accuracy', 'precision', 'recall', 'f1_score']
    evaluate(RandomScores(), Batches(2 * BATCH), ClassificationEvaluator(None, metrics))  # imports, buffers
    memory = MeasuredMemory(0)
    memory.reset()
    before = memory.peak_mb()
    evaluate(RandomScores(), Batches(num_images), ClassificationEvaluator(None, metrics))
    print(memory.peak_mb() - before)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--iters', type=int, default=2000)
    parser.add_argument('--repeats', type=int, default=25)
    parser.add_argument('--images', type=int, nargs='+', default=[6400, 64000])
    parser.add_argument('--evaluate', type=int, help=argparse.SUPPRESS)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.evaluate:
        evaluate_here(args.evaluate)
        return
    microseconds(args.iters, None)  # warm up
    differences: dict[str, list[float]] = {name: [] for name in DEFAULT_HOOKS}
    whole = []
    for _ in range(args.repeats):
        for name, measured in differences.items():
            with_it, without = microseconds(args.iters, None), microseconds(args.iters, name)
            measured.append(with_it - without)
            whole.append(with_it)
    result = {
        'date': time.strftime('%Y-%m-%d'),
        'python': sys.version.split()[0],
        'torch': torch.__version__,
        'cpu_cores': os.cpu_count(),
        'iters': args.iters,
        'repeats': args.repeats,
        'us_per_iter_with_all': round(statistics.median(whole), 1),
        'us_of_each_hook': {name: round(statistics.median(d), 2) for name, d in differences.items()},
        'evaluation': {
            'classes': NUM_CLASSES,
            'peak_mib_by_images': {n: round(peak_of_evaluation(n), 1) for n in args.images},
            'mib_of_all_scores': {n: round(n * NUM_CLASSES * 4 / 2**20, 1) for n in args.images},
        },
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
