"""Files of skeletons: pickles of the older toolboxes, read without running what is in them, and ``.npz``.

Shapes: m people, t frames, v joints.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError

ALLOWED = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'),
    *((f'numpy.{core}.multiarray', name) for core in ('core', '_core') for name in ('_reconstruct', 'scalar')),
    *((f'numpy.{core}.numeric', '_frombuffer') for core in ('core', '_core')),
    ('_codecs', 'encode'), ('builtins', 'set'), ('builtins', 'frozenset'), ('collections', 'OrderedDict'),
    ('collections', 'defaultdict'), ('builtins', 'dict'), ('builtins', 'list'), ('builtins', 'tuple'),
    ('builtins', 'bytes'),
}  # fmt: skip
"""What a pickle of arrays and plain containers is made of."""


class PlainUnpickler(pickle.Unpickler):
    """Reads what is of :data:`ALLOWED` alone."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of that name.

        Raises:
            DataError: It is not allowed.
        """
        module = 'builtins' if module == '__builtin__' else module  # their name in Python 2, and in its protocols
        if (module, name) not in ALLOWED:
            raise DataError(f'it holds {module}.{name}, and only arrays and plain values are read')
        return super().find_class(module, name)


def read_pickle(file: Path) -> Any:
    """Arrays and plain containers from a pickle; nothing in it is run.

    Raises:
        DataError: The file is missing or broken, or holds anything else.
    """
    if not file.is_file():
        raise DataError(f'there is no file {file.absolute()}')
    try:
        return PlainUnpickler(io.BytesIO(file.read_bytes())).load()
    except DataError as error:
        raise DataError(f'{file}: {error}') from None
    except Exception as error:
        raise DataError(f'{file} cannot be read: {type(error).__name__}: {error}') from error


def read_npz(file: Path, split: str | None) -> tuple[list[dict[str, Any]], list[str] | None]:
    """Samples from arrays, and the names of their classes.

    The arrays: ``keypoint`` ``(all frames, V, 2)`` in pixels; ``visible`` or ``score`` ``(all frames, V)``, if known;
    ``start``, ``length`` and ``label``, one for each clip; ``split`` and ``name``, if there are several; ``img_shape``
    and ``classes``.

    Raises:
        DataError: The file is missing or broken, or lacks one of them.
    """
    if not file.is_file():
        raise DataError(f'there is no file {file.absolute()}')
    try:
        with np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
    except Exception as error:
        raise DataError(f'{file} cannot be read: {type(error).__name__}: {error}') from error
    missing = [name for name in ('keypoint', 'start', 'length', 'label') if name not in arrays]
    if missing:
        raise DataError(f'{file} has no {", ".join(missing)}, only {", ".join(arrays)}')
    splits = arrays.get('split')
    if split is not None and (splits is None or split not in splits):
        known = 'none' if splits is None else ', '.join(sorted({str(each) for each in splits}))
        raise DataError(f"{file} has no split '{split}'; it has {known}")
    samples = [_sample(arrays, i) for i in range(len(arrays['start'])) if split is None or str(splits[i]) == split]  # type: ignore[index]
    return samples, [str(name) for name in arrays['classes']] if 'classes' in arrays else None


def _sample(arrays: dict[str, np.ndarray], i: int) -> dict[str, Any]:
    rows = slice(int(arrays['start'][i]), int(arrays['start'][i] + arrays['length'][i]))
    sample: dict[str, Any] = {
        'frame_dir': str(arrays['name'][i]) if 'name' in arrays else str(i),
        'keypoint': arrays['keypoint'][rows][None],
        'label': int(arrays['label'][i]),
        'total_frames': int(arrays['length'][i]),
    }
    score = arrays.get('score', arrays.get('visible'))
    if score is not None:
        sample['keypoint_score'] = (score[rows] / max(float(score.max()), 1.0)).astype(np.float16)[None]
    if 'img_shape' in arrays:
        sample['img_shape'] = sample['original_shape'] = tuple(int(side) for side in arrays['img_shape'])
    return sample
