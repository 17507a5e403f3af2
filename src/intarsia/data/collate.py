"""Samples -> batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch


@runtime_checkable
class Batched(Protocol):
    """A value of a sample that says itself what a batch holds of it."""

    def batch_of(self, values: Sequence[Any]) -> Any:
        """What a batch holds of the values of its samples, this one first: a tensor or a list.

        Args:
            values: The values of all samples, of the same kind.
        """
        ...


class Unstacked(NamedTuple):
    """A value of a sample that batches hold as a list, for its shape differs from sample to sample."""

    value: Any

    def batch_of(self, values: Sequence[Any]) -> list[Any]:
        """The values in a list."""
        return [each.value for each in values]


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join samples key by key: tensors, arrays and numbers are stacked, everything else becomes a list.

    Several versions of an image, as test-time augmentation makes them, come as lists of equal length: the first ones
    are joined with each other, the second ones, and so on. A single version is joined as if it were no list.

    Args:
        samples: Dicts with equal keys.

    Returns:
        A dict of tensors with a leading batch axis, and lists; of augmented images lists of tensors.

    Raises:
        ValueError: Samples differ in their keys, or in the shape of what is to be stacked.
    """
    keys = samples[0].keys()
    for sample in samples:
        if sample.keys() != keys:
            raise ValueError(f'samples of one batch differ in their keys: {sorted(keys ^ sample.keys())}')
    return {key: _join(key, [sample[key] for sample in samples]) for key in keys}


def _join(key: str, values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Batched):
        return first.batch_of(values)
    if isinstance(first, list) and first and all(isinstance(each, list) and len(each) == len(first) for each in values):
        versions = [_join(key, list(each)) for each in zip(*values, strict=True)]
        return versions[0] if len(versions) == 1 else versions
    if isinstance(first, np.ndarray):
        values = [torch.from_numpy(np.ascontiguousarray(v)) for v in values]
        first = values[0]
    if isinstance(first, torch.Tensor):
        shapes = {tuple(v.shape) for v in values}
        if len(shapes) > 1:
            raise ValueError(
                f"'{key}' has different shapes in one batch: {sorted(shapes)}. "
                'Resize, crop or pad to one size in the pipeline, use batches of one, or make it a list: '
                f"dict(type='ToDataContainer', fields=[dict(key='{key}', stack=False)])."
            )
        return torch.stack(values, out=_shared(first, len(values)))
    if isinstance(first, (bool, int, float, np.number)):
        return torch.as_tensor(np.asarray(values))
    return values


def _shared(first: torch.Tensor, count: int) -> torch.Tensor | None:
    """Within a worker, memory the main process can read without a copy."""
    if torch.utils.data.get_worker_info() is None:
        return None
    storage = first._typed_storage()._new_shared(first.numel() * count, device=first.device)
    return first.new(storage).resize_(count, *first.shape)
