"""Inputs of the data fixtures, made from their names, and the comparison with stored outputs.

Everything is drawn from one generator a name, with integers only, so that it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CELL = 8
"""Images and masks are made of cells of so many pixels a side."""

NUM_SAMPLES = 64
"""At most so many elements of an output are stored."""


def generator(name: str) -> np.random.Generator:
    """The generator that belongs to a name."""
    return np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))


# ---------------------------------------------------------------------- arrays


def image(name: str, shape: Sequence[int]) -> Array:
    """Uint8 ``(h, w)`` or ``(h, w, c)``: a coarse random grid, interpolated, with noise."""
    height, width, channels = (*shape, 1)[:3]
    g = generator(name)
    grid = g.integers(0, 256, (height // CELL + 2, width // CELL + 2, channels))
    noise = g.integers(-24, 25, (height, width, channels))
    row, v = np.divmod(np.arange(height), CELL)
    column, u = np.divmod(np.arange(width), CELL)
    v, u = v[:, None, None], u[None, :, None]
    lines = grid[row] * (CELL - v) + grid[row + 1] * v
    smooth = (lines[:, column] * (CELL - u) + lines[:, column + 1] * u) // CELL**2
    return np.clip(smooth + noise, 0, 255).astype(np.uint8).reshape(shape)


def mask(name: str, shape: Sequence[int], classes: int) -> Array:
    """Uint8 ``(h, w)``: one label a cell, 0 ... classes - 1, or 255."""
    height, width = shape
    labels = generator(name).integers(0, classes + 1, (height // CELL + 1, width // CELL + 1))
    cells = np.where(labels == classes, 255, labels).astype(np.uint8)
    return cells.repeat(CELL, axis=0).repeat(CELL, axis=1)[:height, :width]


def video(name: str, shape: Sequence[int]) -> Array:
    """Uint8 ``(t, h, w[, c])``: frame i is the image ``name.i``."""
    return np.stack([image(f'{name}.{i}', shape[1:]) for i in range(shape[0])])


def points(name: str, shape: Sequence[int], size: Sequence[int], margin: int = 0) -> Array:
    """Float32 ``(..., d)``: eighths in ``[-margin, size + margin)``, drawn axis by axis."""
    g = generator(name)
    axes = [g.integers(-8 * margin, 8 * (extent + margin), tuple(shape[:-1])) for extent in size]
    return np.stack(axes, axis=-1).astype(np.float32) / 8


def choice(name: str, shape: Sequence[int], values: Sequence[Any], dtype: str = 'float32') -> Array:
    """One of ``values`` for each element."""
    return np.asarray(values, dtype)[generator(name).integers(0, len(values), tuple(shape))]


def scores(name: str, shape: Sequence[int]) -> Array:
    """Float32: multiples of 1/128 in (0, 1]."""
    return (generator(name).integers(1, 129, tuple(shape)) / 128).astype(np.float32)


def normals(name: str, shape: Sequence[int]) -> Array:
    """Float32 standard normals."""
    count = int(np.prod(shape))
    return generator(name).standard_normal(count, dtype=np.float32).reshape(tuple(shape))


def skeleton(name: str, shape: Sequence[int], size: Sequence[int], still: int = 0) -> Array:
    """Float32 ``(m, t, v, c)``: poses that drift slowly; the last ``still`` frames of all but the first are zero."""
    people, frames, joints, _ = shape
    g = generator(name)
    rest = np.stack([g.integers(extent, 7 * extent, (people, 1, joints)) for extent in size], axis=-1)
    moved = (rest + g.integers(-4, 5, tuple(shape)).cumsum(axis=1)).astype(np.float32) / 8
    if still:
        moved[1:, frames - still :] = 0
    return moved


MAKERS: dict[str, Callable[..., Array]] = {
    'image': image,
    'mask': mask,
    'video': video,
    'points': points,
    'choice': choice,
    'scores': scores,
    'normals': normals,
    'skeleton': skeleton,
}


# ---------------------------------------------------------------------- dictionaries of them


def tuples(node: Any) -> Any:
    """A config as JSON holds it, ``{'__tuple__': [...]}`` becoming a tuple."""
    if isinstance(node, dict):
        return tuple(map(tuples, node['__tuple__'])) if '__tuple__' in node else {k: tuples(v) for k, v in node.items()}
    return [tuples(each) for each in node] if isinstance(node, list) else node


def make(node: Any, folder: str | Path) -> Any:
    """The inputs a record describes; image files are written below ``folder``, their paths take their place."""
    if isinstance(node, list):
        return [make(each, folder) for each in node]
    if not isinstance(node, dict):
        return node
    if '__tuple__' in node:
        return tuple(make(each, folder) for each in node['__tuple__'])
    if '__array__' in node:
        return np.array(node['__array__'], node['dtype'])
    if '__make__' in node:
        arguments = {key: value for key, value in node.items() if not key.startswith('__')}
        return MAKERS[node['__make__']](node['__name__'], **arguments)
    if '__npy__' in node:
        path = Path(folder, node['__npy__'])
        np.save(path, make(node['of'], folder))
        return str(path)
    if '__file__' in node:
        return _write_files(node, make(node['of'], folder), Path(folder))
    return {key: make(value, folder) for key, value in node.items()}


def _write_files(node: dict[str, Any], content: Array, folder: Path) -> str:
    """One PNG, whose path is returned, or the numbered ones of a video, whose folder is."""
    path = Path(folder, node['__file__'])
    path.parent.mkdir(parents=True, exist_ok=True)
    if '{' not in path.name:
        write_png(path, content)
        return str(path)
    for number, frame in enumerate(content, node['start']):
        for i, field in enumerate(node.get('fields', [])):
            whole = frame.ndim == 2 or frame.shape[2] == 3
            write_png(Path(str(path).format(field, number)), frame if whole else frame[..., i])
        if 'fields' not in node:
            write_png(Path(str(path).format(number)), frame)
    return str(path.parent)


def write_png(path: Path, content: Array) -> None:
    """A PNG file; ``(h, w)``, or ``(h, w, 3)`` in RGB order."""
    if not path.exists():
        cv2.imwrite(str(path), content if content.ndim == 2 else content[..., ::-1])


# ---------------------------------------------------------------------- outputs


def sample_indices(name: str, size: int) -> Array:
    """Which elements of an array, in C order, are stored under a name."""
    return np.arange(size) if size <= NUM_SAMPLES else generator(name).integers(0, size, size=NUM_SAMPLES)


def check(array: Array, stored: dict[str, Any]) -> float:
    """How far an array of the right shape is from a stored one.

    Returns:
        For integers 0 (equal) or 1; for floats the greatest deviation of the stored elements, the mean and the
        standard deviation, relative to the root mean square.
    """
    if array.size == 0:
        return 0.0
    if 'sha1' in stored:
        return float(hashlib.sha1(np.ascontiguousarray(array).tobytes()).hexdigest()[:12] != stored['sha1'])
    values = np.ascontiguousarray(array).reshape(-1).astype(np.float64)
    if 'nonfinite' in stored:
        return float(np.count_nonzero(~np.isfinite(values)) != stored['nonfinite'])
    return max(value_deviations(values, stored).max(), *_moments(values, stored)) / rms(stored, values.size)


def value_deviations(values: Array, stored: dict[str, Any]) -> Array:
    """The deviations of the stored elements of a flat array, in its own unit."""
    sampled = values[sample_indices(stored['name'], values.size)].astype(np.float64)
    return np.abs(sampled - np.array(stored['values']))


def rms(stored: dict[str, Any], size: int) -> float:
    """Root mean square of a stored array, 1 if it is zero."""
    return stored['l2'] / size**0.5 or 1.0


def _moments(values: Array, stored: dict[str, Any]) -> tuple[float, float]:
    return abs(values.mean() - stored['mean']), abs(values.std() - stored['std'])
