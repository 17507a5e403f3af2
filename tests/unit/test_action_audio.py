"""Recognition of sound: cutting of spectrograms, and the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intarsia.core.registries import BACKBONES, DATASETS, MODELS, TRANSFORMS
from intarsia.data.transforms.transform import Compose

NET: dict[str, Any] = {
    'type': 'AudioRecognizer',
    'backbone': {'type': 'ResNetAudio', 'depth': 50, 'base_channels': 4},
    'cls_head': {'type': 'AudioTSNHead', 'num_classes': 3, 'in_channels': 128},
    'test_cfg': {'average_clips': 'prob'},
}


def run(steps: list[Any], results: dict[str, Any], seed: int = 0) -> Any:
    return Compose(steps, 'action')(results, np.random.default_rng(seed))


def test_parts_belong_to_the_frames() -> None:
    audio = np.arange(200, dtype=np.float32)[:, None].repeat(4, 1)
    frames = np.array([0, 1, 2, 3, 50, 51, 52, 53])
    sample = {'audios': audio, 'length': 200, 'frame_inds': frames, 'num_clips': 2, 'total_frames': 100}
    steps = [{'type': 'AudioFeatureSelector', 'fixed_length': 8}, {'type': 'FormatAudioShape', 'input_format': 'NCTF'}]
    parts = run(steps, sample)['audios']
    assert parts.shape == (2, 1, 8, 4)
    np.testing.assert_array_equal(parts[0, 0, :, 0], [2, 3, 4, 5, 6, 7, 0, 0])
    np.testing.assert_array_equal(parts[1, 0, :, 0], [102, 103, 104, 105, 106, 107, 0, 0])


def test_spectrograms_and_videos_without_sound(tmp_path: Path) -> None:
    np.save(tmp_path / 'a.npy', np.ones((30, 5), np.float32))
    load = {'type': 'LoadAudioFeature'}
    found = run([load], {'audio_path': str(tmp_path / 'a.npy')})
    assert (found['length'], found['audios'].sum()) == (30, 150)
    missing = {'audio_path': str(tmp_path / 'b.npy')}
    assert not run([load], dict(missing))['audios'].any()
    noise = [run([{**load, 'pad_method': 'random'}], dict(missing), seed)['audios'] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(noise[0], noise[1])
    assert not np.array_equal(noise[0], noise[2])
    assert noise[0].mean() == pytest.approx(0.5, abs=0.01)


def test_lists_of_spectrograms(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        np.save(tmp_path / f'{name}.npy', np.ones((100, 80), np.float32))
    (tmp_path / 'list.txt').write_text('a 50 1\nb.npy 50 0\n')
    steps = [
        {'type': 'LoadAudioFeature'},
        {'type': 'SampleFrames', 'clip_len': 16, 'num_clips': 2, 'test_mode': True},
        {'type': 'AudioFeatureSelector', 'fixed_length': 32},
        {'type': 'FormatAudioShape', 'input_format': 'NCTF'},
        {'type': 'Collect', 'keys': ['audios', 'label'], 'meta_keys': ['audio_path', 'modality']},
        {'type': 'ToTensor', 'keys': ['audios', 'label']},
    ]
    node = {'type': 'AudioFeatureDataset', 'ann_file': str(tmp_path / 'list.txt'), 'data_prefix': str(tmp_path)}
    data: Any = DATASETS.of('action').build({**node, 'pipeline': steps, 'test_mode': True})
    sample = data[1]
    assert sample['audios'].shape == (2, 1, 32, 80)
    assert sample['audios'].sum() > 0
    assert sample['label'].tolist() == [0]
    assert sample['img_metas'] == {'audio_path': str(tmp_path / 'b.npy'), 'modality': 'Audio'}
    assert data[0]['img_metas']['audio_path'] == str(tmp_path / 'a.npy')


def test_a_recognizer_learns_and_averages_the_probabilities_of_its_parts() -> None:
    torch.manual_seed(0)
    model: Any = MODELS.of('action').build(NET)
    model.init_weights()
    audios = torch.randn(2, 3, 1, 24, 16)
    losses = model.loss(audios[:, :1], {'label': torch.tensor([[0], [2]])})
    losses['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        results = model.results_of(audios)
        scores = model(audios).reshape(2, 3, 3)
    np.testing.assert_allclose(results[1].scores, scores[1].softmax(1).mean(0), rtol=1e-5)


def test_factorized_stages_have_two_convolutions() -> None:
    net: Any = BACKBONES.of('action').build({**NET['backbone'], 'factorize': (0, (1, 0, 1, 0), 1, 0)})
    kinds = [[hasattr(block.conv2.conv, 'conv_1') for block in getattr(net, name)] for name in net.res_layers]
    assert kinds == [[False] * 3, [True, False, True, False], [True] * 6, [False] * 3]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'depth': 18}, 'depth'),
        ({'num_stages': 5}, 'num_stages'),
        ({'strides': (1, 2)}, 'strides'),
        ({'factorize': (1, (1, 0), 0, 0)}, '4 blocks'),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BACKBONES.of('action').build({**NET['backbone'], **changes})


def test_the_only_format_of_sound() -> None:
    with pytest.raises(ValueError, match='input_format'):
        TRANSFORMS.of('action').build({'type': 'FormatAudioShape', 'input_format': 'NCHW'})
