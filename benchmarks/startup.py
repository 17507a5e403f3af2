"""How long the commands take that answer without training, as whole processes.

python benchmarks/startup.py [--repeats 15] [--out benchmarks/results/startup.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'
COMMANDS = {
    'python alone': [sys.executable, '-c', 'pass'],
    'import intarsia': [sys.executable, '-c', 'import intarsia'],
    'intarsia --help': [sys.executable, '-m', 'intarsia', '--help'],
    'intarsia list': [sys.executable, '-m', 'intarsia', 'list'],
    'intarsia config check': [sys.executable, '-m', 'intarsia', 'config', 'check', RECIPE],
    'intarsia config show': [sys.executable, '-m', 'intarsia', 'config', 'show', RECIPE],
}
BUDGET_S = {'import intarsia': 0.05, 'intarsia --help': 0.15, 'intarsia list': 0.15, 'intarsia config check': 0.5}
"""What the design allows; that of the import is on top of Python's own start."""


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Alternate the commands and print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(args.repeats):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    result = {
        'date': time.strftime('%Y-%m-%d'),
        'python': sys.version.split()[0],
        'repeats': args.repeats,
        'median_s': {name: round(statistics.median(each), 3) for name, each in times.items()},
        'budget_s': BUDGET_S,
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
