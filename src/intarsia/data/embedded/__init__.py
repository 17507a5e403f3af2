"""Small data sets that travel with the package, so that a first run needs nothing else."""

from __future__ import annotations

from pathlib import Path

from intarsia.core.errors import DataError, closest

FOLDER = Path(__file__).resolve().parent
SCHEME = 'intarsia::'


def resolve_prefix(prefix: str | None) -> str:
    """The folder that ``data_prefix`` means: ``intarsia::NAME`` is an embedded data set, all else stays.

    Raises:
        DataError: There is no embedded data set of that name.
    """
    if not prefix or not prefix.startswith(SCHEME):
        return prefix or ''
    name = prefix.removeprefix(SCHEME)
    known = sorted(f.name for f in FOLDER.iterdir() if f.is_dir() and not f.name.startswith('_'))
    if name not in known:
        close = closest(name, known)
        hint = f" Did you mean '{close}'?" if close else ''
        raise DataError(f"there is no embedded data set '{name}'; there are: {', '.join(known)}.{hint}")
    return str(FOLDER / name)
