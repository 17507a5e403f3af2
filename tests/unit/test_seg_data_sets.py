"""Data sets of segmentation, on files written for the purpose and on those of the repository."""

from __future__ import annotations

import pickle
import re
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intarsia.config.components import find_signature
from intarsia.core.errors import DataError
from intarsia.core.index import builtin_entries
from intarsia.core.registries import DATASETS
from intarsia.data.io.image import write_image
from intarsia.data.loader import Loader
from intarsia.data.samplers import RandomSampler
from intarsia.data.seeding import SampleKey
from intarsia.tasks.segmentation.datasets.mask_check import check_masks
from tests.golden.inputs import image, mask

DATA = Path(__file__).parents[2] / 'data'
LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
CLASSES = ['ground', 'grass', 'tree']


def build(kind: str = 'CustomDataset', **arguments: Any) -> Any:
    return DATASETS.of('segmentation').build({'type': kind, 'pipeline': LOAD, **arguments})


def write(root: Path, names: Any = ('a', 'b', 'deep/c'), labels: Any = None, suffix: str = '.png') -> dict[str, Any]:
    """Images and masks in ``root``, and the arguments for them."""
    for i, name in enumerate(names):
        content = labels if labels is not None else mask(f'{root.name}{name}', (24, 32), 3)
        write_image(image(name, (24, 32, 3)), root / 'img' / f'{name}.jpg')
        write_image(content[i] if isinstance(content, list) else content, root / 'ann' / f'{name}{suffix}')
    return {'data_root': str(root), 'img_dir': 'img', 'ann_dir': 'ann', 'classes': CLASSES}


def test_folders_and_split(tmp_path: Path) -> None:
    arguments = write(tmp_path)
    dataset = build(**arguments)
    assert [dataset.describe(i)[len(str(tmp_path)) + 5 :] for i in range(3)] == ['a.jpg', 'b.jpg', 'deep/c.jpg']
    sample = dataset[2]
    assert np.array_equal(sample['gt_semantic_seg'], mask(f'{tmp_path.name}deep/c', (24, 32), 3))
    assert np.array_equal(dataset.get_gt_seg_map_by_idx(2), sample['gt_semantic_seg'])
    assert sample['img'].shape == sample['ori_shape'] == (24, 32, 3)
    assert len(list(dataset.get_gt_seg_maps())) == 3
    (tmp_path / 'val.txt').write_text('deep/c\n\na\n')
    listed = build(**arguments, split='val.txt')
    assert [listed.annotations[i]['ann_info']['seg_map'] for i in range(2)] == ['deep/c.png', 'a.png']
    assert build(**{**arguments, 'img_dir': str(tmp_path / 'img')})[0]['ori_filename'] == 'a.jpg'
    other = pickle.loads(ForkingPickler.dumps(dataset))
    assert np.array_equal(other[1]['gt_semantic_seg'], dataset[1]['gt_semantic_seg'])


def test_lists_make_one_data_set(tmp_path: Path) -> None:
    write(tmp_path)
    for number in (1, 2):
        (tmp_path / f'{number}.txt').write_text('a\nb\n'[: 2 * number])
    write_image(np.ones((24, 32), np.uint8), tmp_path / 'aug' / 'a.png')
    write_image(np.ones((24, 32), np.uint8), tmp_path / 'aug' / 'b.png')
    dataset = build(
        'PascalVOCDataset', data_root=str(tmp_path), img_dir='img', ann_dir=['ann', 'aug'], split=['1.txt', '2.txt']
    )
    assert [dataset.describe(i)[-5:] for i in range(len(dataset))] == ['a.jpg', 'a.jpg', 'b.jpg']
    assert not np.array_equal(dataset.get_gt_seg_map_by_idx(0), dataset.get_gt_seg_map_by_idx(1))
    assert (dataset.get_gt_seg_map_by_idx(2) == 1).all()
    assert len(build(data_root=str(tmp_path), img_dir=['img', 'img'], ann_dir=['ann', 'ann'])) == 6
    with pytest.raises(ValueError, match='different lengths'):
        build(data_root=str(tmp_path), img_dir=['img'], ann_dir=['ann', 'aug'])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    arguments = write(tmp_path)
    for change, said in (
        ({'img_dir': 'nowhere'}, 'there is no folder'),
        ({'img_suffix': '.tif'}, r'none of the 3 files .* ends with \.tif'),
        ({'split': 'nowhere.txt'}, 'there is no split file'),
    ):
        with pytest.raises(DataError, match=said):
            build(**{**arguments, **change})
    with pytest.raises(ValueError, match='needs classes'):
        build(**{**arguments, 'classes': None}, test_mode=True)


def test_some_of_the_classes(tmp_path: Path) -> None:
    stored = np.array([[0, 1, 2, 3, 150, 255]] * 24, np.uint8)
    arguments = write(tmp_path, labels=stored)
    arguments['classes'] = ['sky', 'wall']
    ade = build('ADE20KDataset', **arguments)
    assert ade.label_map[0] == 1
    assert ade.label_map[2] == 0
    assert ade.label_map[1] == -1
    assert ade.get_gt_seg_map_by_idx(0)[0].tolist() == [0, 2, 255, 1, 255, 255]
    assert ade[0]['gt_semantic_seg'][0].tolist() == [255, 1, 255, 0, 255, 255]
    assert [tuple(c) for c in ade.PALETTE] == [(6, 230, 230), (120, 120, 120)]
    with pytest.raises(ValueError, match='no classes skye'):
        build('ADE20KDataset', **{**arguments, 'classes': ['skye']})


NUM_CLASSES = {
    'ADE20KDataset': 150,
    'COCOStuffDataset': 171,
    'ChaseDB1Dataset': 2,
    'CityscapesDataset': 19,
    'DRIVEDataset': 2,
    'DarkZurichDataset': 19,
    'FaceOccludedDataset': 2,
    'HRFDataset': 2,
    'ISPRSDataset': 6,
    'LoveDADataset': 7,
    'MapillaryDataset_v1': 66,
    'MapillaryDataset_v2': 124,
    'NightDrivingDataset': 19,
    'PascalContextDataset': 60,
    'PascalContextDataset59': 59,
    'PascalVOCDataset': 21,
    'PotsdamDataset': 6,
    'STAREDataset': 2,
    'iSAIDDataset': 16,
}
NAMES = {
    'ChaseDB1Dataset': ('a.png', 'a_1stHO.png'),
    'DRIVEDataset': ('a.png', 'a_manual1.png'),
    'DarkZurichDataset': ('a_rgb_anon.png', 'a_gt_labelTrainIds.png'),
    'HRFDataset': ('a.png', 'a.png'),
    'ISPRSDataset': ('a.png', 'a.png'),
    'LoveDADataset': ('a.png', 'a.png'),
    'MapillaryDataset_v1': ('a.jpg', 'a.png'),
    'NightDrivingDataset': ('a_leftImg8bit.png', 'a_gtCoarse_labelTrainIds.png'),
    'PotsdamDataset': ('a.png', 'a.png'),
    'STAREDataset': ('a.png', 'a.ah.png'),
    'iSAIDDataset': ('a.png', 'a_instance_color_RGB.png'),
}
FROM_ONE = {'ISPRSDataset', 'LoveDADataset', 'PotsdamDataset'}


@pytest.mark.parametrize('name', NUM_CLASSES)
def test_names_and_colours(name: str) -> None:
    kind = DATASETS.of('segmentation').get(name)
    assert len(kind.CLASSES) == len(set(kind.CLASSES)) == len(kind.PALETTE) == NUM_CLASSES[name]
    declared = find_signature(name, DATASETS.of('segmentation')).declared
    assert declared.get('NUM_CLASSES') == 59 or len(declared['CLASSES']) == NUM_CLASSES[name]


@pytest.mark.parametrize('name', NAMES)
def test_names_of_files(name: str, tmp_path: Path) -> None:
    write_image(image(name, (4, 6, 3)), tmp_path / 'img' / NAMES[name][0])
    write_image(np.ones((4, 6), np.uint8), tmp_path / 'ann' / NAMES[name][1])
    dataset = build(name, pipeline=LOAD, data_root=str(tmp_path), img_dir='img', ann_dir='ann')
    assert len(dataset) == 1
    assert (dataset[0]['gt_semantic_seg'] == (0 if name in FROM_ONE else 1)).all()


def test_every_data_set_is_covered() -> None:
    names = {e.name for e in builtin_entries() if e.registry == 'DATASETS' and e.task == 'segmentation'}
    assert names == {*NUM_CLASSES, 'CustomDataset', 'MultiImageMixDataset'}


def test_masks_in_colours(tmp_path: Path) -> None:
    palette = [[0, 0, 0], [10, 200, 30], [255, 0, 9]]
    labels = mask('colours', (24, 32), 3) % 3
    arguments = write(tmp_path, labels=np.array(palette, np.uint8)[labels][..., ::-1])
    dataset = build(**arguments, palette=palette, color_coded=True)
    assert np.array_equal(dataset[0]['gt_semantic_seg'], labels)
    assert check_masks(dataset) == []
    (problem,) = check_masks(build(**{**arguments, 'classes': CLASSES[:2]}, palette=palette[:2], color_coded=True))
    assert '(255, 0, 9)' in problem.message
    (problem,) = check_masks(build(**arguments))
    assert 'color_coded=True' in problem.message


def test_wrappers(tmp_path: Path) -> None:
    inner = {'type': 'CustomDataset', 'pipeline': LOAD, **write(tmp_path)}
    both = build_wrapper('ConcatDataset', datasets=[build(**without(inner)), build(**without(inner))])
    assert np.array_equal(both.get_gt_seg_map_by_idx(4), build(**without(inner)).get_gt_seg_map_by_idx(1))
    assert list(both.CLASSES) == CLASSES
    assert len(both.PALETTE) == 3
    assert both.ignore_index == 255
    steps = [{'type': 'RandomMosaic', 'prob': 1.0, 'img_scale': (24, 32)}, {'type': 'RandomFlip', 'prob': 0.5}]
    mixed = build_wrapper('MultiImageMixDataset', dataset=inner, pipeline=steps)
    key = SampleKey(1, seed=3, epoch=2, position=7)
    first = mixed[key]
    assert first['img'].shape == (48, 64, 3)
    assert first['gt_semantic_seg'].shape == (48, 64)
    assert 'mix_results' not in first
    assert np.array_equal(mixed[key]['img'], first['img'])
    assert not np.array_equal(mixed[key._replace(position=8)]['img'], first['img'])
    mixed.update_skip_type_keys(['RandomMosaic'])
    assert mixed[key]['img'].shape == (24, 32, 3)


def build_wrapper(kind: str, **arguments: Any) -> Any:
    return DATASETS.of('segmentation').build({'type': kind, **arguments})


def without(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in ('type', 'pipeline')}


# ---------------------------------------------------------------------- the check


def problems(root: Path, labels: Any, **more: Any) -> list[Any]:
    return check_masks(build(**{**write(root, labels=labels), **more}))


@pytest.mark.parametrize(
    ('values', 'more', 'said'),
    [
        ([0, 1, 2, 255], {}, None),
        ([0, 1, 2, 3], {}, r'masks hold 3 \(48 pixels in 3 of 3 masks\).*reduce_zero_label=True'),
        ([1, 2, 3, 255], {}, 'No pixel has label 0'),
        ([1, 2, 3, 0], {'reduce_zero_label': True}, None),
        ([0, 1, 2, 0], {'reduce_zero_label': True}, "'ground' is lost"),
        ([0, 128, 255, 0], {}, 'grey levels'),
        ([0, 255, 0, 0], {'classes': ['no', 'yes']}, 'save the second class as 1'),
        ([0, 1, 0, 0], {'classes': ['no', 'yes']}, None),
        ([255, 255, 255, 255], {}, 'shows any class'),
        ([0, 1, 2, 7], {'ignore_index': 7}, None),
    ],
)
def test_labels_are_checked(tmp_path: Path, values: list[int], more: dict[str, Any], said: str | None) -> None:
    labels = np.zeros((24, 32), np.uint8)
    labels[:2] = np.repeat(values, 8)
    labels[2:] = values[0]
    found = problems(tmp_path, labels, **more)
    assert [p.code for p in found] == ([] if said is None else ['bad-mask'])
    if said is not None:
        assert re.search(said, found[0].message), found[0].message


def test_files_are_checked(tmp_path: Path) -> None:
    arguments = write(tmp_path)
    (tmp_path / 'ann' / 'a.png').unlink()
    write_image(np.zeros((12, 16), np.uint8), tmp_path / 'ann' / 'b.png')
    missing, size = check_masks(build(**arguments))
    assert missing.code == 'missing-file'
    assert missing.file.endswith('ann/a.png')
    assert 'b.png is 12x16, its image 24x32' in size.message
    assert check_masks(build(**{**arguments, 'ann_dir': None})) == []


def test_two_readings_of_label_zero(tmp_path: Path) -> None:
    arguments = write(tmp_path)
    pipeline = [LOAD[0], {'type': 'LoadAnnotations', 'reduce_zero_label': True}]
    (problem,) = check_masks(build(**arguments, pipeline=pipeline))
    assert 'training and evaluation would read different labels' in problem.message


def test_turned_photographs_fit_their_masks(tmp_path: Path) -> None:
    arguments = write(tmp_path, names=['a'], labels=np.zeros((32, 24), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image('a', (24, 32, 3))).save(tmp_path / 'img' / 'a.jpg', exif=exif)
    assert check_masks(build(**arguments)) == []


# ---------------------------------------------------------------------- the data of the repository


@pytest.mark.parametrize(
    ('name', 'suffix', 'num_classes', 'counts'), [('cells', '.png', 3, (36, 12)), ('figures', '.jpg', 7, (460, 110))]
)
def test_data_of_the_repository(name: str, suffix: str, num_classes: int, counts: tuple[int, int]) -> None:
    for split, count in zip(('train', 'val'), counts, strict=True):
        dataset = build(
            data_root=str(DATA / name),
            img_dir=f'images/{split}',
            ann_dir=f'annotations/{split}',
            img_suffix=suffix,
            classes=[str(i) for i in range(num_classes)],
        )
        assert len(dataset) == count
        assert check_masks(dataset, limit=20) == []
        assert dataset[0]['gt_semantic_seg'].max() < num_classes


def test_loading_in_workers() -> None:
    steps = [*LOAD, {'type': 'RandomCrop', 'crop_size': (64, 64)}, {'type': 'DefaultFormatBundle'}]
    steps.append({'type': 'Collect', 'keys': ['img', 'gt_semantic_seg']})
    arguments = {'img_dir': 'images/val', 'ann_dir': 'annotations/val', 'img_suffix': '.png'}
    dataset = build(data_root=str(DATA / 'cells'), **arguments, classes=CLASSES, pipeline=steps)

    def sums(num_workers: int) -> list[Any]:
        loader = Loader(dataset, RandomSampler(dataset, seed=3), batch_size=4, num_workers=num_workers, seed=3)
        return [(b['img'].sum().item(), b['gt_semantic_seg'].sum().item(), b['img'].shape) for b in loader]

    assert sums(0) == sums(2)


def test_tiff_with_four_channels_of_sixteen_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.random.default_rng(0).integers(0, 60000, (24, 32, 4), np.uint16)
    write_image(content, tmp_path / 'img' / 'a.tif')
    write_image(mask('tiff', (24, 32), 3), tmp_path / 'ann' / 'a.png')
    load = {'type': 'LoadImageFromFile', 'color_type': 'unchanged', 'to_float32': True}
    arguments = {'img_dir': str(tmp_path / 'img'), 'ann_dir': str(tmp_path / 'ann'), 'img_suffix': ('.tif', '.tiff')}
    dataset = build(**arguments, classes=CLASSES, pipeline=[load, LOAD[1]])
    assert np.array_equal(dataset[0]['img'], content.astype(np.float32))
    assert check_masks(dataset) == []
    monkeypatch.setitem(sys.modules, 'tifffile', None)
    with pytest.raises(ImportError, match=r"pip install 'intarsia\[tiff\]'"):
        build(**arguments, pipeline=[{**load, 'imdecode_backend': 'tifffile'}])[0]
