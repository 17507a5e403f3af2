"""Config files written for MMClassification 0.25 run as they are, on small data in the official layouts."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from intarsia.cli.main import main

MODEL = """
model = dict(
    type='ImageClassifier',
    backbone=dict(type='{backbone}', depth=18, num_stages=4, out_indices=(3, ), style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes={classes}, in_channels=512,
              loss=dict(type='CrossEntropyLoss', loss_weight=1.0){topk}))
"""
RUNTIME = """
checkpoint_config = dict(interval=1)
log_config = dict(interval=1, hooks=[dict(type='TextLoggerHook'), dict(type='TensorboardLoggerHook')])
dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = None
workflow = [('train', 1)]
optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[100, 150])
runner = dict(type='EpochBasedRunner', max_epochs=1)
"""
CIFAR = """
dataset_type = 'CIFAR10'
img_norm_cfg = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False)
train_pipeline = [
    dict(type='RandomCrop', size=32, padding=4),
    dict(type='RandomFlip', flip_prob=0.5, direction='horizontal'),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label'])
]
test_pipeline = [
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img'])
]
data = dict(
    samples_per_gpu=16, workers_per_gpu=2,
    train=dict(type=dataset_type, data_prefix='data/cifar10', pipeline=train_pipeline),
    val=dict(type=dataset_type, data_prefix='data/cifar10', pipeline=test_pipeline, test_mode=True),
    test=dict(type=dataset_type, data_prefix='data/cifar10', pipeline=test_pipeline, test_mode=True))
"""
FOLDER = """
dataset_type = 'CustomDataset'
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', size=64, backend='pillow'),
    dict(type='RandomFlip', flip_prob=0.5, direction='horizontal'),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label'])
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', size=(72, -1), backend='pillow'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img'])
]
data = dict(
    samples_per_gpu=4, workers_per_gpu=1,
    train=dict(type='RepeatDataset', times=2, dataset=dict(type=dataset_type, data_prefix='data/train', pipeline=train_pipeline)),
    val=dict(type=dataset_type, data_prefix='data/val', ann_file='data/val.txt', classes=['a', 'b'], pipeline=test_pipeline),
    test=dict(type=dataset_type, data_prefix='data/val', ann_file='data/val.txt', classes=['a', 'b'], pipeline=test_pipeline))
evaluation = dict(interval=1, metric=['accuracy', 'precision', 'recall', 'f1_score'], metric_options=dict(topk=(1, )), save_best='auto')
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_cifar(folder):
    rng = np.random.default_rng(0)
    target = folder / 'data' / 'cifar10' / 'cifar-10-batches-py'
    target.mkdir(parents=True)
    for name in [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch']:
        batch = {'data': rng.integers(0, 256, (8, 3072), dtype=np.uint8), 'labels': rng.integers(0, 10, 8).tolist()}
        (target / name).write_bytes(pickle.dumps(batch, protocol=2))


def write_folders(folder):
    rng = np.random.default_rng(0)
    lines = []
    for split in ('train', 'val'):
        for label, name in enumerate('ab'):
            where = folder / 'data' / split / name
            where.mkdir(parents=True)
            for i in range(3):
                img = rng.integers(0, 256, (80 + 10 * i, 100, 3), dtype=np.uint8)
                cv2.imwrite(str(where / f'{i}.jpg'), img)
                lines += [f'{name}/{i}.jpg {label}'] if split == 'val' else []
    (folder / 'data' / 'val.txt').write_text('\n'.join(lines) + '\n')


def test_cifar10(folder):
    write_cifar(folder)
    config = folder / 'resnet18_8xb16_cifar10.py'
    config.write_text(MODEL.format(backbone='ResNet_CIFAR', classes=10, topk='') + CIFAR + RUNTIME)
    assert main(['train', str(config), '--seed', '0']) == 0
    work_dir = folder / 'work_dirs' / 'resnet18_8xb16_cifar10'
    assert (work_dir / 'epoch_1.pth').exists()
    assert list((work_dir / 'tf_logs').iterdir())


def test_an_image_folder(folder, capsys):
    write_folders(folder)
    config = folder / 'resnet18_folder.py'
    config.write_text(MODEL.format(backbone='ResNet', classes=2, topk=', topk=(1, )') + FOLDER + RUNTIME)
    assert main(['train', str(config), '--seed', '0']) == 0
    work_dir = folder / 'work_dirs' / 'resnet18_folder'
    assert list(work_dir.glob('best_accuracy_top-1_epoch_1.pth'))
    capsys.readouterr()
    assert main(['test', str(config), str(work_dir / 'latest.pth')]) == 0
    assert {line.split(':')[0] for line in capsys.readouterr().out.splitlines()} == {
        'accuracy_top-1', 'precision', 'recall', 'f1_score',
    }  # fmt: skip
    assert main(['predict', str(config), str(work_dir / 'latest.pth'), 'data/val/a']) == 0


def test_a_broken_image_is_named(folder, capsys):
    write_folders(folder)
    (folder / 'data' / 'train' / 'a' / '1.jpg').write_bytes(b'no image')
    config = folder / 'c.py'
    config.write_text(MODEL.format(backbone='ResNet', classes=2, topk='') + FOLDER + RUNTIME)
    assert main(['train', str(config), '--cfg-options', 'data.workers_per_gpu=0']) == 1
    assert 'data/train/a/1.jpg' in capsys.readouterr().err
