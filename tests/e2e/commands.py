"""Commands, each run in a fork of a process that has done the slow imports once."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(['tests.e2e.preloaded'])


def run(words, folder):
    """What ``intarsia ...``, ``python FILE`` or ``python -m MODULE`` prints in ``folder``, and its exit code."""
    with tempfile.NamedTemporaryFile() as output:
        process = CONTEXT.Process(target=_run, args=(words, str(folder), output.name))
        process.start()
        process.join()
        return Path(output.name).read_text(encoding='utf-8', errors='replace'), process.exitcode


def _run(words, folder, output):
    os.chdir(folder)
    os.environ['COLUMNS'] = '80'
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    sys.stdout.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = words
    if words[:2] == ['python', '-m']:
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name='__main__', alter_sys=True)
        return
    if words[0] == 'python':
        runpy.run_path(words[1], run_name='__main__')
        return
    from intarsia.cli.main import main

    sys.exit(main(words[1:]))
