"""The command line of benchmarks that compare with an old toolbox, and what they write."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alternate import Request, Side, alternate

OURS = ('torch', 'numpy', 'opencv-python-headless')
"""Packages whose versions are written down for our side."""


def compare(
    doc: str,
    topic: str,
    toolbox: str,
    packages: Sequence[str],
    write_inputs: Callable[[Path], None],
    cases: Mapping[str, Request],
    repeats: Mapping[str, int],
) -> None:
    """Run the cases on both sides, ``TOPIC_ours.py`` and ``TOPIC_TOOLBOX.py``, and print the medians as JSON.

    Args:
        doc: What the benchmark is about; its first line is shown by ``--help``.
        topic: Begins the names of the scripts.
        toolbox: Name of the other side; it runs only with ``--reference-python``.
        packages: Packages whose versions are written down for the other side.
        write_inputs: Writes into a folder what both sides read.
        cases: Requests by name.
        repeats: By kind of case.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument('--reference-python', metavar='PATH', help=f'an interpreter that has {packages[-1]} 1.x')
    parser.add_argument('--repeats', type=int, help='of every case')
    parser.add_argument('--cases', default='', metavar='TEXT', help='only those with this in their names')
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    here = Path(__file__).parent
    found = {'intarsia': versions(sys.executable, *OURS)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        sides = {'intarsia': Side(sys.executable, here / f'{topic}_ours.py', [name], folder / 'ours.log')}
        if args.reference_python:
            found[toolbox] = versions(args.reference_python, *packages)
            script = here / f'{topic}_{toolbox}.py'
            sides[toolbox] = Side(args.reference_python, script, [name], folder / f'{toolbox}.log')
        medians = {}
        for case, request in cases.items():
            if args.cases in case:
                medians[case] = alternate(sides, request, args.repeats or repeats[request[0]])
                print(case, json.dumps(rounded(medians[case])), file=sys.stderr)
        for side in sides.values():
            side.stop()
    result = {'date': time.strftime('%Y-%m-%d'), 'hardware': hardware(), 'versions': found, 'cases': rounded(medians)}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


def versions(python: str, *packages: str) -> dict[str, str]:
    """Of packages that an interpreter has, and its own."""
    code = 'import sys, importlib.metadata as m; print(sys.version.split()[0], *(m.version(p) for p in sys.argv[1:]))'
    done = subprocess.run([python, '-c', code, *packages], capture_output=True, text=True, check=True)
    return dict(zip(('python', *packages), done.stdout.split(), strict=True))


def hardware() -> str:
    """Processor and number of cores."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.processor())
    return f'{model}, {os.cpu_count()} cores'


def rounded(values: Any) -> Any:
    """Floats with four significant digits."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    return float(f'{values:.4g}') if isinstance(values, float) else values
