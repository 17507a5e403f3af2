"""The last steps of pose pipelines: images to tensors, and what leaves.

Shapes: c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.device import DeviceNormalize
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Compose, Results, Transform

UNIT = torch.arange(256).float().div(255).numpy()
"""What each grey value becomes."""


@TRANSFORMS.register_module()
class ToTensor(Transform):
    """Turn ``img`` ``(H, W, C)``, 0 ... 255, into a float32 tensor ``(C, H, W)``, 0 ... 1."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Convert; nothing is drawn."""
        results['img'] = _to_unit(np.atleast_3d(results['img']))
        return results


def _to_unit(img_hwc: Array) -> torch.Tensor:
    if img_hwc.dtype != np.uint8:
        return torch.from_numpy(img_hwc.transpose(2, 0, 1).astype(np.float32)).div(255)
    out_chw = np.empty((img_hwc.shape[2], *img_hwc.shape[:2]), np.float32)
    for plane_hw, target_hw in zip(cv2.split(img_hwc), out_chw, strict=True):
        cv2.LUT(plane_hw, UNIT, target_hw)
    return torch.from_numpy(out_chw)


@TRANSFORMS.register_module()
class NormalizeTensor(Transform):
    """Subtract a mean from the tensor ``img`` and divide it by a standard deviation, by channel.

    Args:
        mean: Of every channel, for values of 0 ... 1.
        std: Likewise.
    """

    before_device: ClassVar[Mapping[str, Any]] = {'ToTensor': dict(type='ImageToTensor', keys=['img'])}

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = tuple(mean), tuple(std)
        if len(self.mean) != len(self.std):
            raise ValueError(f'NormalizeTensor got {len(self.mean)} means and {len(self.std)} standard deviations')
        self._mean, self._std = (torch.tensor(each, dtype=torch.float32)[:, None, None] for each in (mean, std))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Normalize; nothing is drawn."""
        results['img'] = (results['img'] - self._mean).div_(self._std)
        return results

    @staticmethod
    def on_device(mean: Sequence[float], std: Sequence[float]) -> DeviceNormalize:
        """``ToTensor`` and this step for a batch of images ``(N, C, H, W)`` of 0 ... 255."""
        return UnitNormalize(mean, std)


class UnitNormalize(DeviceNormalize):
    """Maps 0 ... 255 to 0 ... 1 and normalises, to the very numbers of ``ToTensor`` and ``NormalizeTensor``.

    Args:
        mean: Of every channel, for values of 0 ... 1.
        std: Likewise.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(mean, std, to_rgb=False)
        self.table = torch.stack([self.calculate(torch.arange(256), channel) for channel in range(len(mean))])

    def calculate(self, plane: torch.Tensor, channel: int) -> torch.Tensor:
        """In float32, one step after the other."""
        return plane.float().div(255).sub(float(self.mean[channel])).div(float(self.std[channel]))


@TRANSFORMS.register_module()
class Collect(Transform):
    """Keep what the model needs; usually the last step. Values in ``ann_info`` can be named as those of the sample.

    Args:
        keys: Must be there; a pair ``(key, new)`` renames.
        meta_keys: Go into the dict ``img_metas``, as far as they are there; ``bbox_id`` always does. None takes
            :attr:`META_KEYS`.
        meta_name: Name of that dict.
    """

    keeps_pixels = True

    META_KEYS = (
        'image_file', 'center', 'scale', 'rotation', 'bbox', 'bbox_score', 'flip_pairs', 'joints_3d',
        'joints_3d_visible', 'image_id',
    )  # fmt: skip
    """What is wanted of a sample unless told otherwise."""

    def __init__(
        self, keys: Sequence[Any], meta_keys: Sequence[Any] | None = None, meta_name: str = 'img_metas'
    ) -> None:
        self.keys = keys
        self.meta_keys = self.META_KEYS if meta_keys is None else meta_keys
        self.meta_name = meta_name

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """A new dict; nothing is drawn.

        Raises:
            DataError: A key is missing.
        """
        known = {**results, **results.get('ann_info', {})}
        keys = [_names(key) for key in self.keys]
        missing = [source for source, _ in keys if source not in known]
        if missing:
            raise DataError(f'Collect wants {", ".join(missing)}, but the sample has only {", ".join(known)}')
        metas = {new: known[source] for source, new in map(_names, (*self.meta_keys, 'bbox_id')) if source in known}
        return {self.meta_name: metas, **{new: known[source] for source, new in keys}}


def _names(key: Any) -> tuple[str, str]:
    """A key, and what it is called when it leaves."""
    return (key, key) if isinstance(key, str) else (key[0], key[1])


@TRANSFORMS.register_module()
class RenameKeys(Transform):
    """Give values other keys.

    Args:
        key_pairs: Pairs ``(old, new)``.
    """

    def __init__(self, key_pairs: Sequence[Sequence[str]]) -> None:
        self.key_pairs = key_pairs

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Rename; nothing is drawn."""
        for old, new in self.key_pairs:
            results[new] = results.pop(old)
        return results


@TRANSFORMS.register_module()
class MultitaskGatherTarget(Transform):
    """Run several pipelines on copies of a sample, and gather what they give in lists: targets of several heads.

    Args:
        pipeline_list: The pipelines.
        pipeline_indices: Of each head, which pipeline makes its targets; None gives each head its own.
        keys: What is gathered; None where a pipeline does not give it.
    """

    def __init__(
        self,
        pipeline_list: Sequence[Sequence[Mapping[str, Any]]],
        pipeline_indices: Sequence[int] | None = None,
        keys: Sequence[str] = ('target', 'target_weight'),
    ) -> None:
        self.pipelines = [Compose(pipeline, 'pose') for pipeline in pipeline_list]
        self.pipeline_indices = list(range(len(self.pipelines))) if pipeline_indices is None else pipeline_indices
        self.keys = keys

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Run and gather."""
        given = [pipeline(dict(results), rng) for pipeline in self.pipelines]
        if any(each is None for each in given):
            return None
        for key in self.keys:
            results[key] = [(given[index] or {}).get(key) for index in self.pipeline_indices]
        return results
