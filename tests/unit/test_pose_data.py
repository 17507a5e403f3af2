"""Data sets of poses: what is read of annotation files, and what is said about bad ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.core.index import builtin_entries
from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.dataset_info import INFO_FOLDER, DatasetInfo
from intarsia.tasks.pose.datasets.annotation_check import check_annotations
from intarsia.tasks.pose.datasets.pose_dataset import PoseDataset
from intarsia.tasks.pose.datasets.region_mask import draw_region, read_counts

SIZE = {'image_size': (48, 64), 'heatmap_size': (12, 16)}
FIGURES = Path(__file__).parents[2] / 'data' / 'figures'


def person(number: int, **changes: Any) -> dict[str, Any]:
    joints = [value for i in range(17) for value in (10 + i, 20 + i, 1 + i % 2)]
    base = {'id': number, 'image_id': 7, 'category_id': 1, 'bbox': [8, 16, 20, 30], 'area': 300, 'iscrowd': 0}
    return {**base, 'keypoints': joints, 'num_keypoints': 17, **changes}


def write(folder: Path, *annotations: dict[str, Any], name: str = 'people.json') -> str:
    images = [{'id': 7, 'file_name': 'a.jpg', 'width': 40, 'height': 60}]
    file = folder / name
    file.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': []}))
    return str(file)


def build(file: str, kind: str = 'TopDownCocoDataset', **arguments: Any) -> Any:
    data_cfg = {**SIZE, **arguments.pop('data_cfg', {})}
    return DATASETS.of('pose').build({'type': kind, 'ann_file': file, 'data_cfg': data_cfg, **arguments})


# ---------------------------------------------------------------------- infos


@pytest.mark.parametrize('name', sorted(file.stem for file in INFO_FOLDER.glob('*.json')))
def test_infos_are_complete(name: str) -> None:
    info = DatasetInfo.of(name)
    count = info.num_keypoints
    assert len(info.joint_weights) == len(info.keypoint_colors) == count
    assert len(info.sigmas) in (0, count)
    assert sorted(info.flip_index) == list(range(count))


def test_every_data_set_names_an_info() -> None:
    registry = DATASETS.of('pose')
    kinds = [registry.get(e.name) for e in builtin_entries() if e.task == 'pose' and e.registry == 'DATASETS']
    named = [kind.DATASET_INFO for kind in kinds if issubclass(kind, PoseDataset) and kind.DATASET_INFO]
    assert len(named) > 30
    for name in named:
        DatasetInfo.of(name)


# ---------------------------------------------------------------------- people


def test_only_people_with_box_area_and_joints_are_samples(tmp_path: Path) -> None:
    crowd = person(2, iscrowd=1)
    unmarked = person(3, keypoints=[0] * 51, num_keypoints=0)
    no_area, outside = person(4, area=0), person(5, bbox=[50, 10, 20, 30])
    dataset = build(write(tmp_path, person(1), crowd, unmarked, no_area, outside, person(6, bbox=[-5, 50, 90, 90])))
    assert [row['id'] for row in dataset.annotations] == [1, 6]
    np.testing.assert_array_equal(dataset.annotations[1]['bbox'], [0, 50, 39, 9])


def test_a_sample_knows_its_joints_and_the_truth(tmp_path: Path) -> None:
    dataset = build(write(tmp_path, person(1)), img_prefix='images')
    sample, truth = dataset.prepare(0), dataset.truth(0)
    assert sample['image_file'] == 'images/a.jpg'
    assert sample['joints_3d'].dtype == np.float32
    np.testing.assert_array_equal(sample['joints_3d'][2], [12, 22, 0])
    np.testing.assert_array_equal(sample['joints_3d_visible'][:, 0], 1)
    assert (truth['image_id'], truth['area'], truth['bbox_id']) == (7, 300, 0)
    assert dataset.metric_arguments()['sigmas'] == DatasetInfo.of('coco').sigmas


def test_detected_boxes(tmp_path: Path) -> None:
    boxes = [
        {'image_id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.9},
        {'image_id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.1},
        {'image_id': 7, 'category_id': 2, 'bbox': [1, 2, 3, 4], 'score': 0.9},
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    cfg = {'use_gt_bbox': False, 'bbox_file': str(tmp_path / 'boxes.json'), 'det_bbox_thr': 0.5}
    dataset = build(write(tmp_path, person(1)), data_cfg=cfg, test_mode=True)
    assert [row['bbox_score'] for row in dataset.annotations] == [0.9]
    assert len(build(write(tmp_path, person(1), person(2)), data_cfg=cfg)) == 2  # training takes annotated boxes
    boxes[0]['image_id'] = 8
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    with pytest.raises(DataError, match=r'box 0 is of image 8'):
        build(write(tmp_path, person(1)), data_cfg=cfg, test_mode=True)


def test_jhmdb_counts_from_one(tmp_path: Path) -> None:
    file = write(tmp_path, person(1, keypoints=person(1)['keypoints'][:45]))
    dataset = build(file, 'TopDownJhmdbDataset')
    np.testing.assert_array_equal(dataset.annotations[0]['joints_3d'][0], [9, 19, 0])
    np.testing.assert_array_equal(dataset.annotations[0]['bbox'][:2], [7, 15])


def test_faces_keep_their_centre(tmp_path: Path) -> None:
    face = person(1, keypoints=[1, 2, 1] * 29, center=[5, 6], scale=0.5)
    dataset = build(write(tmp_path, face), 'FaceCOFWDataset')
    np.testing.assert_array_equal(dataset.annotations[0]['scale'], [0.5, 0.5])
    assert dataset.metric_arguments()['keypoint_indices'] == (8, 9)


def test_hands_of_one_person_are_two_samples(tmp_path: Path) -> None:
    hands = {
        f'{side}hand_{key}': value
        for side in ('left', 'right')
        for key, value in {'valid': True, 'kpts': [3, 4, 1] * 21, 'box': [1, 1, 9, 9]}.items()
    }
    dataset = build(write(tmp_path, person(1, num_keypoints=0, **hands)), 'HandCocoWholeBodyDataset')
    assert len(dataset) == 2
    assert dataset.annotations[0]['joints_3d'].shape == (21, 3)


def test_mpii(tmp_path: Path) -> None:
    people = [
        {
            'image': 'a.jpg',
            'center': [100, 50],
            'scale': 2.0,
            'joints': [[10, 20]] * 16,
            'joints_vis': [1] * 15 + [0],
            'headbox': [0, 0, 3, 4],
        }
    ]
    file = tmp_path / 'mpii.json'
    file.write_text(json.dumps(people))
    dataset = build(str(file), 'TopDownMpiiDataset')
    np.testing.assert_array_equal(dataset.annotations[0]['center'], [99, 79])
    truth = dataset.truth(0)
    assert truth['head_size'] == pytest.approx(3.0)
    np.testing.assert_array_equal(truth['keypoints'][0], [9, 19])
    assert truth['visible'].sum() == 15
    assert check_annotations(dataset)[0].code == 'missing-file'


# ---------------------------------------------------------------------- images


def test_all_people_of_an_image(tmp_path: Path) -> None:
    runs = {'size': [60, 40], 'counts': [0, 600, 1800]}
    crowd = person(2, iscrowd=1, num_keypoints=0, keypoints=[0] * 51, segmentation=runs)
    cfg = {'heatmap_size': [16, 32], 'num_scales': 2, 'with_bbox': True}
    dataset = build(write(tmp_path, person(1), crowd), 'BottomUpCocoDataset', data_cfg=cfg)
    sample = dataset.prepare(0)
    assert [each.shape for each in sample['joints']] == [(1, 17, 3)] * 2
    mask = sample['mask'][0]
    assert mask.shape == (60, 40)
    np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(40) >= 10, (60, 40)))
    assert sample['bboxes'].shape == (1, 4, 2)
    assert dataset.truth(0)['keypoints'].shape == (1, 17, 2)


def test_images_without_people_are_only_tested(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert len(build(file, 'BottomUpCocoDataset', test_mode=True)) == 1
    with pytest.raises(DataError, match='no image with annotations'):
        build(file, 'BottomUpCocoDataset')


def letters(lengths: list[int]) -> str:
    """The reverse of :func:`read_counts`."""
    text = ''
    for i, length in enumerate(lengths):
        value = length - (lengths[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | (32 if more else 0)) + 48)
    return text


def test_runs_in_letters() -> None:
    lengths = [5, 100, 3, 7, 1000, 2, 31, 16, 15]
    assert read_counts(letters(lengths)) == lengths
    region = {'size': [3, 4], 'counts': letters([2, 3, 7])}
    np.testing.assert_array_equal(np.flatnonzero(draw_region(region, (3, 4)).T), [2, 3, 4])
    with pytest.raises(DataError, match='12 pixels, 3x4, for an image of 4x4'):
        draw_region(region, (4, 4))


def test_polygons_hold_the_pixels_whose_middle_they_hold() -> None:
    region = draw_region([[1, 1, 4, 1, 4, 3, 1, 3]], (5, 6))
    np.testing.assert_array_equal(np.argwhere(region), [[y, x] for y in (1, 2) for x in (1, 2, 3)])


# ---------------------------------------------------------------------- mistakes


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'none\.json cannot be read'):
        build(str(tmp_path / 'none.json'))
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(DataError, match=r'bad\.json is not JSON'):
        build(str(tmp_path / 'bad.json'))
    (tmp_path / 'bad.json').write_text('[]')
    with pytest.raises(DataError, match="no list 'images'"):
        build(str(tmp_path / 'bad.json'))
    with pytest.raises(DataError, match=r'nobody in .*people\.json: 1 images, 1 annotations'):
        build(write(tmp_path, person(1, iscrowd=1)))


def test_other_joints(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'annotation 1 of .* 17 joints, but mpii has 16'):
        build(write(tmp_path, person(1)), dataset_info='mpii')
    with pytest.raises(ValueError, match='num_joints=5, but coco 17'):
        build(write(tmp_path, person(1)), data_cfg={'num_joints': 5})
    with pytest.raises(ValueError, match='needs the codec'):
        DATASETS.of('pose').build({'type': 'TopDownCocoDataset', 'ann_file': write(tmp_path, person(1))})


def test_check_names_the_first_annotation(tmp_path: Path) -> None:
    good = person(1)
    strange = copy.deepcopy(good['keypoints'])
    strange[2] = 3
    far = [*good['keypoints'][:-3], 4000, 5, 2]
    bad = [
        person(2, keypoints=strange),
        person(3, bbox=[100, 10, 5, 5]),
        person(4, bbox=[1, 1, 0, 5]),
        person(5, image_id=8),
        person(6, keypoints=far),
        person(6),
    ]
    dataset = build(write(tmp_path, good, *bad), img_prefix=str(tmp_path))
    messages = '\n'.join(str(problem) for problem in check_annotations(dataset))
    for words in (
        'annotation 2 (3) has a joint whose visibility is not 0, 1 or 2',
        'annotation 3 (x, y, width, height: [100, 10, 5, 5]; image 40x60) has a box outside its image',
        'annotation 4 (x, y, width, height: [1, 1, 0, 5]) has a box without size',
        'annotation 5 (8) is of an image that the file does not have',
        'annotation 6 ([4000.0, 5.0]; image 40x60) has a joint far outside its image',
        '1 annotations have the id of another, the first is 6',
        'does not exist',
    ):
        assert words in messages


def test_figures_are_clean() -> None:
    file = FIGURES / 'annotations' / 'person_keypoints_val.json'
    dataset = build(str(file), img_prefix=str(FIGURES / 'images' / 'val'))
    assert len(dataset) == 153
    assert check_annotations(dataset) == []
