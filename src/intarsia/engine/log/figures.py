"""Pictures of what a log says."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intarsia.core.errors import IntarsiaError


def new_figure(num_axes: int, size_inches: tuple[float, float]) -> tuple[Any, Sequence[Any]]:
    """A matplotlib figure with axes side by side, drawn without a display.

    Raises:
        IntarsiaError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise IntarsiaError("pictures of a run need matplotlib: pip install 'intarsia[plot]'") from error
    figure = Figure(figsize=size_inches, layout='constrained')
    return figure, figure.subplots(1, num_axes, squeeze=False)[0]


def read_records(json_log: Path) -> list[dict[str, Any]]:
    """The records of a ``.log.json``; lines that were cut off are left out."""
    records = []
    for line in json_log.read_text(encoding='utf-8').splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if 'mode' in record:
            records.append(record)
    return records


def draw_curves(records: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw losses, metrics and the learning rate of a run over its records.

    Args:
        records: As :func:`read_records` gives them.
        file: ``.png``, ``.svg`` or ``.pdf``.
    """
    lines = _series(records)
    panels = [p for p in ('loss', 'metric', 'lr') if lines[p]]
    figure, axes = new_figure(max(len(panels), 1), (4.6 * max(len(panels), 1), 3.4))
    for ax, panel in zip(axes, panels, strict=False):
        for name, points in lines[panel].items():
            x, y = zip(*points, strict=True)
            ax.plot(x, y, label=name, marker='.' if len(x) < 30 else None, linewidth=1.4)
        ax.set_xlabel('epoch')
        ax.set_title({'loss': 'loss', 'metric': 'validation', 'lr': 'learning rate'}[panel])
        ax.grid(alpha=0.3)
        if len(lines[panel]) > 1 or panel == 'metric':
            ax.legend(fontsize=8)
    figure.savefig(file, dpi=130)


def _series(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Points by panel and name; x counts epochs."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {p: defaultdict(list) for p in ('loss', 'metric', 'lr')}
    epoch_length = max((r['iter'] for r in records if r['mode'] == 'train'), default=1)
    for record in records:
        is_train = record['mode'] == 'train'
        x = record['epoch'] - 1 + record['iter'] / epoch_length if is_train else float(record['epoch'])
        for name, value in record.items():
            if name in ('mode', 'epoch', 'iter', 'time', 'data_time', 'memory') or not isinstance(value, (int, float)):
                continue
            if name == 'lr':
                lines['lr'][name].append((x, value))
            elif 'loss' in name:
                lines['loss'][name if is_train else f'validation {name}'].append((x, value))
            elif not is_train:
                lines['metric'][name].append((x, value))
    return lines
