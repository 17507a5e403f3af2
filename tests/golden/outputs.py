"""Compares arrays and meta data with what a data fixture stores, within its tolerance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.golden.inputs import check, rms, value_deviations
from tests.golden.outcome import Outcome

TOLERANCE = 1e-5
"""Of float outputs, relative to their RMS."""
META_TOLERANCE = 1e-6
MEAN_TOLERANCE = 1e-3
"""Of the mean where single pixels may be off, relative to the RMS."""

Node = dict[str, Any]
Named = dict[str, Any]


@dataclass(frozen=True)
class Slack:
    """How far single pixels may be off.

    Attributes:
        gray_levels: Of one pixel.
        share: Of the stored pixels that are off at all.
    """

    gray_levels: float
    share: float = 1.0


OTHER_MACHINE = Slack(3)
"""For records with ``varies``, on other processors; and for Pillow's resize, which version 13 rounds in another way."""
OTHER_OPENCV = Slack(2, share=1 / 32)
"""For rotation, shear and translation: OpenCV 5 weighs bicubic neighbours in another way."""
WARPS = ('Rotate', 'Shear', 'Translate')


def compare(record: Mapping[str, Any], results: Named) -> Outcome:
    """Compare results with what a record stores."""
    lacking = [o['name'] for o in record['outputs'] if o['name'] not in results]
    lacking += [name for name in record['meta'] if name not in results]
    if lacking:
        return Outcome(built=True, keys_equal=False, equal=False, error=f'not among the results: {", ".join(lacking)}')
    worst, wrong = 0.0, []
    for stored in record['outputs']:
        deviation, fits = compare_output(np.asarray(results[stored['name']]), stored, record)
        worst = max(worst, deviation)
        wrong += [] if fits else [stored['name']]
    wrong += [name for name, value in record['meta'].items() if not same_meta(name, results[name], value)]
    error = f'differ: {", ".join(wrong)}' if wrong else None
    return Outcome(built=True, keys_equal=True, equal=not wrong, max_rel=worst, error=error)


def compare_output(array: np.ndarray, stored: Node, record: Mapping[str, Any]) -> tuple[float, bool]:
    """The deviation of one output, and whether it is within its tolerance."""
    if list(array.shape) != stored['shape'] or str(array.dtype) != stored['dtype']:
        return math.inf, False
    deviation = check(array, stored)
    slack = slack_of(record)
    if deviation <= TOLERANCE or slack is None:
        return deviation, deviation <= TOLERANCE
    values = array.reshape(-1)
    off = value_deviations(values, stored) / gray_level(record, stored)
    off_mean = abs(values.mean(dtype=np.float64) - stored['mean']) / rms(stored, values.size)
    fits = off.max() <= slack.gray_levels and (off > TOLERANCE).mean() <= slack.share and off_mean <= MEAN_TOLERANCE
    return off_mean, bool(fits)


def slack_of(record: Mapping[str, Any]) -> Slack | None:
    """How far single pixels of a record may be off; None if not at all."""
    config = json.dumps(record.get('pipeline', record.get('transform')))
    if 'varies' in record or '"backend": "pillow"' in config:
        return OTHER_MACHINE
    return OTHER_OPENCV if any(f'"type": "{name}"' in config for name in WARPS) else None


def gray_level(record: Mapping[str, Any], stored: Node) -> float:
    """How much one grey level is in an output: less after normalization."""
    if stored['dtype'] == 'uint8':
        return 1.0
    steps = [n for n in record.get('pipeline', ()) if n['type'] == 'Normalize']
    std = (steps[0] if steps else record.get('preprocessor') or {}).get('std') or [1.0]
    return 1 / min(std)


def same_meta(name: str, value: Any, stored: Any) -> bool:
    """Whether scalars, strings and lists of them agree; the newer generation gives shapes without channels, scales once."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(stored, list):
        value = list(value)[: len(stored)] if name.endswith(('_shape', 'scale_factor')) else list(value)
        return len(value) == len(stored) and all(same_meta('', v, s) for v, s in zip(value, stored, strict=True))
    if isinstance(stored, float):
        return math.isclose(float(value), stored, rel_tol=META_TOLERANCE, abs_tol=META_TOLERANCE)
    return bool(value == stored)
