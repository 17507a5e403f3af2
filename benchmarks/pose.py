"""Pose estimation, compared with mmpose 1.x: training pipeline, decoding, flip-tested inference.

Both toolboxes get the same files, outputs of networks, weights and crops, and what they answer is compared
(``same_answer``). Each runs in a process of its own, and they take turns. Wall time says what a user waits for; the CPU
time of the process is the one to trust, for cases of one thread, on a machine that others use as well.

    python benchmarks/pose.py --reference-python OLD/bin/python [--out benchmarks/results/pose.json]
    python benchmarks/pose.py --cases decode      # only those with this in their names; ours alone

- pipeline: an epoch of the COCO recipe over people in files of 640x480, in batches of 32: read, box, shift, flip, half
  body, scale and rotation, crop of 192x256, normalization, heat maps; one thread. As draws differ, what is compared is
  the same pipeline with all of them switched off.
- decode: outputs for 64 people with 17 joints to coordinates of the input, five times; heat maps of 48x64, for SimCC
  vectors of 384 and 512; one thread.
- predict: a batch of 16 crops and its mirror image through a network with a ResNet-18, to coordinates of the images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from alternate import Request
from compare import compare

REPEATS = {'pipeline': 9, 'decode': 9, 'predict': 7}
"""By kind of case."""
FIGURES = Path(__file__).parents[1] / 'data/figures'
ENLARGED = 2.5
"""Makes images of 256x192 as large as those of COCO are."""

INPUT_SIZE, HEATMAP_SIZE = [192, 256], [48, 64]
MAPS = dict(input_size=INPUT_SIZE, heatmap_size=HEATMAP_SIZE)
CODECS: dict[str, dict[str, Any]] = {
    'msra': dict(type='MSRAHeatmap', sigma=2, **MAPS),
    'dark': dict(type='MSRAHeatmap', sigma=2, unbiased=True, **MAPS),
    'udp': dict(type='UDPHeatmap', sigma=2, **MAPS),
    'simcc': dict(type='SimCCLabel', sigma=6.0, simcc_split_ratio=2.0, input_size=INPUT_SIZE),
}
NET = dict(
    type='TopdownPoseEstimator',
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='HeatmapHead',
        in_channels=512,
        out_channels=17,
        deconv_out_channels=[128, 128, 128],
        deconv_kernel_sizes=[4, 4, 4],
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
"""Without its codec, which one toolbox gives the model, the other the head."""

CASES: dict[str, Request] = {
    'pipeline': ('pipeline',),
    'decode MSRA': ('decode', 'msra'),
    'decode MSRA, unbiased (DARK)': ('decode', 'dark'),
    'decode UDP': ('decode', 'udp'),
    'decode SimCC': ('decode', 'simcc'),
    'predict, 1 thread': ('predict', 1),
    'predict, 2 threads': ('predict', 2),
}


def write_people(folder: Path) -> None:
    """Enlarged images, and their annotations."""
    content = json.loads((FIGURES / 'annotations/person_keypoints_val.json').read_text())
    for image in content['images']:
        pixels = cv2.imread(str(FIGURES / 'images/val' / image['file_name']))
        assert pixels is not None
        large = cv2.resize(pixels, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / image['file_name']), large)
        image['height'], image['width'] = large.shape[:2]
    for person in content['annotations']:
        xyv = np.array(person['keypoints']).reshape(-1, 3) * (ENLARGED, ENLARGED, 1)
        person.update(keypoints=xyv.ravel().tolist(), bbox=[ENLARGED * side for side in person['bbox']])
        person['area'] *= ENLARGED**2
        del person['segmentation']
    (folder / 'people.json').write_text(json.dumps(content))


def bumps(center_nk: np.ndarray, length: int, sigma: float) -> np.ndarray:
    """A Gaussian for each centre, float32 ``(N, K, length)``."""
    return np.exp(-((np.arange(length) - center_nk[..., None]) ** 2) / (2 * sigma**2)).astype(np.float32)


def write_outputs(file: Path) -> None:
    """Outputs of a network that is fairly sure: Gaussians of different heights, and noise."""
    rng = np.random.default_rng(0)
    at_2nk = rng.random((2, 64, 17))
    height_nk1 = rng.uniform(0.3, 1, (64, 17, 1))
    across, down = (bumps(at_nk * size, size, 2) for at_nk, size in zip(at_2nk, HEATMAP_SIZE, strict=True))
    x, y = (bumps(at_nk * 2 * size, 2 * size, 6) for at_nk, size in zip(at_2nk, INPUT_SIZE, strict=True))
    clean = {'maps': down[..., None] * (height_nk1 * across)[..., None, :], 'x': height_nk1 * x, 'y': height_nk1 * y}
    np.savez(file, **{k: (each + rng.normal(0, 0.01, each.shape)).astype(np.float32) for k, each in clean.items()})


def write_inputs(folder: Path) -> None:
    """What both sides read: people, outputs of a network, another network with its weights, crops."""
    from intarsia.api.models import build_model

    write_people(folder)
    write_outputs(folder / 'outputs.npz')
    (folder / 'nodes.json').write_text(json.dumps({'net': NET, 'codecs': CODECS}))
    torch.manual_seed(0)
    model = build_model(NET, init=False)  # as the first weights of the recipe answer next to nothing anywhere
    torch.save(model.state_dict(), folder / 'net.pth')
    center_n2, scale_n1 = 500 * torch.rand(16, 2), 0.5 + torch.rand(16, 1)
    size_n2 = scale_n1 * torch.tensor(INPUT_SIZE)
    torch.save(
        {'img': torch.randn(16, 3, *INPUT_SIZE[::-1]), 'center': center_n2, 'size': size_n2}, folder / 'crops.pth'
    )


if __name__ == '__main__':
    packages = ('torch', 'numpy', 'opencv-python-headless', 'mmcv-lite', 'mmpose')
    compare(__doc__ or '', 'pose', 'mmpose', packages, write_inputs, CASES, REPEATS)
