"""What the loop costs: the runner with all default hooks against a bare PyTorch loop.

Both train a one-layer model on the same batches from memory (batch 8), with the same zero_grad, backward, step and
cosine learning rate, without clipping, in one thread. The runner adds its hooks: learning rate, update, checkpoint
(none is due), timer, evaluation (none is due) and the text logger every 50 iterations, to the console and to JSON.

    python benchmarks/loop_overhead.py [--iters 2000] [--repeats 15] [--out benchmarks/results/loop_overhead.json]
    python benchmarks/loop_overhead.py --reference-python OLD/bin/python    # the same work by mmengine, alternating
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

BATCH, FEATURES, LOG_INTERVAL, BASE_LR = 8, 16, 50, 0.01

REFERENCE = """
import sys, time, tempfile, logging, torch
from torch import nn
from mmengine.model import BaseModel
from mmengine.runner import Runner
n = int(sys.argv[1])
torch.set_num_threads(1)
g = torch.Generator().manual_seed(0)
items = [dict(x=torch.randn(8, 16, generator=g), y=torch.randn(8, 1, generator=g)) for _ in range(n)]
class M(BaseModel):
    def __init__(self):
        super().__init__(); self.fc = nn.Linear(16, 1)
    def forward(self, x, y, mode='loss'):
        return dict(loss=(self.fc(x) - y).square().mean())
class D(torch.utils.data.Dataset):
    def __len__(self): return n
    def __getitem__(self, i): return items[i]
class L(torch.utils.data.DataLoader):
    def __iter__(self): return iter(items)
loader = L(D(), batch_size=1)
runner = Runner(M(), tempfile.mkdtemp(), train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=1),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)), log_level='WARNING',
    param_scheduler=dict(type='CosineAnnealingLR', by_epoch=False, T_max=n),
    default_hooks=dict(logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(type='CheckpointHook', interval=10, save_last=False)))
from mmengine.hooks import Hook
class T(Hook):
    priority = 'LOWEST'
    def before_train_epoch(self, runner): self.t = time.perf_counter()
    def after_train_epoch(self, runner): print('SECONDS', time.perf_counter() - self.t)
runner.register_hook(T())
runner.train()
"""


class Model(nn.Module):
    """One linear layer with a squared loss."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, 1)

    def forward(self, x_nc: torch.Tensor, y_n1: torch.Tensor) -> torch.Tensor:
        """The loss."""
        return (self.fc(x_nc) - y_n1).square().mean()

    def train_step(self, batch: dict, optimizer: object = None) -> dict:
        """As the runner calls it."""
        loss = self(batch['x'], batch['y'])
        return dict(loss=loss, log_vars={'loss': loss.detach()}, num_samples=BATCH)


def make_batches(num_batches: int) -> list[dict]:
    """Random batches in memory."""
    generator = torch.Generator().manual_seed(0)
    return [
        dict(x=torch.randn(BATCH, FEATURES, generator=generator), y=torch.randn(BATCH, 1, generator=generator))
        for _ in range(num_batches)
    ]


def bare(batches: list[dict]) -> float:
    """Seconds of the plain loop."""
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR)
    total = len(batches)
    start = time.perf_counter()
    for i, batch in enumerate(batches):
        rate = 0.5 * BASE_LR * (1 + math.cos(math.pi * i / total))
        for group in optimizer.param_groups:
            group['lr'] = rate
        loss = model(batch['x'], batch['y'])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def ours(batches: list[dict]) -> float:
    """Seconds of the same by the runner, from the first stage of the epoch to its last."""
    from intarsia.core.registries import HOOKS
    from intarsia.engine.hook import Hook
    from intarsia.engine.hooks.evaluation import EvalHook
    from intarsia.engine.runner import EpochBasedRunner

    class Clock(Hook):
        def before_train_epoch(self, runner: object) -> None:
            self.start = time.perf_counter()

        def after_train_epoch(self, runner: object) -> None:
            self.seconds = time.perf_counter() - self.start

    torch.manual_seed(0)
    model = Model()
    logger = logging.getLogger('benchmark')
    logger.setLevel('INFO')
    logger.handlers, logger.propagate = [logging.NullHandler()], False
    with tempfile.TemporaryDirectory() as folder:
        optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR)
        runner = EpochBasedRunner(model, optimizer, folder, logger, max_epochs=1, seed=0)
        rate = dict(type='CosineAnnealingLrUpdaterHook', min_lr=0, by_epoch=False)
        clock = Clock()
        for node, seat in (
            (rate, 'VERY_HIGH'),
            (dict(type='OptimizerHook'), 'ABOVE_NORMAL'),
            (dict(type='CheckpointHook', interval=10, save_last=False), 'NORMAL'),
            (dict(type='IterTimerHook'), 'LOW'),
            (dict(type='TextLoggerHook', interval=LOG_INTERVAL), 'VERY_LOW'),
        ):
            runner.register_hook(HOOKS.build(node), seat)
        runner.register_hook(EvalHook([], None, interval=10), 'LOW')  # type: ignore[arg-type]
        runner.register_hook(clock, 'LOWEST')
        runner.run([batches], [('train', 1)])
    return clock.seconds


def reference(python: str, num_iters: int) -> float:
    """Seconds of the same by mmengine, in an interpreter of its own."""
    done = subprocess.run([python, '-c', REFERENCE, str(num_iters)], capture_output=True, text=True, check=True)
    return float(done.stdout.split('SECONDS')[1].split()[0])


def main() -> None:
    """Alternate the loops and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--iters', type=int, default=2000)
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--reference-python', metavar='PATH')
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    batches = make_batches(args.iters)
    bare(batches), ours(batches)  # warm up
    times: dict[str, list[float]] = {'bare': [], 'intarsia': [], 'mmengine': []}
    for _ in range(args.repeats):
        times['bare'].append(bare(batches))
        times['intarsia'].append(ours(batches))
        if args.reference_python:
            times['mmengine'].append(reference(args.reference_python, args.iters))
    micros = {k: statistics.median(v) / args.iters * 1e6 for k, v in times.items() if v}
    result = {
        'date': time.strftime('%Y-%m-%d'),
        'python': sys.version.split()[0],
        'torch': torch.__version__,
        'iters': args.iters,
        'repeats': args.repeats,
        'us_per_iter': {k: round(v, 1) for k, v in micros.items()},
        'us_above_bare': {k: round(v - micros['bare'], 1) for k, v in micros.items() if k != 'bare'},
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
