"""How much of a folder of config files runs here: read, translated, checked, built, and with which state-dict keys."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from intarsia.api.models import build_model
from intarsia.config.check import check
from intarsia.config.dialects.door import house_form
from intarsia.config.dump import to_jsonable
from intarsia.config.file import load_config
from intarsia.config.pretrained import without_pretrained
from intarsia.core.errors import ConfigError, DataError, Problem

TABLE = Path(__file__).parent / 'zoo_keys.json.xz'
"""Hashes of the state-dict keys of the models in eight releases of the older toolboxes: zoo -> config -> ten digits."""

DIGITS = 10
UNKNOWN = re.compile(r"^'([^']+)' is not in ")


@dataclass
class FileReport:
    """What became of one config file.

    Attributes:
        config: Its path below the folder.
        read: Whether it could be read with all its bases.
        checked: Whether it has no mistakes, in words of any generation; files that it names are not looked for.
        built: Whether its model could be built.
        keys_equal: Whether that has the state-dict keys and shapes of the older toolbox; None where nobody knows.
        golden_equal: Whether its outputs are those of the older toolbox; None where nobody knows.
        missing: Components that do not exist here.
        problem: The first mistake, or None.
    """

    config: str
    read: bool = False
    checked: bool = False
    built: bool = False
    keys_equal: bool | None = None
    golden_equal: bool | None = None
    missing: list[str] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True)
class ZooReport:
    """What became of all of them."""

    files: Sequence[FileReport]

    def totals(self) -> dict[str, int]:
        """How many files there are, and how many came how far."""
        steps = ('read', 'checked', 'built', 'keys_equal')
        return {'files': len(self.files), **{s: sum(getattr(f, s) is True for f in self.files) for s in steps}}

    def unlocks(self) -> dict[str, int]:
        """For each missing component, how many files lack nothing else; most first."""
        alone = Counter(f.missing[0] for f in self.files if len(f.missing) == 1)
        return dict(alone.most_common())

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        keys = ('config', 'read', 'checked', 'built', 'keys_equal', 'golden_equal', 'missing')
        rows = [{key: asdict(each)[key] for key in keys} for each in self.files]
        return {'files': rows, 'totals': self.totals(), 'unlocks': self.unlocks()}


def check_zoo(folder: str | Path, progress: Callable[[int, int], None] = lambda done, total: None) -> ZooReport:
    """Read, check and build every config file below a folder; fragments in ``_base_`` folders are left out.

    Args:
        folder: The folder; config files of a known release are recognized by their paths.
        progress: Called with how many are done, and of how many.

    Raises:
        DataError: There is no config file.
    """
    root = Path(folder)
    files = sorted(f for f in root.rglob('*.py') if not any(part in ('_base_', '__pycache__') for part in f.parts))
    if not files:
        raise DataError(f'there are no config files below {root.absolute()}')
    known = _KnownKeys([f.relative_to(root) for f in files])
    builder = _Builder()
    reports = []
    for i, file in enumerate(files):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            reports.append(_report(file, root, known, builder))
        progress(i + 1, len(files))
    return ZooReport(reports)


def _report(file: Path, root: Path, known: _KnownKeys, builder: _Builder) -> FileReport:
    report = FileReport(file.relative_to(root).as_posix())
    try:
        read = load_config(file)
        report.read = True
        config = house_form(read)
        problems = check(config, files=False)
    except Exception as error:
        report.problem = str(error).partition('\n')[0]
        report.missing = _missing(error.problems if isinstance(error, ConfigError) else [])
        return report
    report.checked = not problems
    report.missing = _missing(problems)
    if problems:
        report.problem = str(problems[0])
    model = config.values.get('model')
    if not isinstance(model, Mapping):
        return report
    keys = builder.keys_of(model)
    report.built = keys is not None
    expected = known.of(file.relative_to(root))
    if keys is not None and expected is not None:
        report.keys_equal = keys == expected
    return report


def _missing(problems: Sequence[Problem]) -> list[str]:
    found = (UNKNOWN.match(problem.message) for problem in problems if problem.code == 'unknown-component')
    return sorted({match[1] for match in found if match})


class _Builder:
    """Builds models without memory; each only once."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def keys_of(self, model: Mapping[str, Any]) -> str | None:
        """The hash of the keys of a model, or None if it cannot be built."""
        text = json.dumps(to_jsonable(model), sort_keys=True, default=repr)
        if text not in self._known:
            self._known[text] = self._build(model)
        return self._known[text]

    @staticmethod
    def _build(model: Mapping[str, Any]) -> str | None:
        for device in ('meta', 'cpu'):  # some networks compute tables that they have to look into
            try:
                with torch.device(device):
                    return key_hash(build_model(without_pretrained(model), init=False))[:DIGITS]
            except NotImplementedError:
                continue
            except Exception as error:
                if device == 'cpu' or 'meta' not in str(error):
                    return None
        return None


def key_hash(model: nn.Module) -> str:
    """SHA-1 of the keys and shapes of a model: sorted lines ``key:2x3``."""
    lines = (f'{key}:{"x".join(map(str, value.shape))}' for key, value in sorted(model.state_dict().items()))
    return hashlib.sha1('\n'.join(lines).encode(), usedforsecurity=False).hexdigest()


class _KnownKeys:
    """The hashes of the release that a folder holds.

    Args:
        paths: All config files, below the folder.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        table = json.loads(lzma.decompress(TABLE.read_bytes()))
        self._by_root: dict[str, Mapping[str, str]] = {}
        by_root: dict[str, list[str]] = {}
        for path in paths:
            root, name = _split(path)
            by_root.setdefault(root, []).append(name)
        for root, names in by_root.items():
            zoo = max(table, key=lambda zoo: len(table[zoo].keys() & names))
            self._by_root[root] = table[zoo] if table[zoo].keys() & names else {}

    def of(self, path: Path) -> str | None:
        """The hash of a config file, if it is of a known release."""
        root, name = _split(path)
        return self._by_root[root].get(name)


def _split(path: Path) -> tuple[str, str]:
    """The part of a path up to its folder ``configs``, and the rest."""
    parts = path.parts
    places: Iterator[int] = (i for i, part in enumerate(parts) if part == 'configs')
    start = max(places, default=-1) + 1
    return '/'.join(parts[:start]), '/'.join(parts[start:])
