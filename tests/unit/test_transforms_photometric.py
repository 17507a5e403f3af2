"""Values of the photometric transforms, from their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intarsia.core.registries import TRANSFORMS
from intarsia.data.io import photometric, tone
from intarsia.data.io.normalize import denormalize, normalize
from tests.golden.inputs import image

IMG = image('photometric', (50, 81, 3))
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def build(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('classification').build({'type': kind, **arguments})


def test_normalize_is_the_formula_in_float32() -> None:
    mean, std = np.array([120, 110, 100], np.float32), np.array([60, 58, 56], np.float32)
    result = normalize(IMG, mean, std)
    expected = (IMG[..., ::-1].astype(np.float64) - mean) / std
    assert result.dtype == np.float32
    assert np.abs(result - expected).max() < 1e-6
    assert np.array_equal(result, normalize(IMG.astype(np.float64), mean, std))
    assert result.transpose(2, 0, 1).flags.c_contiguous
    assert np.abs(denormalize(result, mean, std) - IMG).max() < 1e-4
    with pytest.raises(ValueError, match='2 means'):
        normalize(IMG, mean[:2], std[:2])


def test_tone_operations() -> None:
    value = RAMP.astype(int)
    assert np.array_equal(tone.invert(RAMP), 255 - value)
    assert np.array_equal(tone.solarize(RAMP, 100.5), np.where(value < 100.5, value, 255 - value))
    assert np.array_equal(tone.solarize_add(RAMP, 100, 200), np.where(value < 200, np.minimum(value + 100, 255), value))
    assert np.array_equal(tone.posterize(RAMP, 3), value // 32 * 32)
    assert not tone.posterize(RAMP, 0).any()
    with pytest.raises(TypeError, match='uint8'):
        tone.posterize(RAMP.astype(np.float32), 3)


def test_equalize_and_auto_contrast() -> None:
    assert np.array_equal(tone.equalize(np.full_like(IMG, 9)), np.full_like(IMG, 9))
    assert np.array_equal(tone.auto_contrast(np.full_like(IMG, 9)), np.full_like(IMG, 9))
    narrow = (RAMP // 4 + 50)[..., None]
    stretched = tone.auto_contrast(narrow)
    assert stretched.shape == narrow.shape
    assert stretched.min() == 0
    assert stretched.max() in (254, 255)  # 254.99999 is cut off


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_factors(backend: Any) -> None:
    for adjust in (photometric.adjust_brightness, photometric.adjust_contrast, photometric.adjust_color):
        assert np.array_equal(adjust(IMG, 1.0, backend), IMG)
    assert not photometric.adjust_brightness(IMG, 0.0, backend).any()
    assert np.ptp(photometric.adjust_contrast(IMG, 0.0, backend)) == 0
    gray = photometric.adjust_color(IMG, 0.0, backend)
    assert np.array_equal(gray[..., 0], gray[..., 2])


def test_sharpness_and_brightness() -> None:
    assert np.array_equal(photometric.adjust_sharpness(IMG, 1.0), IMG)
    assert np.array_equal(photometric.adjust_brightness(IMG, 1.5), np.minimum(IMG.astype(int) * 3 // 2, 255))


def test_hue_takes_half_a_turn_at_most() -> None:
    with pytest.raises(ValueError, match='half|0.5'):
        photometric.adjust_hue(IMG, 0.6)


def test_lighting_is_float_and_not_clipped() -> None:
    transform = build('Lighting', eigval=[300.0], eigvec=[[1.0], [0.0], [0.0]], to_rgb=False)
    result = transform.apply(IMG, np.array([1.0]))
    assert result.dtype == np.float64
    assert np.array_equal(result[..., 0], IMG[..., 0] + 300.0)


def test_color_jitter_draws_evenly_about_one() -> None:
    transform = build('ColorJitter', brightness=0.4, contrast=2.0)
    rng = np.random.default_rng(0)
    drawn = [transform.draw(rng, IMG) for _ in range(500)]
    brightness = np.array([d['brightness'] for d in drawn])
    assert 0.6 <= brightness.min() < 0.62
    assert 1.38 < brightness.max() <= 1.4
    assert min(d['contrast'] for d in drawn) >= 0
    assert all(d['saturation'] is None and d['hue'] is None for d in drawn)
    assert {d['order'][0] for d in drawn} == {0, 1, 2, 3}


def test_random_erasing_keeps_area_and_shape() -> None:
    transform = build('RandomErasing', erase_prob=1.0, min_area_ratio=0.1, max_area_ratio=0.2, aspect_range=(0.5, 2.0))
    rng = np.random.default_rng(0)
    for _ in range(100):
        box = transform.draw(rng, IMG)
        assert 0.08 < box['height'] * box['width'] / (50 * 81) < 0.22
        assert 0.4 < box['height'] / box['width'] < 2.4
    erased = transform.apply(IMG, 3, 4, 5, 6)
    assert (erased[3:8, 4:10] == 128).all()
    assert np.array_equal(erased[8:], IMG[8:])


def test_cutout_at_the_border() -> None:
    cut = build('Cutout', shape=(10, 20), prob=1.0).apply(IMG, y=1.0, x=80.0)
    assert (cut[:10, 70:] == 128).all()
    assert np.array_equal(cut[10:], IMG[10:])


def test_rand_augment_scales_strengths() -> None:
    policies = [{'type': 'Posterize', 'magnitude_key': 'bits', 'magnitude_range': (4, 0)}, {'type': 'Invert'}]
    augment = build('RandAugment', policies=policies, num_policies=50, magnitude_level=3, total_level=10)
    drawn = augment.draw(np.random.default_rng(0))
    assert {share for _, share in drawn} == {0.3}
    steps = {step.kind.__name__: step for step, _ in drawn}
    assert steps['Posterize'].strength(0.3) == pytest.approx(2.8)
    assert steps['Posterize'].build(0.3).bits == 3
    assert steps['Invert'].key is None


@pytest.mark.parametrize(('std', 'low', 'high'), [('inf', 0, 5), (100.0, 0, 10)])
def test_rand_augment_draws_levels(std: Any, low: float, high: float) -> None:
    augment = build(
        'RandAugment',
        policies='timm_increasing',
        num_policies=300,
        magnitude_level=5,
        magnitude_std=std,
        total_level=10,
    )
    shares = np.array([share for _, share in augment.draw(np.random.default_rng(0))]) * 10
    assert low <= shares.min() < low + 0.2
    assert high - 0.2 < shares.max() <= high


def test_hparams_fill_in_what_a_step_takes() -> None:
    policies: list[dict[str, Any]] = [
        {'type': 'Rotate', 'magnitude_key': 'angle', 'magnitude_range': (0, 30)},
        {'type': 'Invert'},
    ]
    augment = build('RandAugment', policies=policies, num_policies=1, magnitude_level=5, hparams={'pad_val': 7})
    assert augment._steps[0].build(0.5).pad_val == (7, 7, 7)
    assert policies[0].get('pad_val') is None


def test_policies_report_mistakes_when_built() -> None:
    with pytest.raises(ValueError, match="Did you mean 'imagenet'"):
        build('AutoAugment', policies='imagenett')
    with pytest.raises(TypeError, match="no argument 'bit'"):
        build('RandAugment', policies=[{'type': 'Posterize', 'bit': 3}], num_policies=1, magnitude_level=5)
    node = {'type': 'Posterize', 'magnitude_key': 'bits'}
    with pytest.raises(ValueError, match='magnitude_range'):
        build('RandAugment', policies=[node], num_policies=1, magnitude_level=5)
