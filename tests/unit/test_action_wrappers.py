"""Transforms of clips from other packages, which stand-ins replace here."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from intarsia.core.registries import TRANSFORMS


class Brighten:
    """Adds a random number to all frames."""

    def __init__(self, most: int = 100) -> None:
        self.most = most

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        assert frames.dtype == torch.uint8
        assert frames.shape[1] == 3
        return frames.int() + torch.randint(self.most, ())


class Halve:
    """Leaves out every other row and column."""

    def __call__(self, clip_cthw: torch.Tensor) -> torch.Tensor:
        assert clip_cthw.dtype == torch.float32
        assert clip_cthw.shape[0] == 3
        assert clip_cthw.max() <= 1
        return clip_cthw[:, :, ::2, ::2]


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('torchvision', 'pytorchvideo'):
        module = types.ModuleType(f'{name}.transforms')
        module.__dict__.update(RandAugment=Brighten, ShortSideScale=Halve)
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, f'{name}.transforms', module)


def apply(seed: int, **node: Any) -> Any:
    frames = [np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8) for i in range(4)]
    return TRANSFORMS.of('action').build(node)({'imgs': frames}, np.random.default_rng(seed))['imgs']


@pytest.mark.parametrize('kind', ['TorchVisionWrapper', 'PytorchVideoWrapper'])
def test_operations_draw_from_the_generator(kind: str) -> None:
    first, again, other = (apply(seed, type=kind, op='RandAugment', most=200) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    added = np.array(first, int) - np.array(apply(1, type=kind, op='RandAugment', most=1))
    assert len(set(added[np.array(first) < 255].tolist())) == 1


def test_operations_that_change_the_size_get_floats() -> None:
    frames = apply(0, type='PytorchVideoWrapper', op='ShortSideScale')
    assert [frame.shape for frame in frames] == [(3, 4, 3)] * 4
    np.testing.assert_allclose(
        frames[0], apply(0, type='TorchVisionWrapper', op='RandAugment', most=1)[0][::2, ::2], atol=1
    )


def test_packages_and_operations_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='has no Rotator'):
        apply(0, type='TorchVisionWrapper', op='Rotator')
    with pytest.raises(ValueError, match="Did you mean 'AugMix'"):
        apply(0, type='PytorchVideoWrapper', op='AugMi')
    monkeypatch.setitem(sys.modules, 'pytorchvideo.transforms', None)
    with pytest.raises(ImportError, match='needs the package pytorchvideo'):
        apply(0, type='PytorchVideoWrapper', op='RandAugment')
