"""Steps of segmentation pipelines beyond what the fixtures pin: draws, options, and normalisation on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from intarsia.core.errors import DataError
from intarsia.core.index import builtin_entries
from intarsia.core.registries import TRANSFORMS
from intarsia.data.collate import collate
from intarsia.data.device import ToDevice, split_normalize
from intarsia.data.io.image import write_image
from intarsia.data.io.tone import linear_table
from intarsia.data.transforms.transform import Compose
from tests.golden.inputs import image, mask

IMG, MASK = image('seg', (60, 80, 3)), mask('seg', (60, 80), 4)
NORM = {'type': 'Normalize', 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375]}

ARGUMENTS: dict[str, dict[str, Any]] = {
    'Collect': {'keys': ['img', 'gt_semantic_seg']},
    'MultiScaleFlipAug': {'img_ratios': [0.5, 1.0], 'flip': True, 'transforms': [{'type': 'Resize'}]},
    'Pad': {'size': (64, 96)},
    'RandomChoiceResize': {'scales': [40, 48, 56], 'max_size': 70},
    'RandomCrop': {'crop_size': (32, 40), 'cat_max_ratio': 0.4},
    'RandomCutOut': {'prob': 1.0, 'n_holes': (1, 3), 'cutout_shape': [(8, 4), (4, 8)], 'seg_fill_in': 255},
    'RandomFlip': {'prob': 1.0},
    'RandomMosaic': {'prob': 1.0, 'img_scale': (40, 48)},
    'RandomRotate': {'prob': 1.0, 'degree': 20.0},
    'Resize': {'img_scale': (100, 70), 'ratio_range': (0.5, 2.0)},
    'ResizeShortestEdge': {'scale': 48, 'max_size': 100},
    'SegRescale': {'scale_factor': 0.5},
}
NAMES = sorted({e.name for e in builtin_entries() if e.registry == 'TRANSFORMS' and e.task == 'segmentation'})


def build(kind: str, **arguments: Any) -> Any:
    return TRANSFORMS.of('segmentation').build({'type': kind, **arguments})


def sample(**more: Any) -> dict[str, Any]:
    return {'img': IMG.copy(), 'gt_semantic_seg': MASK.copy(), 'seg_fields': ['gt_semantic_seg'], **more}


def run(steps: list[Any], results: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    found = Compose(steps, 'segmentation')(results, np.random.default_rng(seed))
    assert found is not None
    return found


@pytest.mark.parametrize('name', [n for n in NAMES if n != 'LoadAnnotations'])
@pytest.mark.parametrize('seed', [0, 1])
def test_same_seed_same_result_and_nothing_changed_in_place(name: str, seed: int) -> None:
    transform = build(name, **ARGUMENTS.get(name, {}))
    given = sample(mix_results=[sample(), sample(), sample()])
    arrays = dict(given)
    first = transform(given, np.random.default_rng(seed))
    assert np.array_equal(arrays['img'], IMG)
    assert np.array_equal(arrays['gt_semantic_seg'], MASK)
    np.random.seed(seed + 1)
    again = transform(sample(mix_results=[sample(), sample(), sample()]), np.random.default_rng(seed))
    assert str(first) == str(again)


@pytest.mark.parametrize('name', ['Resize', 'ResizeToMultiple', 'RandomFlip', 'Pad', 'RandomCrop', 'RandomRotate'])
@pytest.mark.parametrize('seed', range(4))
def test_a_mask_follows_its_image(name: str, seed: int) -> None:
    """A mask as image and as mask must end up alike, where nothing is interpolated and borders are the same."""
    exact = {'RandomFlip', 'Pad', 'RandomCrop'}
    arguments = {**ARGUMENTS.get(name, {}), **({'pad_val': 255} if name == 'Pad' else {})}
    found = build(name, **arguments)(sample(img=MASK.copy()), np.random.default_rng(seed))
    assert found['img'].shape == found['gt_semantic_seg'].shape == found['pad_shape']
    assert name not in exact or np.array_equal(found['img'], found['gt_semantic_seg'])
    assert set(np.unique(found['gt_semantic_seg'])) <= {0, 1, 2, 3, 255}


def test_scales_are_drawn_as_asked() -> None:
    def scales(**arguments: Any) -> list[Any]:
        return [build('Resize', **arguments).draw(np.random.default_rng(i), IMG)['scale'] for i in range(200)]

    between = scales(img_scale=[(200, 80), (100, 120)])
    longer, shorter = zip(*between, strict=True)
    assert (min(longer), max(longer), min(shorter), max(shorter)) == (120, 200, 80, 100)
    assert set(scales(img_scale=[(200, 80), (100, 40)], multiscale_mode='value')) == {(200, 80), (100, 40)}
    ratios = np.array(scales(img_scale=[200, 100], ratio_range=(0.5, 2.0)))
    assert ratios.min() >= 50
    assert ratios.max() <= 400
    assert (abs(ratios[:, 0] - 2 * ratios[:, 1]) <= 1).all()
    assert scales(ratio_range=(1.0, 1.0))[0] == (80, 60)


def test_contradictions_are_errors() -> None:
    for kind, arguments in {
        'Resize': {'img_scale': [(1, 2), (3, 4)], 'ratio_range': (0.5, 1)},
        'Pad': {'size': (4, 4), 'size_divisor': 4},
        'RandomRotate': {'prob': 1.0, 'degree': 5, 'center': (0, 0), 'auto_bound': True},
        'RandomCutOut': {'prob': 1.0, 'n_holes': 1},
        'MultiScaleFlipAug': {'transforms': []},
        'RandomCrop': {'crop_size': (0, 4)},
    }.items():
        with pytest.raises(ValueError, match=r'\w'):
            build(kind, **arguments)
    with pytest.raises(ValueError, match='img_scale'):
        run([{'type': 'Resize'}], sample())


def test_a_second_flip_draws_for_itself() -> None:
    both = [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 1.0, 'direction': 'vertical'}]
    assert np.array_equal(run(both, sample())['gt_semantic_seg'], MASK[::-1, ::-1])


def test_a_crop_avoids_one_class() -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 60:] = 1
    crop = build('RandomCrop', crop_size=(30, 30), cat_max_ratio=0.75)
    varied = [crop(sample(gt_semantic_seg=labels), np.random.default_rng(i))['gt_semantic_seg'] for i in range(50)]
    shares = np.array([each.mean() for each in varied])
    assert np.mean((shares > 0.25) & (shares < 0.75)) > 0.8
    assert not crop.is_varied(np.full((4, 4), 255, np.uint8))


@pytest.mark.parametrize('factor', [0.5, 0.77, 1.3])
def test_tables_equal_the_calculation(factor: float) -> None:
    calculated = np.clip(IMG.astype(np.float32) * factor + 5.5, 0, 255).astype(np.uint8)
    assert np.array_equal(linear_table(factor, 5.5)[IMG], calculated)


def test_more_channels_and_bits() -> None:
    many = np.random.default_rng(0).integers(0, 60000, (40, 50, 6), np.uint16)
    steps = [
        {'type': 'Resize', 'img_scale': (70, 60)},
        {'type': 'RandomCrop', 'crop_size': (48, 48)},
        {'type': 'RandomFlip', 'prob': 1.0},
        {'type': 'Normalize', 'mean': [30000.0] * 6, 'std': [17000.0] * 6, 'to_rgb': False},
        {'type': 'Pad', 'size': (64, 64)},
        {'type': 'DefaultFormatBundle'},
    ]
    found = run(steps, sample(img=many, gt_semantic_seg=MASK[:40, :50].copy()))
    assert found['img'].shape == (6, 64, 64)
    assert found['gt_semantic_seg'].shape == (1, 64, 64)
    assert (found['img'].dtype, found['gt_semantic_seg'].dtype) == (torch.float32, torch.uint8)
    assert (found['img'][:, 48:] == 0).all()
    assert (found['gt_semantic_seg'][:, :, 48:] == 255).all()


@pytest.mark.parametrize('size', [(64, 96), (40, 48)])
def test_normalisation_on_the_device_is_exact(size: tuple[int, int]) -> None:
    pipeline = [
        {'type': 'Resize', 'img_scale': (80, 60), 'ratio_range': (0.5, 1.5)},
        {'type': 'RandomCrop', 'crop_size': size, 'cat_max_ratio': 0.9},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PhotoMetricDistortion'},
        NORM,
        {'type': 'Pad', 'size': size, 'pad_val': 0, 'seg_pad_val': 255},
        {'type': 'DefaultFormatBundle'},
        {'type': 'Collect', 'keys': ['img', 'gt_semantic_seg']},
    ]
    left, normalize = split_normalize(pipeline, 'segmentation')
    assert normalize is not None
    assert len(left) == len(pipeline) - 1
    batches = [collate([run(steps, sample(), seed) for seed in range(6)]) for steps in (pipeline, left)]
    moved = ToDevice('cpu', normalize)(batches[1])
    assert torch.equal(batches[0]['img'], moved['img'])
    assert torch.equal(batches[0]['gt_semantic_seg'], moved['gt_semantic_seg'])


def test_normalisation_stays_where_padding_is_not_known() -> None:
    pad = {'type': 'Pad', 'size': (64, 96)}
    collect = {'type': 'Collect', 'keys': ['img']}
    assert split_normalize([NORM, pad, collect], 'segmentation')[1] is not None
    assert split_normalize([NORM, pad, collect], 'classification')[1] is None
    assert split_normalize([NORM, {**pad, 'pad_val': 3}, collect], 'segmentation')[1] is None
    assert split_normalize([NORM, pad, {**collect, 'meta_keys': ['filename']}], 'segmentation')[1] is None
    assert split_normalize([NORM, lambda results: results], 'segmentation')[1] is None


# ---------------------------------------------------------------------- masks


def load(path: Any, **more: Any) -> np.ndarray:
    return run([{'type': 'LoadAnnotations'}], {'seg_map_path': str(path), **more})['gt_semantic_seg']


def test_labels_are_mapped_then_reduced(tmp_path: Any) -> None:
    stored = np.array([[0, 1, 2, 255]], np.uint8)
    write_image(stored, tmp_path / 'mask.png')
    assert load(tmp_path / 'mask.png').tolist() == [[0, 1, 2, 255]]
    assert load(tmp_path / 'mask.png', reduce_zero_label=True).tolist() == [[255, 0, 1, 255]]
    assert load(tmp_path / 'mask.png', label_map={1: -1, 2: 0}).tolist() == [[0, 255, 0, 255]]


def test_masks_in_colours(tmp_path: Any) -> None:
    colors = [(0, 0, 0), (200, 10, 30), (0, 255, 255)]
    labels = MASK % 3
    write_image(np.array(colors, np.uint8)[labels], tmp_path / 'mask.png', channel_order='rgb')
    assert np.array_equal(load(tmp_path / 'mask.png', mask_colors=colors), labels)
    assert np.unique(load(tmp_path / 'mask.png', mask_colors=colors[:2])).tolist() == [0, 1, 255]
    with pytest.raises(DataError, match='color_coded=True'):
        load(tmp_path / 'mask.png')


@pytest.mark.parametrize(('content', 'said'), [(np.dstack([MASK] * 3), 'are equal'), (IMG, 'saved as JPEG')])
def test_channels_are_explained(tmp_path: Any, content: np.ndarray, said: str) -> None:
    write_image(content, tmp_path / 'mask.png')
    with pytest.raises(DataError, match=said):
        load(tmp_path / 'mask.png')


def test_labels_beyond_eight_bits(tmp_path: Any) -> None:
    write_image(MASK.astype(np.uint16), tmp_path / 'mask.png')
    assert np.array_equal(load(tmp_path / 'mask.png'), MASK)
    write_image(MASK.astype(np.uint16) + 100, tmp_path / 'large.png')
    with pytest.raises(DataError, match=r'large\.png.*from 100 to 355'):
        load(tmp_path / 'large.png')


def test_borders_of_masks() -> None:
    label = np.zeros((6, 8), np.uint8)
    label[:, 4:], label[:2, :2] = 3, 255
    found = run([{'type': 'GenerateEdge', 'edge_width': 1}], sample(gt_semantic_seg=label))
    assert found['seg_fields'] == ['gt_semantic_seg', 'gt_edge_map']
    expected = np.zeros((6, 8), np.uint8)
    expected[:, 3] = 1
    expected[:5, 4] = 1  # from the diagonal that goes up to the right
    assert np.array_equal(found['gt_edge_map'], expected)
    wide = run([{'type': 'GenerateEdge'}, {'type': 'DefaultFormatBundle'}], sample(gt_semantic_seg=label))
    assert wide['gt_edge_map'].shape == (1, 6, 8)
    assert wide['gt_edge_map'][0, 3].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


def test_the_shorter_side_gets_a_length_if_the_longer_one_may() -> None:
    assert run([{'type': 'ResizeShortestEdge', 'scale': 30, 'max_size': 100}], sample())['img'].shape == (30, 40, 3)
    assert run([{'type': 'ResizeShortestEdge', 'scale': (90, 30), 'max_size': 20}], sample())['img'].shape[1] == 20
    step = {'type': 'RandomChoiceResize', 'scales': [30, 45], 'max_size': 100, 'resize_type': 'ResizeShortestEdge'}
    assert {run([step], sample(), seed)['img'].shape[0] for seed in range(9)} == {30, 45}
