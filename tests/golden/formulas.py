"""The inputs of metric fixtures, which are written as formulas, and the comparison of what a metric gave.

A formula is an expression over NumPy and a few functions, whose random ones draw from the stream of a name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tests.golden.fill import generator, normals, sample_indices, tuples

TOLERANCE = (1e-5, 1e-6)
"""Relative and absolute."""
OF_GREATEST = 1e-6
"""What is added to the absolute tolerance of an array, as a part of its greatest value."""


# ---------------------------------------------------------------------- what formulas are made of


def z(name: str, *shape: int) -> np.ndarray:
    """Standard normals, float32."""
    return normals(name, shape)


def ints(name: str, low: int, high: int, *shape: int) -> np.ndarray:
    """Integers from ``low`` to ``high - 1``, int64."""
    return generator(name).integers(low, high, size=math.prod(shape)).reshape(shape)


def u(name: str, *shape: int) -> np.ndarray:
    """Uniform in [0, 1), float64."""
    return generator(name).random(math.prod(shape)).reshape(shape)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Computed in float64, given as float32."""
    shifted = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True).astype(np.float64))
    return (shifted / shifted.sum(axis, keepdims=True)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Computed in float64, given as float32."""
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


def onehot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Float32 ``(..., C)``."""
    return np.eye(num_classes, dtype=np.float32)[labels]


def blocks(name: str, height: int, width: int, num: int, size: int = 4, dtype: Any = np.int64) -> np.ndarray:
    """A label map ``(H, W)`` of squares with the labels 0 ... ``num`` - 1."""
    labels = ints(name, 0, num, -(-height // size), -(-width // size))
    return labels.repeat(size, axis=0).repeat(size, axis=1)[:height, :width].astype(dtype)


def segments(name: str, n: int, scale: float = 1.0, short: float = 0.05, long: float = 0.5) -> np.ndarray:
    """Begins and ends within 0 ... ``scale``, in order, float64 ``(n, 2)``."""
    length = short + (long - short) * u(name + '.len', n)
    start = (1 - length) * u(name, n)
    found = np.stack([start, start + length], 1)
    return found[np.argsort(found[:, 0], kind='stable')] * scale


def put(array: np.ndarray, value: Any, *index: Any) -> np.ndarray:
    """A copy with one assignment."""
    copy = np.array(array)
    copy[index] = value
    return copy


NAMES: dict[str, Any] = {f.__name__: f for f in (z, ints, u, softmax, sigmoid, onehot, blocks, segments, put)} | {
    'np': np
}


def evaluate(value: Any) -> Any:
    """A record's value with its formulas computed."""
    if isinstance(value, str) and value.startswith('='):
        return eval(value[1:], dict(NAMES))
    if isinstance(value, Mapping):
        return {key: evaluate(each) for key, each in value.items()}
    return [evaluate(each) for each in value] if isinstance(value, list) else value


def inputs_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The named inputs of a record."""
    return {name: evaluate(tuples(value)) for name, value in record['inputs'].items()}


# ---------------------------------------------------------------------- results


def flatten(result: Any, name: str = '') -> dict[str, Any]:
    """A nested result by dotted names; a list of numbers is one array, an empty container is its length 0."""
    if isinstance(result, torch.Tensor):
        result = result.detach().cpu().numpy()
    if isinstance(result, Mapping):
        children = {str(key): value for key, value in result.items()}
    elif isinstance(result, (list, tuple)):
        if result and all(isinstance(value, (int, float, np.number)) for value in result):
            return {name or 'out': np.array(result)}
        children = {str(i): value for i, value in enumerate(result)}
    else:
        return {name or 'out': result}
    if not children:
        return {f'{name}.len' if name else 'len': 0}
    return {
        inner: value
        for key, child in children.items()
        for inner, value in flatten(child, f'{name}.{key}' if name else key).items()
    }


def compare(record: Mapping[str, Any], result: Any) -> tuple[bool, float, list[str]]:
    """Compare a result with what a record stores.

    Returns:
        Whether the names agree; the greatest deviation, in parts of what is tolerated; the names whose values differ.
    """
    stored, found = record['outputs'], flatten(result)
    if stored.keys() != found.keys():
        return False, math.inf, sorted(stored.keys() ^ found.keys())
    tolerance = record.get('tolerance') or TOLERANCE
    deviations = {name: _deviation(name, found[name], stored[name], tolerance) for name in stored}
    return True, max(deviations.values(), default=0.0), [name for name, off in deviations.items() if off > 1]


def _deviation(name: str, found: Any, stored: Any, tolerance: Sequence[float]) -> float:
    """The greatest deviation in parts of what is tolerated."""
    if found is None or isinstance(found, str) or stored is None or isinstance(stored, str):
        return 0.0 if found == stored else math.inf
    relative, absolute = tolerance
    array = np.asarray(found, np.float64)
    if not isinstance(stored, Mapping):
        return _worst(array.reshape(-1), np.array([stored], np.float64), relative, absolute)
    if array.size != math.prod(stored['shape']) or (array.ndim and list(array.shape) != stored['shape']):
        return math.inf
    values = np.array(stored['values'], np.float64)
    finite = np.abs(values[np.isfinite(values)])
    absolute += OF_GREATEST * float(finite.max(initial=0.0))
    pairs = [(array.reshape(-1)[sample_indices(name, array.size)], values)]
    pairs += [(np.array([m]), np.array([stored[k]], np.float64)) for k, m in _moments(array).items() if k in stored]
    return max(_worst(mine, theirs, relative, absolute) for mine, theirs in pairs)


def _moments(array: np.ndarray) -> dict[str, float]:
    finite = array[np.isfinite(array)]
    return {
        'mean': finite.mean() if finite.size else math.nan,
        'std': finite.std() if finite.size else math.nan,
        'l2': float(np.sqrt((finite**2).sum())),
        'nonfinite': array.size - finite.size,
    }


def _worst(found: np.ndarray, stored: np.ndarray, relative: float, absolute: float) -> float:
    if found.shape != stored.shape:
        return math.inf
    same = (found == stored) | (np.isnan(found) & np.isnan(stored))
    off = np.abs(found - stored) / (absolute + relative * np.abs(stored))
    return float(np.where(same, 0.0, np.where(np.isfinite(off), off, math.inf)).max(initial=0.0))
