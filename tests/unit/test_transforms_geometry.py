"""Sizes, boxes and rounding of the geometric transforms, from their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.affine import rotate, shear, translate
from intarsia.data.io.geometry import crop, flip, pad, rescale_size, resize, resize_to_multiple
from tests.golden.inputs import image

IMG = image('geometry', (50, 81, 3))


def build(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('classification').build({'type': kind, **arguments})


@pytest.mark.parametrize(
    ('arguments', 'size'),
    [
        ({'size': 32}, (32, 32)),
        ({'size': (20, 30)}, (20, 30)),
        ({'size': (32, -1)}, (32, int(32 * 81 / 50))),
        ({'size': (32, -1), 'adaptive_side': 'long'}, (int(32 * 50 / 81), 32)),
        ({'size': (32, -1), 'adaptive_side': 'width'}, (int(32 * 50 / 81), 32)),
        ({'size': (32, -1), 'adaptive_side': 'height'}, (32, int(32 * 81 / 50))),
        ({'size': (50, -1)}, (50, 81)),
    ],
)
def test_resize_to_size(arguments: dict[str, Any], size: tuple[int, int]) -> None:
    results = build('Resize', **arguments)({'img': IMG}, np.random.default_rng(0))
    assert results['img'].shape == (*size, 3)
    assert results['img_shape'] == (*size, 3)
    assert results['scale_factor'] == (size[1] / 81, size[0] / 50)


def test_resize_of_the_right_size_copies_nothing() -> None:
    assert resize(IMG, (50, 81)) is IMG


def test_rescale_size_rounds_half_up_and_takes_the_tighter_side() -> None:
    assert rescale_size((100, 201), 0.5) == ((50, 101), 0.5)
    size, factor = rescale_size((100, 200), (300, 120))
    assert factor == pytest.approx(1.2)
    assert size == (120, 240)
    with pytest.raises(ValueError, match='positive'):
        rescale_size((100, 200), 0.0)


def test_resize_to_multiple_rounds_up() -> None:
    assert resize_to_multiple(IMG, (32, 16), 0.5).shape == (32, 48, 3)


@pytest.mark.parametrize(('side', 'top', 'left'), [(20, 15, 30), (21, 14, 30), (60, 0, 10), (100, 0, 0)])
def test_center_crop_rounds_half_to_even(side: int, top: int, left: int) -> None:
    cut = build('CenterCrop', crop_size=side).apply(IMG)
    assert np.array_equal(cut, IMG[top : top + side, left : left + side])


def test_efficientnet_crop_takes_a_share_of_the_short_side() -> None:
    cut = build('CenterCrop', crop_size=64, efficientnet_style=True, crop_padding=32).apply(IMG)
    side = 64 / 96 * 50
    top, left = round((50 - side) / 2), round((81 - side) / 2)
    box = IMG[top : int(top + side - 1) + 1, left : int(left + side - 1) + 1]
    assert np.array_equal(cut, resize(box, (64, 64)))


def test_random_crop_reaches_every_place_and_no_other() -> None:
    transform = build('RandomCrop', size=(48, 81), padding=(0, 1))
    rng = np.random.default_rng(0)
    places = {(d['top'], d['left']) for d in (transform.draw(rng, IMG) for _ in range(200))}
    assert places == {(top, 0) for top in range(5)}


def test_random_crop_of_a_small_image() -> None:
    with pytest.raises(DataError, match='pad_if_needed'):
        build('RandomCrop', size=100).draw(np.random.default_rng(0), IMG)
    whole = build('RandomCrop', size=100, pad_if_needed=True).apply(IMG, 50, 19)
    assert np.array_equal(whole[:50, :81], IMG)
    half = build('RandomCrop', size=100, pad_if_needed=True, pad_half=True).apply(IMG, 25, 10)
    assert np.array_equal(half[:50, :81], IMG)


@pytest.mark.parametrize('style', [False, True])
def test_random_resized_crop_stays_within_its_ranges(style: bool) -> None:
    transform = build('RandomResizedCrop', size=32, scale=(0.3, 0.9), efficientnet_style=style)
    rng = np.random.default_rng(0)
    for _ in range(100):
        box = transform.draw(rng, IMG)
        assert 0 <= box['top'] <= 50 - box['height']
        assert 0 <= box['left'] <= 81 - box['width']
        assert 0.25 < box['height'] * box['width'] / (50 * 81) < 0.95


def test_random_resized_crop_falls_back_to_the_middle() -> None:
    box = build('RandomResizedCrop', size=32, max_attempts=0).draw(np.random.default_rng(0), IMG)
    width = round(50 * 4 / 3)
    assert box == {'top': 0, 'left': (81 - width) // 2, 'height': 50, 'width': width}


def test_random_flip_notes_what_it_did() -> None:
    results = build('RandomFlip', flip_prob=1.0, direction='vertical')({'img': IMG}, np.random.default_rng(0))
    assert results['flip'] is True
    assert results['flip_direction'] == 'vertical'
    assert np.array_equal(results['img'], IMG[::-1])
    results = build('RandomFlip', flip_prob=0.0)({'img': IMG}, np.random.default_rng(0))
    assert results['flip'] is False
    assert results['img'] is IMG


def test_flip_keeps_the_number_of_axes() -> None:
    assert np.array_equal(flip(IMG[..., :1], 'diagonal'), IMG[::-1, ::-1, :1])


def test_one_pad_value_fills_the_first_channel() -> None:
    padded = build('Pad', size=(52, 81), pad_val=7).apply(IMG)
    assert padded[50, 0].tolist() == [7, 0, 0]
    assert pad(IMG, (0, 1, 0, 0), (1, 2, 3))[0, 0].tolist() == [1, 2, 3]
    assert build('Pad', pad_to_square=True).apply(IMG).shape == (81, 81, 3)


def test_crop_is_a_view_cut_off_at_the_border() -> None:
    cut = crop(IMG, -2, 70, 10, 30)
    assert cut.shape == (8, 11, 3)
    assert np.shares_memory(cut, IMG)


def test_affine_maps() -> None:
    assert np.array_equal(rotate(IMG, 180.0, interpolation='nearest'), IMG[::-1, ::-1])
    assert np.array_equal(translate(IMG, 5.0, 'horizontal')[:, 5:], IMG[:, :-5])
    assert np.array_equal(translate(IMG, -5.0, 'vertical', (9, 9, 9))[:-5], IMG[5:])
    sheared = shear(IMG, 1.0, 'horizontal', interpolation='nearest')
    assert np.array_equal(sheared[3, 3:], IMG[3, :-3])
    assert not sheared[3, :3].any()


@pytest.mark.parametrize(
    ('kind', 'arguments', 'hint'),
    [
        ('Resize', {'size': 32, 'interpolation': 'bilinaer'}, 'bicubic'),
        ('Resize', {'size': 32, 'adaptive_side': 'shorter'}, "Did you mean 'short'"),
        ('Resize', {'size': 0}, 'positive'),
        ('Pad', {}, 'either size or pad_to_square'),
        ('RandomFlip', {'flip_prob': 1.5}, '0 to 1'),
        ('CenterCrop', {'crop_size': (3, 4), 'efficientnet_style': True}, 'square'),
    ],
)
def test_wrong_arguments_are_named(kind: str, arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        build(kind, **arguments)
