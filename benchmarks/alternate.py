"""Compares programs of two interpreters: each answers in a process of its own, and they take turns.

A side is a script that calls :func:`serve` with its cases. Standard library only, as any interpreter must run it.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Case = Callable[[int], Any]
"""Does the work that is timed, given the number of the repeat; what it returns lets the sides be compared."""


Request = tuple[Any, ...]
"""What kind of case, and the arguments of what makes it."""


def serve(factories: Mapping[str, Callable[..., Case]]) -> None:
    """Answer requests on standard input: make a case, warm it up, run it with both clocks read.

    Args:
        factories: Makes a case of each kind, which is neither timed nor done before it is asked for.
    """
    replies = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # whatever else prints is no reply
    cases: dict[Request, Case] = {}
    for line in sys.stdin:
        (kind, *arguments), repeat = json.loads(line)
        request = kind, *arguments
        if request not in cases:
            cases[request] = factories[kind](*arguments)
            cases[request](0)
        wall, cpu = time.perf_counter(), time.process_time()
        value = cases[request](repeat)
        reply = {'wall': time.perf_counter() - wall, 'cpu': time.process_time() - cpu, 'value': value}
        print(json.dumps(reply), file=replies, flush=True)


class Side:
    """One of the programs, started; its messages go to a file that is shown if it fails.

    Args:
        python: The interpreter.
        script: Calls :func:`serve`.
        arguments: Of the script.
        log: Where its messages go.
    """

    def __init__(self, python: str, script: Path, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        command = [python, '-W', 'ignore', str(script), *arguments]
        with log.open('w') as messages:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages, text=True
            )

    def run(self, request: Request, repeat: int) -> dict[str, Any]:
        """``wall`` and ``cpu`` in seconds, and the ``value``.

        Raises:
            RuntimeError: The program ended; the message is what it wrote last.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps([request, repeat]), file=self.process.stdin, flush=True)
            reply = self.process.stdout.readline()
        except BrokenPipeError:
            reply = ''
        if not reply:
            raise RuntimeError(f'{request}: {self.log.read_text()[-3000:]}')
        return json.loads(reply)

    def stop(self) -> None:
        """End the program."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def alternate(sides: Mapping[str, Side], request: Request, repeats: int) -> dict[str, Any]:
    """Medians over repeats, in each of which every side has its turn; the order changes from one to the next.

    Returns:
        ``wall_s`` and ``cpu_s`` by side; with two sides ``times_as_fast``, by both clocks: the median of the second
        side divided by that of the first; and ``same_answer``, whether their last values are equal up to 1e-4.
    """
    replies: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for repeat in range(1, repeats + 1):
        for name in sorted(sides, reverse=repeat % 2 == 0):
            replies[name].append(sides[name].run(request, repeat))
    found: dict[str, Any] = {
        f'{clock}_s': {name: statistics.median(reply[clock] for reply in replies[name]) for name in sides}
        for clock in ('wall', 'cpu')
    }
    if len(sides) == 2:
        ours, theirs = sides
        found['times_as_fast'] = {c: found[f'{c}_s'][theirs] / found[f'{c}_s'][ours] for c in ('wall', 'cpu')}
        found['same_answer'] = _agree(*(replies[name][-1]['value'] for name in sides))
    return found


def _agree(ours: Any, theirs: Any) -> bool:
    """Whether two numbers, or two lists of them, are equal up to rounding."""
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_agree, ours, theirs))
    return math.isclose(ours, theirs, rel_tol=1e-4)
