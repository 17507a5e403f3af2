"""A bottom-up model on whole images: trained, evaluated, predicted, and right if its maps are."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import intarsia
from intarsia.api.data import build_dataset
from intarsia.api.models import build_model
from intarsia.api.tasks import find_task, ready
from intarsia.api.train import train
from intarsia.config.file import config_of
from intarsia.tasks.pose.transforms.affine import crop_matrix
from intarsia.tasks.pose.transforms.bottom_up_resize import input_for

FIGURES = Path(__file__).resolve().parents[2] / 'data/figures'
NUM_JOINTS, SIDE, STRIDE = 17, 128, 4
NORM = [dict(type='ToTensor'), dict(type='NormalizeTensor', mean=[0.5] * 3, std=[0.2] * 3)]
DATA_CFG = dict(image_size=SIDE, base_size=64, base_sigma=2, heatmap_size=[SIDE // STRIDE], num_joints=NUM_JOINTS,
                dataset_channel=[list(range(NUM_JOINTS))], inference_channel=list(range(NUM_JOINTS)), num_scales=1)  # fmt: skip
TRAIN = [
    dict(type='LoadImageFromFile'),
    dict(type='BottomUpRandomAffine', rot_factor=30, scale_factor=[0.75, 1.5], scale_type='short', trans_factor=40),
    dict(type='BottomUpRandomFlip', flip_prob=0.5), *NORM,
    dict(type='BottomUpGenerateTarget', sigma=2, max_num_people=30),
    dict(type='Collect', keys=['img', 'joints', 'targets', 'masks'], meta_keys=[]),
]  # fmt: skip
SEEN = ['image_file', 'aug_data', 'test_scale_factor', 'base_size', 'center', 'scale', 'flip_index']
VAL = [
    dict(type='LoadImageFromFile'),
    dict(type='BottomUpGetImgSize', test_scale_factor=[1]),
    dict(type='BottomUpResizeAlign', transforms=NORM),
    dict(type='Collect', keys=['img'], meta_keys=SEEN),
]


def dataset(split, pipeline):
    return dict(
        type='BottomUpCocoDataset', ann_file=str(FIGURES / f'annotations/person_keypoints_{split}.json'),
        img_prefix=f'{FIGURES}/images/{split}/', data_cfg=DATA_CFG, pipeline=pipeline,
    )  # fmt: skip


@pytest.fixture
def values():
    loss = dict(type='MultiLossFactory', num_joints=NUM_JOINTS, num_stages=1, ae_loss_type='exp', with_ae_loss=[True],
                push_loss_factor=[0.001], pull_loss_factor=[0.001], with_heatmaps_loss=[True],
                heatmaps_loss_factor=[1.0])  # fmt: skip
    head = dict(type='AESimpleHead', in_channels=64, num_joints=NUM_JOINTS, num_deconv_layers=3,
                num_deconv_filters=[16] * 3, num_deconv_kernels=[4] * 3, tag_per_joint=True, with_ae_loss=[True],
                loss_keypoint=loss)  # fmt: skip
    return copy.deepcopy(dict(
        model=dict(
            type='AssociativeEmbedding',
            backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
            keypoint_head=head,
            test_cfg=dict(num_joints=NUM_JOINTS, max_num_people=30, detection_threshold=0.1, tag_threshold=1,
                          flip_test=True),
        ),
        data=dict(samples_per_gpu=4, val_dataloader=dict(samples_per_gpu=1), train=dataset('train', TRAIN),
                  val=dataset('val', VAL), test=dataset('val', VAL)),
        optimizer=dict(type='Adam', lr=1e-3),
        runner=dict(type='IterBasedRunner', max_iters=2),
        evaluation=dict(interval=2, metric='mAP'),
        checkpoint_config=dict(interval=2, by_epoch=False),
        log_config=dict(interval=1, hooks=[]),
    ))  # fmt: skip


def test_it_is_trained_evaluated_and_predicts_images(values, tmp_path):
    values['data']['val'] = {**values['data']['val'], 'ann_file': few_images(tmp_path, 3)}
    config = config_of({**values, 'work_dir': str(tmp_path / 'run'), 'seed': 0})
    result = train(config)
    assert 0 <= result.metrics['AP'] <= 1
    model = intarsia.load(values, tmp_path / 'run/latest.pth')
    (found,) = model.predict([FIGURES / 'images/val/000001.jpg'])
    assert found.keypoints.shape[1:] == (NUM_JOINTS, 2)


def few_images(folder, count):
    import json

    content = json.loads((FIGURES / 'annotations/person_keypoints_val.json').read_text())
    content['images'] = content['images'][:count]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [each for each in content['annotations'] if each['image_id'] in kept]
    (folder / 'few.json').write_text(json.dumps(content))
    return str(folder / 'few.json')


def perfect_maps(truth, shape_hw, matrix):
    """Heat maps and tags that a network would give that makes no mistake."""
    height, width = (side // STRIDE for side in shape_hw)
    rows, columns = np.mgrid[:height, :width]
    maps = np.zeros((2 * NUM_JOINTS, height, width), np.float32)
    for person, joints in enumerate(truth['keypoints'] @ matrix[:, :2].T + matrix[:, 2]):
        for joint, (x, y) in enumerate(joints / STRIDE):
            if truth['visible'][person, joint] > 0:
                heat = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4.5)
                maps[joint] = np.maximum(maps[joint], heat)
                maps[NUM_JOINTS + joint][heat > 0.05] = 5 * person
    return torch.from_numpy(maps)[None]


def test_perfect_maps_give_the_true_joints(values, tmp_path):
    values['data']['val']['ann_file'] = few_images(tmp_path, 12)
    values['model']['test_cfg']['flip_test'] = False
    values = ready(config_of(values)).values
    data = build_dataset(values['data']['val'], find_task(values['model']), test_mode=True)
    model = build_model(values['model']).eval()
    errors = []
    for index in range(len(data)):
        sample, truth = data[index], data.truth(index)
        (view,) = sample['img_metas']['aug_data']
        size, center, shown = input_for(sample['img'], SIDE, 1, 1, 64, False)
        maps = perfect_maps(truth, view.shape[-2:], crop_matrix(center, shown, 0, size))
        model.forward = lambda _, maps=maps: [maps]
        (found,) = model.results_of(torch.as_tensor(sample['img'])[None], [sample['img_metas']])
        seen = truth['visible'] > 0
        distance = np.linalg.norm(truth['keypoints'][:, None] - found.keypoints[None], axis=-1)  # true, found, joints
        errors += [distance[p][:, seen[p]].mean(-1).min() for p in range(len(seen))]
    pixel = 1.5 * STRIDE  # of a map, in pixels of the image; growing the maps moves peaks by half of one, as of old
    assert np.median(errors) < pixel
    assert np.mean(np.array(errors) < 1.5 * pixel) > 0.9
