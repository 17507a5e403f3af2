"""Segmentation, compared with mmsegmentation 1.x: training step, input pipeline, sliding windows, metrics.

Both toolboxes get the same weights, batches, files and masks, and what they answer is compared (``same_answer``). Each
runs in a process of its own, and they take turns. Wall time says what a user waits for; the CPU time of the process is
the one to trust, for cases of one thread, on a machine that others use as well.

    python benchmarks/segmentation.py --reference-python OLD/bin/python [--out benchmarks/results/segmentation.json]
    python benchmarks/segmentation.py --cases metric      # only those with this in their names; ours alone

- training step: forward, loss, backward, step of SGD; batch 2, crops of 128x256, dropout off.
- pipeline: 16 images of the Cityscapes recipe: 2048x1024 files to batches of two normalized 512x1024 crops, one thread.
- slide: one image of 1024x512 (width, height), windows of 256x256, stride 170, to the mask; one thread.
- metric: IoU of every class, 20 masks of 1024x2048 with 19 classes, and 50 of 512x512 with 150; one thread.
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

REPEATS = {'train': 7, 'pipeline': 7, 'slide': 3, 'metric': 3}
"""By kind of case: some are too far apart, or too long, for more."""
NUM_FILES = 8
NOISE = 1.2
"""Grey levels; makes PNG files of the size that those of Cityscapes have, 2.3 MB."""
MASKS = {19: (20, 1024, 2048), 150: (50, 512, 512)}
"""Number and size of masks, by number of classes."""

BN = dict(type='BN', requires_grad=True)
CROSS_ENTROPY = dict(type='CrossEntropyLoss', use_sigmoid=False)
PSPNET = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        dilations=[1, 1, 2, 4],
        strides=[1, 2, 1, 1],
        norm_cfg=BN,
        contract_dilation=True,
    ),
    decode_head=dict(
        type='PSPHead',
        in_channels=512,
        in_index=3,
        channels=128,
        pool_scales=[1, 2, 3, 6],
        dropout_ratio=0,
        num_classes=19,
        norm_cfg=BN,
        loss_decode=CROSS_ENTROPY,
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=256,
        in_index=2,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        norm_cfg=BN,
        loss_decode={**CROSS_ENTROPY, 'loss_weight': 0.4},
    ),
    train_cfg={},
    test_cfg=dict(mode='slide', crop_size=[256, 256], stride=[170, 170]),
)
WIDTHS = [18, 36, 72, 144]


def _stage(num_modules: int, num_branches: int, block: str = 'BASIC', width: int | None = None) -> dict[str, Any]:
    channels = WIDTHS[:num_branches] if width is None else [width]
    return dict(
        num_modules=num_modules,
        num_branches=num_branches,
        block=block,
        num_blocks=[2] * num_branches,
        num_channels=channels,
    )


HRNET = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='HRNet',
        norm_cfg=BN,
        extra=dict(
            stage1=_stage(1, 1, 'BOTTLENECK', 64), stage2=_stage(1, 2), stage3=_stage(3, 3), stage4=_stage(2, 4)
        ),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=WIDTHS,
        in_index=[0, 1, 2, 3],
        channels=sum(WIDTHS),
        input_transform='resize_concat',
        kernel_size=1,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        norm_cfg=BN,
        loss_decode=CROSS_ENTROPY,
    ),
    train_cfg={},
    test_cfg=dict(mode='whole'),
)


def blobs(rng: np.random.Generator, height: int, width: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene of ellipses on a smooth ground: BGR image with a little noise, and its mask; the ground has no class."""
    image = cv2.resize(rng.random((9, 17, 3)) * 255, (width, height), interpolation=cv2.INTER_CUBIC)
    mask = np.full((height, width), 255, np.uint8)
    for _ in range(60):
        center = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(width // 50, width // 5)), int(rng.integers(height // 34, height // 5))
        angle, label = int(rng.integers(180)), int(rng.integers(num_classes))
        cv2.ellipse(mask, center, axes, angle, 0, 360, label, -1)
        cv2.ellipse(image, center, axes, angle, 0, 360, (rng.random(3) * 255).tolist(), -1)
    return np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8), mask


def write_inputs(folder: Path) -> None:
    """What both sides read: networks with their weights, batches, image files, masks."""
    from intarsia.api.models import build_model

    rng = np.random.default_rng(0)
    for name in ('img', 'ann'):
        (folder / name).mkdir()
    for i in range(NUM_FILES):
        image, mask = blobs(rng, 1024, 2048, 19)
        for suffix in ('png', 'jpg'):
            cv2.imwrite(str(folder / 'img' / f'{i}.{suffix}'), image)
        cv2.imwrite(str(folder / 'ann' / f'{i}.png'), mask)
    for num_classes, (count, height, width) in MASKS.items():
        true = np.stack([blobs(rng, height, width, num_classes)[1] for _ in range(count)])
        answered = np.where(rng.random(true.shape) < 0.8, np.minimum(true, num_classes - 1), rng.integers(num_classes))
        np.savez(folder / f'masks_{num_classes}.npz', true=true, answered=answered.astype(np.uint8))
    nets = {'pspnet': PSPNET, 'hrnet': HRNET}
    (folder / 'nets.json').write_text(json.dumps(nets))
    torch.manual_seed(0)
    for name, node in nets.items():
        model = build_model(node)
        model.init_weights()
        torch.save(model.state_dict(), folder / f'{name}.pth')
    batch = {'img': torch.randn(2, 3, 128, 256), 'gt': torch.randint(0, 19, (2, 1, 128, 256), dtype=torch.uint8)}
    torch.save({**batch, 'image': torch.randn(1, 3, 512, 1024)}, folder / 'batch.pth')


CASES: dict[str, Request] = {
    'train pspnet, 1 thread': ('train', 'pspnet', 1),
    'train pspnet, 2 threads': ('train', 'pspnet', 2),
    'train hrnet, 1 thread': ('train', 'hrnet', 1),
    'train hrnet, 2 threads': ('train', 'hrnet', 2),
    'pipeline, JPEG': ('pipeline', 'jpg'),
    'pipeline, PNG': ('pipeline', 'png'),
    'slide pspnet': ('slide', 'pspnet'),
    'metric, 19 classes': ('metric', 19),
    'metric, 150 classes': ('metric', 150),
}


if __name__ == '__main__':
    packages = ('torch', 'numpy', 'mmcv-lite', 'mmsegmentation')
    compare(__doc__ or '', 'segmentation', 'mmseg', packages, write_inputs, CASES, REPEATS)
