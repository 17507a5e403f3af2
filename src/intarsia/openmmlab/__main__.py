"""Runs a script that imports the old packages: ``python -m intarsia.openmmlab SCRIPT ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Run the script as ``python SCRIPT ARGUMENTS`` would.

    Returns:
        2 if there is no such script; the script's own exit code otherwise.
    """
    if not argv or not Path(argv[0]).is_file():
        print(f'usage: python -m intarsia.openmmlab SCRIPT [ARGUMENTS]; there is no script {argv[:1]}', file=sys.stderr)  # noqa: T201
        return 2
    sys.argv = argv
    sys.path[0] = str(Path(argv[0]).resolve().parent)
    runpy.run_path(argv[0], run_name='__main__')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
