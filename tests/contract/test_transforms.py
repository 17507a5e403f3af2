"""What every transform promises: the same draws give the same result, and arrays are not changed in place."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from intarsia.core.index import builtin_entries
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Transform
from tests.golden.inputs import image, write_png

IMG = image('contract', (40, 56, 3))

ARGUMENTS: dict[str, dict[str, Any]] = {
    'AutoAugment': {'policies': 'imagenet'},
    'Brightness': {'magnitude': 0.4},
    'CenterCrop': {'crop_size': 24},
    'Collect': {'keys': ['img', 'gt_label']},
    'ColorJitter': {'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.1},
    'ColorTransform': {'magnitude': 0.4},
    'Contrast': {'magnitude': 0.4},
    'Cutout': {'shape': 16},
    'GaussianBlur': {'radius': (0.1, 2.0)},
    'ImageToTensor': {'keys': ['img']},
    'Lighting': {'eigval': [55.0, 5.0, 1.0], 'eigvec': np.eye(3).tolist()},
    'Normalize': {'mean': [120.0, 110.0, 100.0], 'std': [60.0, 58.0, 56.0]},
    'Pad': {'size': (64, 64)},
    'Posterize': {'bits': 4},
    'RandAugment': {'policies': 'timm_increasing', 'num_policies': 3, 'magnitude_level': 9, 'magnitude_std': 0.5},
    'RandomCrop': {'size': 32, 'padding': 4},
    'RandomErasing': {'mode': 'rand'},
    'RandomResizedCrop': {'size': 32},
    'Resize': {'size': (24, -1)},
    'Rotate': {'angle': 20.0},
    'Sharpness': {'magnitude': 0.4},
    'Shear': {'magnitude': 0.2},
    'Solarize': {'thr': 100},
    'SolarizeAdd': {'magnitude': 50},
    'ToDataContainer': {'fields': [{'key': 'gt_label'}]},
    'ToHalf': {'keys': ['img']},
    'ToTensor': {'keys': ['img', 'gt_label']},
    'Transpose': {'keys': ['img'], 'order': (2, 0, 1)},
    'Translate': {'magnitude': 0.2},
}
ALWAYS = {'prob': 1.0, 'erase_prob': 1.0, 'flip_prob': 1.0, 'gray_prob': 1.0}
FLOAT_RESULTS = {'Normalize': np.float32, 'Lighting': np.float64, 'ToNumpy': np.float32, 'ToHalf': np.float16}

NAMES = sorted({e.name for e in builtin_entries() if e.registry == 'TRANSFORMS' and e.task in (None, 'classification')})


def build(name: str, **more: Any) -> Transform:
    """The transform with the arguments it needs."""
    return TRANSFORMS.of('classification').build({'type': name, **ARGUMENTS.get(name, {}), **more})


def sample(tmp_path: Any) -> dict[str, Any]:
    """A sample as it is after loading."""
    path = tmp_path / 'image.png'
    write_png(path, IMG)
    return {'img_prefix': str(tmp_path), 'img_info': {'filename': 'image.png'}, 'img': IMG.copy(), 'gt_label': 3}


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal, arrays by value."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (np.ndarray, Image.Image)):
        return type(one) is type(other) and np.array_equal(np.asarray(one), np.asarray(other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_same_seed_same_result_and_nothing_changed_in_place(name: str, seed: int, tmp_path: Any) -> None:
    transform = build(name)
    given, kept = sample(tmp_path), sample(tmp_path)
    arrays = dict(given)
    first = transform(given, np.random.default_rng(seed))
    assert all(same(arrays[key], kept[key]) for key in arrays)
    np.random.seed(seed + 1)
    torch.manual_seed(seed + 1)
    assert same(first, transform(sample(tmp_path), np.random.default_rng(seed)))


@pytest.mark.parametrize('name', [n for n in NAMES if n not in {'WrapFieldsToLists', 'Collect', 'ToPIL'}])
def test_type_of_the_image(name: str, tmp_path: Any) -> None:
    result = build(name)(sample(tmp_path), np.random.default_rng(0))
    assert result is not None
    img = result['img']
    if name in {'ImageToTensor', 'ToTensor'}:
        assert img.dtype == torch.uint8
    else:
        assert isinstance(img, np.ndarray)
        assert img.dtype == FLOAT_RESULTS.get(name, np.uint8)
        assert img.ndim == 3


@pytest.mark.parametrize('name', [n for n in NAMES if hasattr(build(n), 'draw') and hasattr(build(n), 'apply')])
def test_apply_repeats_what_was_drawn(name: str, tmp_path: Any) -> None:
    transform: Any = build(name)
    for switch, value in ALWAYS.items():
        if hasattr(transform, switch):
            setattr(transform, switch, value)
    drawn = transform.draw(np.random.default_rng(5), IMG)
    expected = transform(sample(tmp_path), np.random.default_rng(5))['img']
    assert np.array_equal(transform.apply(IMG, **copy.deepcopy(drawn)), expected)


def test_arguments_cover_every_transform() -> None:
    assert not set(ARGUMENTS) - set(NAMES)
