"""Transforms of clips that other packages have. The packages are not installed with this one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.data.transforms.transform import Results, Transform, seed_globals

Operation = Callable[[torch.Tensor], torch.Tensor]
ON_FRAMES = ('AugMix', 'RandAugment')
ON_CLIPS = ('RandomResizedCrop', 'ShortSideScale', 'RandomShortSideScale')
"""Operations of ``pytorchvideo``: those of frames ``(T, C, H, W)`` uint8, and of clips ``(C, T, H, W)``, 0 ... 1."""


class Wrapper(Transform):
    """Gives all frames of a sample to an operation on tensors.

    Args:
        operation: Of frames ``(T, C, H, W)`` uint8.
    """

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Apply it; the global generators that it draws from are seeded from ``rng``."""
        seed_globals(rng)
        frames_thwc = torch.from_numpy(np.stack(results['imgs']))
        changed_tchw = self.operation(frames_thwc.permute(0, 3, 1, 2)).clamp(0, 255).to(torch.uint8)
        results['imgs'] = list(changed_tchw.permute(0, 2, 3, 1).contiguous().numpy())
        results['img_shape'] = results['imgs'][0].shape[:2]
        return results


@TRANSFORMS.register_module(name='TorchVisionWrapper')
def wrap_torchvision(op: str, **arguments: Any) -> Wrapper:
    """A transform of ``torchvision.transforms``.

    Args:
        op: Its name.
        arguments: Its arguments.
    """
    return Wrapper(_operation('torchvision.transforms', op, arguments))


@TRANSFORMS.register_module(name='PytorchVideoWrapper')
def wrap_pytorchvideo(op: str, **arguments: Any) -> Wrapper:
    """A transform of ``pytorchvideo.transforms``.

    Args:
        op: Its name: ``'AugMix'``, ``'RandAugment'``, ``'RandomResizedCrop'``, ``'ShortSideScale'`` or
            ``'RandomShortSideScale'``.
        arguments: Its arguments.
    """
    require_choice('op', op, ON_FRAMES + ON_CLIPS)
    operation = _operation('pytorchvideo.transforms', op, arguments)
    return Wrapper(operation if op in ON_FRAMES else partial(_on_clip, operation))


def _on_clip(operation: Operation, frames_tchw: torch.Tensor) -> torch.Tensor:
    """Frames ``(T, C, H, W)``, 0 ... 255, through an operation of clips ``(C, T, H, W)``, 0 ... 1."""
    return operation(frames_tchw.transpose(0, 1).float() / 255).transpose(0, 1) * 255


def _operation(module: str, op: str, arguments: Mapping[str, Any]) -> Any:
    """An operation of a module.

    Raises:
        ImportError: The module cannot be imported.
        ValueError: It has no such operation.
    """
    try:
        found = getattr(importlib.import_module(module), op, None)
    except Exception as error:  # packages that do not fit the installed torch fail with others than ImportError
        package = module.partition('.')[0]
        raise ImportError(f"op='{op}' needs the package {package}, which cannot be imported: {error}") from error
    if found is None:
        raise ValueError(f'{module} has no {op}')
    return found(**arguments)
