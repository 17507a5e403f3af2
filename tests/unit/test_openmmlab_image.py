"""Functions of ``mmcv.image``: numbers recorded from MMCV 1.7.2 and 2.1.0, which agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError, IntarsiaError
from intarsia.openmmlab import image
from intarsia.openmmlab import image_geometry as geometry
from intarsia.openmmlab import image_values as values

Y, X, C = np.ogrid[:13, :17, :3]
IMG = ((37 * Y + 23 * X * X + 101 * C + 11 * X * Y) % 256).astype(np.uint8)
GRAY = IMG[..., 1].copy()
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def mark(img: Any) -> tuple[int, ...]:
    """The shape of an array, and a weighted sum of its values."""
    array = np.asarray(img, np.float64)
    return (*array.shape, int((array.ravel() * (np.arange(array.size) % 97 + 1)).sum()))


RECORDED: list[tuple[Callable[[], Any], tuple[int, ...]]] = [
    (lambda: geometry.imresize(IMG, (21, 9)), (9, 21, 3, 3412794)),
    (lambda: geometry.imresize(IMG, (21, 9), interpolation='bicubic'), (9, 21, 3, 3420747)),
    (lambda: geometry.imresize(IMG, (9, 21), interpolation='lanczos', backend='pillow'), (21, 9, 3, 3465001)),
    (lambda: geometry.imresize_like(GRAY, np.zeros((5, 6))), (5, 6, 60476)),
    (lambda: geometry.imresize_to_multiple(IMG, (8, 4), (30, 20), keep_ratio=True), (20, 32, 3, 11996203)),
    (lambda: geometry.imresize_to_multiple(IMG, 8, scale_factor=(1.5, 0.7)), (16, 32, 3, 9615146)),
    (lambda: geometry.imrescale(IMG, (40, 20)), (20, 26, 3, 9786887)),
    (lambda: geometry.imrescale(GRAY, 1.3), (17, 22, 2304383)),
    (lambda: geometry.imflip(IMG), (13, 17, 3, 4059137)),
    (lambda: geometry.imflip(GRAY, 'vertical'), (13, 17, 1280194)),
    (lambda: geometry.imflip_(IMG.copy(), 'diagonal'), (13, 17, 3, 4114381)),
    (lambda: geometry.imrotate(IMG, 20), (13, 17, 3, 3579807)),
    (lambda: geometry.imrotate(IMG, -33.3, auto_bound=True, border_value=7, scale=1.2), (24, 26, 3, 6070870)),
    (lambda: geometry.imrotate(GRAY, 20, center=(3., 4.), border_value=100, interpolation='nearest'), (13, 17, 1236013)),
    (lambda: geometry.imrotate(IMG, 20, border_mode='reflect_101'), (13, 17, 3, 4113747)),
    (lambda: geometry.imshear(IMG, 0.3, border_value=9), (13, 17, 3, 3603743)),
    (lambda: geometry.imshear(GRAY, -0.2, 'vertical'), (13, 17, 1148640)),
    (lambda: geometry.imtranslate(IMG, -2.5, 'vertical', border_value=(1, 2, 3)), (13, 17, 3, 3303632)),
    (lambda: geometry.imcrop(IMG, np.array([3, 4, 8, 30])), (9, 6, 3, 852248)),
    (lambda: geometry.imcrop(IMG, np.array([[-1.5, 2, 4.7, 6.9]]), 1.4)[0], (9, 7, 3, 1148392)),
    (lambda: geometry.imcrop(IMG, np.array([-1.5, 2, 4.7, 16.9]), 1.4, pad_fill=[1, 2, 3]), (22, 9, 3, 1727142)),
    (lambda: geometry.impad(IMG, shape=(15, 20), pad_val=9), (15, 20, 3, 4182080)),
    (lambda: geometry.impad(IMG, padding=(3, 1), pad_val=(4, 5, 6)), (15, 23, 3, 4304445)),
    (lambda: geometry.impad(GRAY, padding=(3, 1, 0, 5), padding_mode='symmetric'), (19, 20, 2362007)),
    (lambda: geometry.impad_to_multiple(IMG, 8, pad_val=9), (16, 24, 3, 4055987)),
    (lambda: geometry.cutout(IMG, (5, 6), pad_val=17), (13, 17, 3, 3529071)),
    (lambda: geometry.cutout(GRAY, 4), (13, 17, 1212514)),
    (lambda: values.imnormalize(IMG, np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])) * 1e6, (13, 17, 3, 8006083972)),
    (lambda: values.imdenormalize(values.imnormalize(IMG, np.ones(3), np.full(3, 3.1), False), np.ones(3), np.full(3, 3.1)) * 1e4, (13, 17, 3, 41047170055)),
    (lambda: values.iminvert(IMG), (13, 17, 3, 4067576)),
    (lambda: values.solarize(IMG, 99), (13, 17, 3, 2131091)),
    (lambda: values.posterize(IMG, 3), (13, 17, 3, 3558432)),
    (lambda: values.adjust_brightness(IMG, 1.7), (13, 17, 3, 5709266)),
    (lambda: values.adjust_contrast(IMG, 0.3), (13, 17, 3, 4032043)),
    (lambda: values.adjust_color(IMG, 1.7), (13, 17, 3, 4104762)),
    (lambda: values.adjust_color(IMG, 0.4, 0.3, 5.), (13, 17, 3, 2982636)),
    (lambda: values.adjust_color(IMG, 0.4, backend='pillow'), (13, 17, 3, 4012024)),
    (lambda: values.adjust_sharpness(IMG, 1.7), (13, 17, 3, 4031338)),
    (lambda: values.adjust_sharpness(IMG, 0.3, np.ones((3, 3)) / 9), (13, 17, 3, 4067991)),
    (lambda: values.adjust_hue(IMG, 0.1), (13, 17, 3, 4649219)),
    (lambda: values.adjust_lighting(IMG, np.array([55.46, 4.794, 1.148]), np.arange(9.).reshape(3, 3)) * 100, (13, 17, 3, 508315388)),
    (lambda: values.imequalize(IMG), (13, 17, 3, 4051369)),
    (lambda: values.auto_contrast(IMG // 2), (13, 17, 3, 4033121)),
    (lambda: values.lut_transform(IMG, np.arange(256)[::-1]), (13, 17, 3, 4067576)),
    (lambda: values.clahe(GRAY), (13, 17, 1394791)),
    (lambda: values.bgr2rgb(IMG), (13, 17, 3, 4104717)),
    (lambda: values.bgr2gray(IMG, keepdim=True), (13, 17, 1, 1278133)),
    (lambda: values.rgb2gray(IMG), (13, 17, 1282173)),
    (lambda: values.gray2bgr(GRAY), (13, 17, 3, 3943003)),
    (lambda: values.bgr2hsv(IMG), (13, 17, 3, 5318478)),
    (lambda: values.hsv2bgr(IMG), (13, 17, 3, 3232255)),
    (lambda: values.bgr2hls(IMG), (13, 17, 3, 4498799)),
    (lambda: values.hls2bgr(IMG), (13, 17, 3, 3933178)),
    (lambda: values.imconvert(IMG, 'bgr', 'lab'), (13, 17, 3, 4416327)),
]  # fmt: skip


@pytest.mark.parametrize(('made', 'expected'), RECORDED)
def test_numbers_are_those_of_mmcv(made: Callable[[], Any], expected: tuple[int, ...]) -> None:
    np.random.seed(0)
    assert mark(made()) == expected


def test_sizes() -> None:
    assert geometry.rescale_size((11, 21), (100, 50), return_scale=True) == ((50, 95), 50 / 11)
    assert geometry.rescale_size((11, 21), 2) == (22, 42)
    assert geometry._scale_size((10, 20), (1.5, 2.5)) == (15, 50)
    resized, *scales = geometry.imresize(IMG, (34, 26), return_scale=True)
    assert resized.shape == (26, 34, 3)
    assert scales == [2.0, 2.0]
    assert geometry.imrescale(IMG, 2.0, return_scale=True)[1] == 2.0
    out = np.zeros((26, 34, 3), np.uint8)
    assert geometry.imresize(IMG, (34, 26), out=out) is out
    assert np.array_equal(out, resized)


@pytest.mark.parametrize(
    'made',
    [
        lambda: geometry.imresize(IMG, (17, 13)),
        lambda: geometry.impad(IMG, shape=(13, 17)),
        lambda: geometry.cutout(IMG, 3),
    ],
)
def test_results_are_new(made: Callable[[], Any]) -> None:
    assert not np.shares_memory(made(), IMG)


def test_in_place() -> None:
    img = IMG.astype(np.float32)
    assert values.imnormalize_(img, MEAN, STD) is img
    assert np.array_equal(img, values.imnormalize(IMG, MEAN, STD))
    assert img.flags.c_contiguous
    with pytest.raises(TypeError, match='floats'):
        values.imnormalize_(IMG.copy(), MEAN, STD)


def test_crop_outside() -> None:
    assert mark(geometry.imcrop(IMG, np.array([20, 2, 22, 3]), pad_fill=5)) == mark(np.full((2, 3, 3), 5))
    assert len(geometry.imcrop(IMG, np.array([[0, 0, 1, 1], [2, 2, 4, 4]]))) == 2


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        (lambda: geometry.imflip(IMG, 'left'), 'horizontal, vertical, diagonal'),
        (lambda: geometry.impad(IMG), 'one of shape and padding'),
        (lambda: geometry.impad(IMG, padding=(1, 2, 3)), 'one, two or four'),
        (lambda: geometry.impad(IMG, padding=1, pad_val=(1, 2)), '3 channels'),
        (lambda: geometry.imrotate(IMG, 3, center=(1, 1), auto_bound=True), 'center'),
        (lambda: geometry.imrotate(IMG, 3, border_mode='no'), 'constant, replicate'),
        (lambda: geometry.imresize_to_multiple(IMG, 8), 'size and scale_factor'),
        (lambda: values.auto_contrast(IMG, cutoff=2), 'cutoff=0'),
        (lambda: image.use_backend('no'), 'cv2, turbojpeg'),
    ],
)
def test_mistakes_are_named(wrong: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong()


def test_files(tmp_path: Path) -> None:
    file = tmp_path / 'new' / 'a.png'
    assert image.imwrite(IMG, file) is True
    assert np.array_equal(image.imread(file), IMG)
    assert np.array_equal(image.imread(str(file), channel_order='rgb', backend='pillow'), IMG[..., ::-1])
    assert np.array_equal(image.imread(file, 'unchanged', 'rgb'), IMG)
    assert np.array_equal(image.imread(file, cv2.IMREAD_GRAYSCALE), image.imread(file, 'grayscale'))
    assert np.array_equal(image.imfrombytes(file.read_bytes(), backend='turbojpeg'), IMG)
    assert image.imread(IMG) is IMG
    good, bad = tmp_path / 'good.jpg', tmp_path / 'bad.jpg'
    image.imwrite(IMG, good, [cv2.IMWRITE_JPEG_QUALITY, 100])
    image.imwrite(IMG, bad, [cv2.IMWRITE_JPEG_QUALITY, 5])
    assert good.stat().st_size > bad.stat().st_size


def test_broken_files() -> None:
    assert image.imfrombytes(b'nothing') is None
    with pytest.raises(DataError, match='cannot be decoded'):
        image.imfrombytes(b'nothing', backend='pillow')
    with pytest.raises(FileNotFoundError):
        image.imread('nowhere.png')
    with pytest.raises(DataError, match='from disk'):
        image.imread('s3://bucket/a.png')
    with pytest.raises(DataError, match='from disk'):
        image.imread('a.png', file_client_args={'backend': 'petrel'})


def test_backend_for_all(tmp_path: Path) -> None:
    image.imwrite(IMG, tmp_path / 'a.png')
    image.use_backend('pillow')
    try:
        with pytest.raises(DataError):
            image.imfrombytes(b'nothing')
        assert np.array_equal(image.imread(tmp_path / 'a.png'), IMG)
    finally:
        image.use_backend('cv2')


def test_tensor_to_images() -> None:
    normalized = values.imnormalize(IMG, MEAN, STD)
    batch_nchw = torch.from_numpy(np.stack([normalized, normalized[::-1]]).transpose(0, 3, 1, 2).copy())
    first, second = image.tensor2imgs(batch_nchw, tuple(MEAN), tuple(STD))
    assert np.abs(first.astype(int) - IMG).max() <= 1
    assert np.array_equal(second, first[::-1])
    assert np.array_equal(image.tensor2imgs(batch_nchw, tuple(MEAN), tuple(STD), to_bgr=False)[0], first[..., ::-1])
    assert image.tensor2imgs(batch_nchw[:, :1], to_rgb=False)[0].shape == (13, 17)
    with pytest.raises(ValueError, match='1 or 3'):
        image.tensor2imgs(batch_nchw[0])


def test_no_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise cv2.error('not implemented')

    monkeypatch.setattr(cv2, 'imshow', fail)
    with pytest.raises(IntarsiaError, match='imwrite'):
        image.imshow(IMG)
