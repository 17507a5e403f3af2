"""A segmentor through the command line, on a few real images, cut short."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import intarsia
from tests.e2e import commands

ROOT = Path(__file__).resolve().parents[2]
RECIPE = 'configs/segmentation/unet_cells.py'
IMAGE = 'data/cells/images/val/t7_r0_c0.png'
CLASSES = ['background', 'cytoplasm', 'nucleus']
SHORT = [
    '--cfg-options', 'model.backbone.base_channels=4', 'model.decode_head.in_channels=4', 'model.decode_head.channels=4',
    'data.samples_per_gpu=2', 'lr_config.warmup_iters=2', 'runner.max_iters=4', 'evaluation.interval=4',
    'checkpoint_config.interval=2', 'log_config.interval=2', 'custom_hooks=[]',
]  # fmt: skip
TUTORIAL = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    pretrained='pretrain_model/resnet50_v1c_trick-2cccc1ad.pth',
    backbone=dict(
        type='ResNetV1c',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        contract_dilation=True),
    decode_head=dict(
        type='PSPHead',
        in_channels=2048,
        in_index=3,
        channels=512,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)))
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
data = dict(
    train=dict(
        type='CityscapesDataset',
        data_root='data/cityscapes',
        img_dir='leftImg8bit/train',
        ann_dir='gtFine/train',
        pipeline=pipeline))
"""


def run_command(folder, *words):
    return commands.run(['intarsia', *map(str, words)], folder)


def done(folder, *words):
    output, code = run_command(folder, *words)
    assert code == 0, output
    return output


def document(output):
    """The JSON in what a command printed."""
    start = min(i for i in map(output.find, '[{') if i >= 0)
    return json.JSONDecoder().raw_decode(output[start:])[0]


def records(work_dir):
    return [json.loads(line) for file in work_dir.glob('*.log.json') for line in file.read_text().splitlines()]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where everything runs; ``whole`` in it is a run of four iterations."""
    folder = tmp_path_factory.mktemp('segmentation')
    for name in ('configs', 'data'):
        (folder / name).symlink_to(ROOT / name)
    log = done(folder, 'train', RECIPE, '--work-dir', 'whole', '--seed', 3, *SHORT)
    assert 'nucleus' in log  # the table of the evaluation
    return folder


def test_a_run_logs_losses_by_name_and_metrics_by_class(folder):
    train = [each for each in records(folder / 'whole') if each.get('mode') == 'train']
    assert [each['iter'] for each in train] == [2, 4]
    assert {'decode.loss_ce', 'decode.loss_dice', 'decode.acc_seg', 'loss'} <= train[0].keys()
    (evaluation,) = (each for each in records(folder / 'whole') if each.get('mode') == 'val')
    assert evaluation['mIoU'] == pytest.approx(np.mean([evaluation[f'IoU.{name}'] for name in CLASSES]), abs=2e-4)
    assert (folder / 'whole' / 'best_mIoU_iter_4.pth').is_file()


def test_a_resumed_run_ends_with_identical_weights(folder):
    options = [*SHORT, 'data.workers_per_gpu=1']
    done(folder, 'train', RECIPE, '--work-dir', 'resumed', '--seed', 3, '--resume-from', 'whole/iter_2.pth',
         '--no-validate', *options)  # fmt: skip
    whole, resumed = (
        torch.load(folder / name / 'iter_4.pth', weights_only=True)['state_dict'] for name in ('whole', 'resumed')
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_testing_repeats_the_numbers_of_the_run(folder):
    outcome = document(done(folder, 'test', RECIPE, 'whole/iter_4.pth', '--json', *SHORT))
    assert outcome['num_samples'] == 12
    (evaluation,) = (each for each in records(folder / 'whole') if each.get('mode') == 'val')
    for name, value in outcome['metrics'].items():
        assert value == pytest.approx(evaluation[name], abs=1e-4), name


def test_predictions_are_shares_and_a_picture_with_a_legend(folder):
    (answer,) = document(done(folder, 'predict', RECIPE, 'whole/iter_4.pth', IMAGE, '--json', *SHORT))
    assert answer['file'] == IMAGE
    result = answer['result']
    assert (result['height'], result['width']) == (96, 192)
    assert set(result['shares']) <= set(CLASSES)
    assert sum(result['shares'].values()) == pytest.approx(1)
    width, height = Image.open(folder / answer['output']).size
    assert width == 192
    assert height > 96


def test_browsing_draws_samples_beside_their_masks(folder):
    done(folder, 'browse', RECIPE, '--num', 4, '--out', 'browse.png', '--seed', 3, *SHORT)
    sheet = np.array(Image.open(folder / 'browse.png'))
    assert sheet.shape[1] > 2 * 200
    left, right = sheet[6:120, 6:120].astype(int), sheet[6:120, 132:240].astype(int)
    assert left.std() > 10
    assert right.std() > 10
    assert not np.array_equal(left[:, :100], right[:, :100])


def test_a_wrong_mask_is_named_before_training(folder):
    shutil.copytree(ROOT / 'data' / 'cells', folder / 'wrong')
    file = folder / 'wrong' / 'annotations' / 'train' / 't3_r1_c1.png'
    mask = np.array(Image.open(file))
    mask[:5, :7] = 3
    Image.fromarray(mask).save(file)
    output, code = run_command(folder, 'train', RECIPE, '--work-dir', 'never', *SHORT, 'data.train.data_root=wrong')
    assert code == 2
    assert 'wrong/annotations/train/t3_r1_c1.png' in output
    assert '3 (35 pixels in 1 of 36 masks)' in output
    assert not list(folder.glob('never/*.pth'))


def test_the_config_of_the_tutorial_is_right_as_it_is(folder):
    (folder / 'pspnet.py').write_text(TUTORIAL)
    assert 'ok' in done(folder, 'config', 'check', 'pspnet.py', '--no-files', '--build')
    output, code = run_command(folder, 'config', 'check', 'pspnet.py')
    assert code == 2
    assert 'pspnet.py:5: model.pretrained: pretrain_model/resnet50_v1c_trick-2cccc1ad.pth does not exist' in output


def test_the_network_of_the_tutorial_builds():
    namespace: dict = {}
    exec(TUTORIAL, namespace)
    with torch.device('meta'):
        model = intarsia.build_model(namespace['model'], init=False).eval()
        assert model(torch.empty(1, 3, 64, 64)).shape == (1, 19, 64, 64)
    assert model.decode_head.conv_seg.weight.shape == (19, 512, 1, 1)
