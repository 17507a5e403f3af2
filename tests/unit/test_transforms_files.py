"""Reading, writing and formatting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.io.image import read_image, write_image
from tests.golden.inputs import image

IMG = image('files', (9, 14, 3))
RNG = np.random.default_rng(0)


def build(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('classification').build({'type': kind, **arguments})


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_round_trip(tmp_path: Path, backend: Any) -> None:
    path = tmp_path / 'new' / 'image.png'
    write_image(IMG, path)
    assert np.array_equal(read_image(path, backend=backend), IMG)
    assert np.array_equal(read_image(path.read_bytes(), channel_order='rgb', backend=backend), IMG[..., ::-1])
    assert read_image(path, 'grayscale', backend=backend).shape == (9, 14)
    assert np.asarray(Image.open(path))[..., ::-1].tolist() == IMG.tolist()


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_exif_orientation(tmp_path: Path, backend: Any) -> None:
    path = tmp_path / 'turned.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 16, 3), np.uint8)).save(path, exif=exif)
    assert read_image(path, backend=backend).shape == (16, 8, 3)
    assert read_image(path, 'color_ignore_orientation', backend=backend).shape == (8, 16, 3)


@pytest.mark.parametrize('mode', ['L', 'P', '1', 'LA'])
def test_unchanged_masks_are_what_pillow_stores(tmp_path: Path, mode: str) -> None:
    path = tmp_path / 'mask.png'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMG[..., 0]).convert(mode).save(path, exif=exif, transparency=7 if mode in 'LP' else None)
    stored = read_image(path, 'unchanged', backend='pillow')
    assert np.array_equal(stored, np.array(Image.open(path)))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r'mask\.png'):
        read_image(path, 'unchanged', backend='pillow')


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_missing_and_broken_files_are_named(tmp_path: Path, backend: Any) -> None:
    with pytest.raises(DataError, match=r'nowhere\.png'):
        read_image(tmp_path / 'nowhere.png', backend=backend)
    for content in (b'', b'not an image'):
        (tmp_path / 'broken.png').write_bytes(content)
        with pytest.raises(DataError, match=r'broken\.png'):
            read_image(tmp_path / 'broken.png', backend=backend)
    with pytest.raises(DataError, match=r'\.nope'):
        write_image(IMG, tmp_path / 'image.nope')


def test_words_are_checked() -> None:
    with pytest.raises(ValueError, match="Did you mean 'grayscale'"):
        read_image(b'', 'greyscale')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='disk'):
        build('LoadImageFromFile', file_client_args={'backend': 'ceph'})


def test_load_sets_what_later_steps_use(tmp_path: Path) -> None:
    write_image(IMG, tmp_path / 'a.png')
    sample = {'img_prefix': str(tmp_path), 'img_info': {'filename': 'a.png'}}
    results = build('LoadImageFromFile')(sample, RNG)
    assert results['filename'] == str(tmp_path / 'a.png')
    assert results['ori_filename'] == 'a.png'
    assert results['img_shape'] == results['ori_shape'] == (9, 14, 3)
    gray = build('LoadImageFromFile', color_type='grayscale', to_float32=True)({'img_path': tmp_path / 'a.png'}, RNG)
    assert gray['img'].dtype == np.float32
    assert gray['img_norm_cfg']['mean'].shape == (1,)


def test_tensors() -> None:
    results = build('ToTensor', keys=['a', 'b', 'c', 'd'])({'a': 3, 'b': 0.5, 'c': [1, 2], 'd': IMG[::-1]}, RNG)
    assert results['a'].tolist() == [3]
    assert results['b'].dtype == torch.float32
    assert results['c'].dtype == torch.int64
    assert results['d'].shape == (9, 14, 3)
    with pytest.raises(TypeError, match='str'):
        build('ToTensor', keys=['a'])({'a': 'text'}, RNG)
    assert build('ImageToTensor', keys=['img'])({'img': IMG[..., 0]}, RNG)['img'].shape == (1, 9, 14)


def test_collect() -> None:
    sample = {'img': IMG, 'gt_label': 3, 'flip': True, 'other': 1}
    results = build('Collect', keys=['img', 'gt_label'])(sample, RNG)
    assert results['img_metas'] == {'flip': True}
    assert list(results) == ['img_metas', 'img', 'gt_label']
    with pytest.raises(DataError, match='gt_score'):
        build('Collect', keys=['gt_score'])(sample, RNG)
