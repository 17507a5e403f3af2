"""Runs golden fixtures and reports which of them our components reproduce.

    make golden FIXTURES=golden.jsonl.xz

Prints a table by kind, zoo and family and writes one JSON line a fixture to ``golden-report.jsonl``. Ends with 1 if a
fixture whose components exist is unequal.
"""

from __future__ import annotations

import argparse
import importlib
import json
import lzma
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.golden.outcome import Outcome


def kind_of(record: Mapping[str, Any]) -> str:
    """What a record is a fixture of, told from its fields."""
    if 'file' in record:
        return 'loss' if 'model' in record else 'loss_module'
    if 'calls' in record:
        return 'forward'
    if 'epoch_length' in record:
        return 'schedule'
    return record.get('kind', 'metric')


RUNNERS = {
    'forward': 'forward', 'loss': 'losses', 'loss_module': 'losses', 'schedule': 'schedules',
    'pipeline': 'pipelines', 'transform': 'pipelines', 'batch': 'pipelines', 'metric': 'metrics',
}  # fmt: skip
"""Kind -> module of this package with ``run``."""


def run_record(record: Mapping[str, Any], folder: str) -> Outcome:
    """Run one fixture."""
    kind = kind_of(record)
    module = importlib.import_module(f'tests.golden.{RUNNERS[kind]}')
    try:
        return module.run(record, folder) if RUNNERS[kind] == 'pipelines' else module.run(record)
    except Exception as error:
        return Outcome(built=True, equal=False, error=f'{type(error).__name__}: {error}')


def zoo_of(record: Mapping[str, Any]) -> str | None:
    """The toolbox, or the generations, a fixture comes from."""
    if record.get('zoo') or record.get('package'):
        return record.get('zoo') or record['package']
    gen = record.get('gen')
    return None if gen is None else '+'.join(f'{g}.x' for g in (gen if isinstance(gen, list) else [gen]))


def family_of(record: Mapping[str, Any]) -> str:
    """The row of the table a fixture belongs to."""
    kind = kind_of(record)
    if kind == 'forward':
        return f'{record["model_type"]} {record.get("backbone")}'
    if kind == 'schedule':
        schedule = record.get('lr_config') or {}
        return str(schedule.get('policy', 'param_scheduler'))
    if kind == 'loss':
        return record['kind']
    if kind == 'loss_module':
        return record['loss']['type']
    if kind == 'metric':
        return f'{record["task"]} {record["function"].rsplit(".", 1)[-1]}'
    return record['task']


def read_records(file: Path) -> Iterator[dict[str, Any]]:
    """The records of a fixture file."""
    with lzma.open(file, 'rt', encoding='utf-8') if file.suffix == '.xz' else file.open(encoding='utf-8') as lines:
        yield from map(json.loads, lines)


def report_row(record: Mapping[str, Any], outcome: Outcome, default_id: str) -> dict[str, Any]:
    """The JSON line of a fixture."""
    return {
        'id': record.get('id', default_id),
        'kind': kind_of(record),
        'zoo': zoo_of(record),
        'config': record.get('config'),
        'built': outcome.built,
        'keys_equal': outcome.keys_equal,
        'equal': outcome.equal,
        'max_rel': outcome.max_rel,
        'missing': outcome.missing,
        'error': outcome.error,
    }


def print_table(counts: Mapping[tuple[str, str | None, str], Counter[str]], missing: Counter[str]) -> None:
    """Fixtures, built, keys equal, equal and missing, by kind, zoo and family."""
    columns = ('fixtures', 'built', 'keys', 'equal', 'missing')
    print(f'{"kind":12} {"zoo":18} {"family":48}' + ''.join(f'{c:>9}' for c in columns))
    total: Counter[str] = Counter()
    for (kind, zoo, family), row in sorted(counts.items(), key=str):
        print(f'{kind:12} {zoo or "":18.18} {family:48.48}' + ''.join(f'{row[c]:9}' for c in columns))
        total.update(row)
    print(f'{"all":80}' + ''.join(f'{total[c]:9}' for c in columns))
    if missing:
        print('most missed: ' + ', '.join(f'{name} ({n})' for name, n in missing.most_common(15)))


def main() -> int:
    """Run the fixtures of one file."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('fixtures', type=Path)
    parser.add_argument('--out', type=Path, default=Path('golden-report.jsonl'))
    parser.add_argument('--match', default='', help='only records whose JSON holds this text')
    args = parser.parse_args()
    torch.set_num_threads(2)
    counts: dict[tuple[str, str | None, str], Counter[str]] = defaultdict(Counter)
    missing: Counter[str] = Counter()
    unequal = []
    with tempfile.TemporaryDirectory() as folder, args.out.open('w', encoding='utf-8') as out:
        for number, record in enumerate(read_records(args.fixtures), 1):
            if args.match and args.match not in json.dumps(record):
                continue
            outcome = run_record(record, folder)
            row = report_row(record, outcome, f'{args.fixtures.name}:{number}')
            out.write(json.dumps(row) + '\n')
            missing.update(outcome.missing)
            count = counts[kind_of(record), zoo_of(record), family_of(record)]
            count.update(fixtures=1, built=outcome.built, keys=bool(outcome.keys_equal), equal=bool(outcome.equal),
                         missing=bool(outcome.missing))  # fmt: skip
            if outcome.built and not outcome.equal:
                unequal.append(row)
    print_table(counts, missing)
    for row in unequal:
        print(f'unequal: {row["kind"]} {row["zoo"]} {row["id"]}: max_rel {row["max_rel"]} {row["error"] or ""}')
    return 1 if unequal else 0


if __name__ == '__main__':
    sys.exit(main())
