"""How much faster several processes are: images a second of a recipe, each process with the same batch.

Every run trains the quick start's recipe (or ``--config``) through the command line, one thread a process on CPUs, and
the time of an iteration is read from its log; the first records are left out. Numbers of processes alternate, and
the median over all repeats is taken; where others use the machine too, the best repeats tell more. ``efficiency`` is
the speed of n processes over n times that of one.

    python benchmarks/scaling.py --processes 1 2 4 [--strategy fsdp] [--repeats 3] [--out RESULT.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'
INTERVAL = 5
LEFT_OUT = 2
"""Records of each run that do not count."""


def images_per_second(args: argparse.Namespace, num_processes: int) -> float:
    """The speed of all processes of one run together: the median of its records."""
    with tempfile.TemporaryDirectory() as folder:
        start = [sys.executable, '-m']
        if num_processes > 1:
            start += ['torch.distributed.run', '--standalone', f'--nproc-per-node={num_processes}', '-m']
        options = [
            'runner.type=IterBasedRunner', 'runner.max_epochs=None', f'runner.max_iters={args.iters}',
            f'data.samples_per_gpu={args.batch}', f'log_config.interval={INTERVAL}', 'custom_hooks=[]',
            'checkpoint_config=None', f'strategy={args.strategy}', *args.cfg_options,
        ]  # fmt: skip
        command = [*start, 'intarsia', 'train', args.config, '--work-dir', folder, '--seed', '0', '--no-validate']
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        subprocess.run([*command, '--cfg-options', *options], env=environment, check=True, capture_output=True)
        log = next(Path(folder).glob('*.log.json')).read_text(encoding='utf-8')
    records = [json.loads(line) for line in log.splitlines()]
    seconds = [record['time'] for record in records if record.get('mode') == 'train'][LEFT_OUT:]
    return num_processes * args.batch / statistics.median(seconds)


def hardware() -> dict[str, object]:
    """What the numbers were measured on."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {'machine': platform.machine(), 'cpu_cores': os.cpu_count(), 'gpus': gpus}


def main() -> None:
    """Alternate, take medians, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--strategy', choices=['ddp', 'fsdp'], default='ddp')
    parser.add_argument('--config', default=RECIPE)
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE')
    parser.add_argument('--batch', type=int, default=64, help='images of each process')
    parser.add_argument('--iters', type=int, default=40)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    load = os.getloadavg()[1]
    speeds: dict[int, list[float]] = {n: [] for n in args.processes}
    for _ in range(args.repeats):
        for n, measured in speeds.items():
            measured.append(images_per_second(args, n))
    median = {n: statistics.median(measured) for n, measured in speeds.items()}
    first = min(median)
    ratios = {n: speed / median[first] for n, speed in median.items()}
    best = {n: max(measured) for n, measured in speeds.items()}
    result = {
        'date': time.strftime('%Y-%m-%d'),
        'python': sys.version.split()[0],
        'torch': torch.__version__,
        **hardware(),
        'load_of_others_before': round(load, 1),
        'config': args.config,
        'cfg_options': args.cfg_options,
        'strategy': args.strategy,
        'batch_of_each_process': args.batch,
        'iters': args.iters,
        'repeats': args.repeats,
        'images_per_second': {n: round(speed, 1) for n, speed in median.items()},
        'all_images_per_second': {n: [round(speed, 1) for speed in measured] for n, measured in speeds.items()},
        f'ratio_to_{first}': {n: round(ratio, 3) for n, ratio in ratios.items()},
        f'ratio_of_best_to_{first}': {n: round(speed / best[first], 3) for n, speed in best.items()},
        'efficiency': {n: round(ratio * first / n, 3) for n, ratio in ratios.items()},
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
