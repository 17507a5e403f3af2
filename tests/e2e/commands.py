"""Commands, each run in a fork of a process that has the slow imports behind it."""

from __future__ import annotations

import functools
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(words, folder):
    """What ``intarsia ...``, ``python FILE`` or ``python -m MODULE`` prints in ``folder``, and its exit code."""
    with tempfile.NamedTemporaryFile() as output:
        server = _server()
        server.stdin.write(json.dumps([words, str(folder), output.name]) + '\n')
        server.stdin.flush()
        code = int(server.stdout.readline())
        return Path(output.name).read_text(encoding='utf-8', errors='replace'), code


@functools.cache
def _server():
    """The process that forks; it ends when this one does, for its input ends then."""
    command = [sys.executable, '-m', 'tests.e2e.commands']
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


# ---------------------------------------------------------------------- in that process


def serve():
    """Run a command for every line that comes in, and answer with its exit code."""
    preload()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = run_here(*json.loads(line))
            except SystemExit as end:
                code = end.code or 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        sys.stdout.write(f'{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n')
        sys.stdout.flush()


def preload():
    """Import and look up what most commands do first."""
    import torch
    import torch._dynamo

    import intarsia.api.plot
    import intarsia.api.predict
    import intarsia.api.test
    import intarsia.api.train  # noqa: F401
    from intarsia.api.probe import probe_model
    from intarsia.config.check import checked
    from intarsia.config.file import load_config
    from intarsia.core import registries

    torch.set_num_threads(1)  # the networks of examples are too small for more; and threads do not survive a fork
    probe_model(checked(load_config('intarsia::classification/resnet_cifar_fashion_mnist.py')))
    for name in registries.HOOKS.names():
        registries.HOOKS.get(name)


def run_here(words, folder, output):
    """Run one command, its output going to a file; its exit code."""
    os.chdir(folder)
    os.environ['COLUMNS'] = '80'
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = list(words)
    if words[:2] == ['python', '-m']:
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name='__main__', alter_sys=True)
    elif words[0] == 'python':
        runpy.run_path(words[1], run_name='__main__')
    else:
        from intarsia.cli.main import main

        return main(words[1:])
    return 0


if __name__ == '__main__':
    serve()
