"""The last steps of action pipelines: normalization, formats, and what leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from intarsia.data.collate import collate
from intarsia.data.device import ToDevice, split_normalize
from intarsia.data.transforms.transform import Compose

CLIPS, LENGTH = 2, 3
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def run(steps: list[Any], results: dict[str, Any]) -> Any:
    return Compose(steps, 'action')(results, np.random.default_rng(0))


def clip(modality: str = 'RGB', **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    shape, count = ((40, 56, 3), 1) if modality == 'RGB' else ((40, 56), 2)
    return {
        'imgs': [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(CLIPS * LENGTH * count)],
        'modality': modality,
        'num_clips': CLIPS,
        'clip_len': LENGTH,
        'label': 1,
        **changes,
    }


def test_formats() -> None:
    frames = np.array(clip()['imgs'])
    steps = {name: [{'type': 'FormatShape', 'input_format': name}] for name in ('NCHW', 'NCTHW', 'NPTCHW')}
    np.testing.assert_array_equal(run(steps['NCHW'], clip())['imgs'], frames.transpose(0, 3, 1, 2))
    clips = frames.reshape(CLIPS, LENGTH, 40, 56, 3).transpose(0, 4, 1, 2, 3)
    np.testing.assert_array_equal(run(steps['NCTHW'], clip())['imgs'], clips)
    proposals = frames.transpose(0, 3, 1, 2).reshape(2, 3, 3, 40, 56)
    np.testing.assert_array_equal(run(steps['NPTCHW'], clip(num_proposals=2))['imgs'], proposals)
    flow = np.array(clip(modality='Flow')['imgs'])
    found = run([{'type': 'FormatShape', 'input_format': 'NCHW_Flow'}], clip(modality='Flow'))
    np.testing.assert_array_equal(found['imgs'], flow.reshape(CLIPS, LENGTH * 2, 40, 56))
    assert found['input_shape'] == (CLIPS, LENGTH * 2, 40, 56)


def test_heat_maps_beside_frames() -> None:
    maps = np.random.default_rng(0).random((CLIPS * 4, 5, 6, 7)).astype(np.float32)
    sample = clip(heatmap_imgs=maps, clip_len={'RGB': LENGTH, 'Pose': 4})
    found = run([{'type': 'FormatShape', 'input_format': 'NCTHW'}], sample)
    assert found['input_shape'] == (CLIPS, 3, LENGTH, 40, 56)
    np.testing.assert_array_equal(found['heatmap_imgs'], maps.reshape(CLIPS, 4, 5, 6, 7).transpose(0, 2, 1, 3, 4))


@pytest.mark.parametrize(('layout', 'modality'), [('NCTHW', 'Pose'), ('NCTHW_Heatmap', 'RGB')])
def test_heat_maps_alone(layout: str, modality: str) -> None:
    maps = np.random.default_rng(0).random((CLIPS * LENGTH, 5, 6, 7)).astype(np.float32)
    found = run([{'type': 'FormatShape', 'input_format': layout}], clip(imgs=maps) | {'modality': modality})
    np.testing.assert_array_equal(found['imgs'], maps.reshape(CLIPS, LENGTH, 5, 6, 7).transpose(0, 2, 1, 3, 4))


@pytest.mark.parametrize(
    ('modality', 'layout'),
    [
        ('RGB', 'NCHW'),
        ('RGB', 'NCTHW'),
        ('RGB', 'NPTCHW'),
        ('Flow', 'NCHW_Flow'),
        ('Flow', 'NCTHW'),
        ('RGB', 'collapse'),
    ],
)
def test_the_device_normalizes_to_the_same_numbers(modality: str, layout: str) -> None:
    channels = slice(0, 3 if modality == 'RGB' else 2)
    steps: list[Any] = [
        {'type': 'CenterCrop', 'crop_size': 24},
        {'type': 'Normalize', 'mean': MEAN[channels], 'std': STD[channels], 'to_bgr': modality == 'RGB'},
        {'type': 'FormatShape', 'input_format': layout},
        {'type': 'Collect', 'keys': ['imgs', 'label'], 'meta_keys': []},
        {'type': 'ToTensor', 'keys': ['imgs', 'label']},
    ]
    options: dict[str, Any] = {'num_proposals': 2}
    if layout == 'collapse':
        steps[2] = {'type': 'FormatShape', 'input_format': 'NCTHW', 'collapse': True}
        options |= {'clip_len': CLIPS * LENGTH, 'num_clips': 1}
    left, normalize = split_normalize(steps, 'action')
    assert normalize is not None
    here = collate([run(steps, clip(modality=modality, **options))] * 2)
    raw = collate([run(left, clip(modality=modality, **options))] * 2)
    assert raw['imgs'].dtype == torch.uint8
    there = ToDevice('cpu', normalize)(raw)
    torch.testing.assert_close(there['imgs'], here['imgs'], rtol=0, atol=0)


def test_one_mean_for_all_channels() -> None:
    steps = [{'type': 'Normalize', 'mean': [128], 'std': [64]}, {'type': 'FormatShape', 'input_format': 'NCTHW'}]
    here = run(steps, clip())['imgs']
    np.testing.assert_array_equal(here, (run(steps[1:], clip())['imgs'] - np.float32(128)) / 64)
    left, normalize = split_normalize(steps, 'action')
    assert normalize is not None
    there = normalize(torch.from_numpy(run(list(left), clip())['imgs'])[None])
    np.testing.assert_array_equal(there[0].numpy(), here)


@pytest.mark.parametrize(
    'changes',
    [{'adjust_magnitude': True}, {'unknown': 1}],
)
def test_normalization_that_stays_in_the_pipeline(changes: dict[str, Any]) -> None:
    normalize = {'type': 'Normalize', 'mean': [128, 128], 'std': [64, 64], **changes}
    assert split_normalize([normalize, {'type': 'FormatShape', 'input_format': 'NCHW'}], 'action')[1] is None


def test_a_renamed_input_is_normalized_in_the_pipeline() -> None:
    normalize = {'type': 'Normalize', 'mean': MEAN, 'std': STD}
    steps = [
        normalize,
        {'type': 'FormatShape', 'input_format': 'NCTHW'},
        {'type': 'Rename', 'mapping': {'imgs': 'img'}},
    ]
    assert split_normalize(steps, 'action')[1] is None


def test_collected_samples() -> None:
    collect = {'type': 'Collect', 'keys': ['imgs', 'label'], 'meta_keys': ('modality',)}
    assert run([collect], clip())['img_metas'] == {'modality': 'RGB'}
    nested = run([{**collect, 'nested': True, 'meta_name': 'metas'}], clip())
    assert nested['label'] == [1]
    assert nested['metas'] == [{'modality': 'RGB'}]
