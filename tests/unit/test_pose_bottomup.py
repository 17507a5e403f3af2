"""Models that see all people in an image at once, and data sets with different joints: what records do not show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core.registries import CODECS, DATASETS, OPTIMIZER_BUILDERS, SAMPLERS, TRANSFORMS
from intarsia.nn.deform_conv import DeformConv2d
from intarsia.tasks.pose.codecs.spr import SPR
from intarsia.tasks.pose.heads.decoupling import middles_of

SIZE = (48, 64)
AIC_TO_COCO = [(0, 6), (1, 8), (2, 10), (3, 5), (4, 7), (5, 9), (6, 12), (7, 14), (8, 16), (9, 11), (10, 13), (11, 15)]


def step(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('pose').build({'type': kind, **arguments})


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def write(folder: Path, name: str, num_joints: int, count: int) -> str:
    """An annotation file, one person an image."""
    rng = np.random.default_rng(num_joints)
    joints = np.concatenate([rng.uniform(10, 50, (count, num_joints, 2)), np.full((count, num_joints, 1), 2)], 2)
    content = {
        'images': [{'id': i, 'file_name': f'{i}.png', 'width': 80, 'height': 60} for i in range(count)],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': [
            {'id': i, 'image_id': i, 'bbox': [5, 5, 50, 50], 'area': 900, 'category_id': 1, 'keypoints': row}
            for i, row in enumerate(joints.reshape(count, -1).tolist())
        ],
    }
    for i in range(count):
        cv2.imwrite(str(folder / f'{i}.png'), image())
    (folder / name).write_text(json.dumps(content))
    return str(folder / name)


def combined(folder: Path, **more: Any) -> Any:
    codec = {'type': 'UDPHeatmap', 'input_size': SIZE, 'heatmap_size': (12, 16), 'sigma': 2}
    convert = {'type': 'KeypointConverter', 'num_keypoints': 17, 'mapping': AIC_TO_COCO}
    common = {'img_prefix': str(folder), 'codec': codec}
    coco = {'type': 'TopDownCocoDataset', 'ann_file': write(folder, 'coco.json', 17, 4), 'pipeline': [], **common}
    aic = {'type': 'TopDownAicDataset', 'ann_file': write(folder, 'aic.json', 14, 3), 'pipeline': [convert], **common}
    pipeline = [
        {'type': kind}
        for kind in ('LoadImageFromFile', 'TopDownGetBboxCenterScale', 'TopDownAffine', 'GenerateTarget', 'ToTensor')
    ]
    collect = {'type': 'Collect', 'keys': ['img', 'target', 'target_weight']}
    node = {
        'type': 'CombinedDataset',
        'dataset_info': 'coco',
        'datasets': [coco, aic],
        'pipeline': [*pipeline, collect],
    }
    return DATASETS.of('pose').build({**node, **more})


# ---------------------------------------------------------------------- data sets with different joints


def test_combined_data_sets_have_the_joints_of_all(tmp_path: Path) -> None:
    dataset = combined(tmp_path)
    assert len(dataset) == 7
    sample, truth = dataset[5], dataset.truth(5)
    assert sample['target'].shape == (17, 16, 12)
    known = np.isin(np.arange(17), [new for _, new in AIC_TO_COCO])
    np.testing.assert_array_equal(truth['visible'] > 0, known)
    np.testing.assert_array_equal(sample['target_weight'][:, 0] > 0, known)
    assert truth['bbox_id'] == 5
    assert len(dataset.metric_arguments()['sigmas']) == 17


def test_combined_data_sets_draw_a_part_or_several_times(tmp_path: Path) -> None:
    dataset = combined(tmp_path, sample_ratio_factor=[0.5, 2])
    assert dataset.counts == [2, 6]
    assert [dataset.locate(i)[1] for i in range(2, 8)] == [0, 0, 1, 1, 2, 2]
    assert {dataset.locate(0, drawn)[1] for drawn in np.linspace(0, 1, 20)} == {0, 1}
    with pytest.raises(ValueError, match='sample_ratio_factor is a number'):
        combined(tmp_path, sample_ratio_factor=[1])


def test_batches_have_a_part_of_each_source(tmp_path: Path) -> None:
    dataset = combined(tmp_path)
    node = {'type': 'MultiSourceSampler', 'batch_size': 4, 'source_ratio': [1, 3]}
    ranks = [SAMPLERS.build(node, dataset=dataset, seed=1, rank=rank, world_size=2, pad=True) for rank in (0, 1)]
    order = ranks[0].order(0)
    np.testing.assert_array_equal(order, ranks[1].order(0))
    first = order[ranks[0].positions()[:4]]
    np.testing.assert_array_equal(first >= 4, [False, True, True, True])
    assert sorted(ranks[0]._drawn(0, 0, 4)) == [0, 1, 2, 3]  # every sample once before one comes again
    assert sorted(np.concatenate([ranks[0]._drawn(1, 0, 2), ranks[0]._drawn(1, 2, 1)])) == [0, 1, 2]


# ---------------------------------------------------------------------- steps


def test_steps_of_albumentations() -> None:
    img = np.full((64, 48, 3), 200, np.uint8)
    hole = step('CoarseDropout', max_holes=1, max_height=0.4, max_width=0.4, min_height=0.2, min_width=0.2, p=1.0)
    sides = hole.drawn(np.random.default_rng(0), img)['holes']
    assert len(sides) == 1
    left, top, right, bottom = sides[0]
    assert 9 <= right - left <= 19
    assert 12 <= bottom - top <= 25
    both = step('Albumentation', transforms=[{'type': 'Blur', 'p': 1.0}, {'type': 'GridDropout', 'p': 1.0}])
    result = both({'img': img}, np.random.default_rng(0))['img']
    assert 0 < (result == 0).mean() < 0.5
    assert (img == 200).all()
    never = step('Albumentation', transforms=[{'type': 'MedianBlur', 'p': 0.0}])
    assert never({'img': img}, np.random.default_rng(0))['img'] is img


def test_resized_images_say_what_they_show() -> None:
    results = step('BottomupResize', input_size=(64, 64), resize_mode='expand')(
        {'img': image()}, np.random.default_rng()
    )
    assert results['img'].shape == (64, 96, 3)
    np.testing.assert_allclose(results['input_center'], [40, 30])
    np.testing.assert_allclose(results['input_scale'], [90, 60])
    with pytest.raises(ValueError, match='multiples of 32'):
        step('BottomupResize', input_size=(60, 64))


# ---------------------------------------------------------------------- codecs, layers


def test_single_points_come_back() -> None:
    codec = CODECS.of('pose').build(
        {'type': 'SPR', 'input_size': (128, 96), 'heatmap_size': (32, 24), 'sigma': (3, 1), 'minimal_diagonal_length': 2,
         'generate_keypoint_heatmaps': True}
    )  # fmt: skip
    assert isinstance(codec, SPR)
    rng = np.random.default_rng(0)
    joints = np.stack([rng.uniform(8, 40, (5, 2)), rng.uniform(60, 90, (5, 2))]).astype(np.float32)
    encoded = codec.encode(joints, np.ones((2, 5)))
    people = codec.decode([torch.from_numpy(encoded[key]) for key in ('heatmaps', 'displacements')])
    order = np.argsort(people.keypoints.numpy()[:, 0, 0])
    np.testing.assert_allclose(people.keypoints.numpy()[order], joints, atol=1e-3)
    assert (people.scores > 0.3).all()


def test_unmoved_taps_are_a_convolution() -> None:
    conv = DeformConv2d(6, 4, 3, stride=2, padding=1, groups=2, deform_groups=3)
    x_nchw = torch.randn(2, 6, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = F.conv2d(x_nchw, conv.weight, stride=2, padding=1, groups=2)
    torch.testing.assert_close(conv(x_nchw, torch.zeros(2, 54, 5, 4)), expected, atol=1e-5, rtol=1e-5)


def test_middles_are_peaks_above_the_threshold() -> None:
    heat = torch.zeros(1, 1, 20, 30)
    heat[0, 0, 4, 7], heat[0, 0, 15, 22], heat[0, 0, 10, 10] = 0.9, 0.5, 0.01
    place, score = middles_of(heat, 3, 30, 0.1)
    assert place.tolist() == [[7, 4], [22, 15]]
    assert score[0] > score[1]


def test_position_embeddings_do_not_decay() -> None:
    class VisionTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    model = nn.Module()
    model.backbone, model.head = VisionTransformer(), nn.Linear(4, 2)
    build = OPTIMIZER_BUILDERS.get('LayerDecayOptimWrapperConstructor')
    options = {'num_layers': 2, 'layer_decay_rate': 0.5, 'custom_keys': {'norm': {'decay_mult': 0.0}}}
    groups = build({'type': 'AdamW', 'lr': 1.0, 'weight_decay': 0.1}, options)(model).param_groups
    found = {group['group_name']: (group['lr'], group['weight_decay']) for group in groups}
    assert found == {
        'layer_0_no_decay': (0.125, 0.0), 'layer_1_decay': (0.25, 0.1), 'layer_1_no_decay': (0.25, 0.0),
        'layer_2_decay': (0.5, 0.1), 'layer_2_no_decay': (0.5, 0.0), 'layer_3_decay': (1.0, 0.1),
        'layer_3_no_decay': (1.0, 0.0),
    }  # fmt: skip
