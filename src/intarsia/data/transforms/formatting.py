"""The last steps of a pipeline: arrays to tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from intarsia.core.registries import TRANSFORMS
from intarsia.data.collate import Unstacked
from intarsia.data.transforms.transform import Results, Transform


def to_tensor(data: Any) -> torch.Tensor:
    """A tensor of an array, a number (one element), or a sequence of numbers.

    Args:
        data: Arrays share their memory with the tensor where torch allows it; ints become int64, floats float32.

    Raises:
        TypeError: Anything else.
    """
    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return torch.from_numpy(data if _has_torch_layout(data) else data.copy())
    if isinstance(data, (bool, int, np.integer)):
        return torch.tensor([int(data)])
    if isinstance(data, (float, np.floating)):
        return torch.tensor([float(data)])
    if isinstance(data, Sequence) and not isinstance(data, str):
        return torch.tensor(data)
    raise TypeError(f'a {type(data).__name__} cannot become a tensor: {data!r}')


def _has_torch_layout(array: np.ndarray[Any, Any]) -> bool:
    return array.flags.writeable and all(stride >= 0 for stride in array.strides)


class _OfKeys(Transform):
    """A step that changes the values of some keys.

    Args:
        keys: Of the results.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def convert(self, value: Any) -> Any:
        """The new value of a key."""
        raise NotImplementedError(f'{type(self).__name__} has no convert')

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Convert; nothing is drawn."""
        for key in self.keys:
            results[key] = self.convert(results[key])
        return results


@TRANSFORMS.register_module()
class ToTensor(_OfKeys):
    """Convert values to tensors; see :func:`to_tensor`.

    Args:
        keys: Of the results.
    """

    keeps_pixels = True

    def convert(self, value: Any) -> torch.Tensor:
        """See :func:`to_tensor`."""
        return to_tensor(value)


@TRANSFORMS.register_module()
class ImageToTensor(_OfKeys):
    """Convert images ``(H, W, C)`` or ``(H, W)`` to tensors ``(C, H, W)`` of the same dtype.

    Args:
        keys: Of the results.
    """

    keeps_pixels = True

    def convert(self, value: Any) -> torch.Tensor:
        """A view of the image where possible; batching copies it anyway."""
        return to_tensor(np.atleast_3d(value)).permute(2, 0, 1)


@TRANSFORMS.register_module()
class Transpose(_OfKeys):
    """Reorder the axes of arrays.

    Args:
        keys: Of the results.
        order: Which old axis each new one is.
    """

    keeps_pixels = True

    def __init__(self, keys: Sequence[str], order: Sequence[int]) -> None:
        super().__init__(keys)
        self.order = order

    def convert(self, value: Any) -> Any:
        """A view with other axes."""
        return value.transpose(self.order)


@TRANSFORMS.register_module()
class ToHalf(_OfKeys):
    """Convert tensors and arrays to half precision (float16).

    Args:
        keys: Of the results.
    """

    def convert(self, value: Any) -> Any:
        """The value as float16."""
        return value.half() if isinstance(value, torch.Tensor) else value.astype(np.float16)


@TRANSFORMS.register_module()
class ToDataContainer(Transform):
    """Say which values a batch holds as a list, because their shapes differ from sample to sample.

    Args:
        fields: Dicts with ``key``; those with ``stack=False`` become lists. Other entries are not used.
    """

    def __init__(self, fields: Sequence[Mapping[str, Any]]) -> None:
        self.fields = fields

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Mark them; nothing is drawn."""
        for field in self.fields:
            if not field.get('stack', False):
                results[field['key']] = Unstacked(results[field['key']])
        return results


@TRANSFORMS.register_module()
class ToPIL(Transform):
    """Turn ``img`` into a Pillow image, for steps that want one. The order of its channels is kept."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Convert; nothing is drawn."""
        results['img'] = Image.fromarray(results['img'])
        return results


@TRANSFORMS.register_module()
class ToNumpy(Transform):
    """Turn ``img`` into a float32 array."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Convert; nothing is drawn."""
        results['img'] = np.array(results['img'], np.float32)
        return results


@TRANSFORMS.register_module()
class WrapFieldsToLists(Transform):
    """Make each value a list with one element, as models tested with several views of an image expect."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Wrap; nothing is drawn."""
        return {key: [value] for key, value in results.items()}
