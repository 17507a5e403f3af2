"""Checkpoints with objects of the packages that wrote them: read without these packages, and without running code."""

from __future__ import annotations

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

PACKAGES = frozenset(
    {'addict', 'argparse', 'mmaction', 'mmcls', 'mmcv', 'mmdet', 'mmengine', 'mmpose', 'mmpretrain', 'mmseg',
     'omegaconf', 'pathlib', 'timm', 'yacs'}
)  # fmt: skip
"""Whose objects are replaced; a checkpoint with those of others is refused, for they may be more than a record."""

BOUND_METHOD = 'builtins.getattr'
"""How MMEngine's records of logged values refer to their own methods; it is replaced as well."""

DICTS = ('Dict', 'CfgNode')
"""Ends of the names of classes that are dicts."""

REFUSED = re.compile(r'Unsupported (?:global|class): GLOBAL (\S+)|WeightsUnpickler error: .*?(\S+) was not')
"""How PyTorch says which object it does not read."""


class ForeignObject:
    """Stands in the place of an object of another package: it has the object's parts, and can do nothing.

    Attributes:
        parts: What the object was made of.
    """

    parts: list[Any]

    def __new__(cls, *args: Any, **entries: Any) -> ForeignObject:
        """An object of these arguments; it may be made without ``__init__``."""
        made = super().__new__(cls)
        made.parts = [*args, *([entries] if entries else [])]
        return made

    def __setstate__(self, state: Any) -> None:
        self.parts.append(state)


class ForeignDict:
    """Called in the place of another package's kind of dict, such as a config: gives a plain one."""

    def __new__(cls, *args: Any) -> Any:
        """The entries that are given here; the rest is put in later."""
        found: OrderedDict[Any, Any] = OrderedDict()
        for each in args:
            if isinstance(each, Mapping):
                found.update(each)
        return found


def load_safely(path: str | os.PathLike[str], map_location: str | torch.device) -> Any:
    """What a file of ``torch.save`` holds: tensors, plain values, arrays, and what stands for other objects.

    Raises:
        pickle.UnpicklingError: It holds an object of a package that is not known here.
    """
    stand_ins: list[Any] = []
    while True:
        try:
            with torch.serialization.safe_globals([*_numpy_values(), *stand_ins]):
                return torch.load(path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            name = refused_object(error)
            if name is None or any(name == each[1] for each in stand_ins):
                raise
            if name.partition('.')[0] not in PACKAGES and name != BOUND_METHOD:
                raise
            stand_ins.append((ForeignDict if name.endswith(DICTS) else ForeignObject, name))


def refused_object(error: Exception) -> str | None:
    """Dotted name of the object for which PyTorch refuses to read a checkpoint; None if that is not the reason."""
    match = REFUSED.search(str(error))
    if match is None:
        return None
    name = next(group for group in match.groups() if group)
    return name if '.' in name else f'builtins.{name}'


def _numpy_values() -> list[Any]:
    """What it takes to read numbers and arrays of numpy: the old toolboxes store best scores, palettes and the like."""
    scalar: Any = np.float64(0).__reduce__()[0]
    rebuild: Any = np.zeros(1).__reduce__()[0]
    kinds = ('bool', 'uint8', 'int32', 'int64', 'float16', 'float32', 'float64', 'U1')
    modules = ('numpy.core.multiarray', 'numpy._core.multiarray')
    return [
        *[(scalar, f'{module}.scalar') for module in modules],
        *[(rebuild, f'{module}._reconstruct') for module in modules],
        np.ndarray, np.dtype, *[type(np.dtype(kind)) for kind in kinds],
    ]  # fmt: skip
