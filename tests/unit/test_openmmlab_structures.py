"""Data samples: behaviour recorded from MMEngine 0.10.7 and the toolboxes on it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from intarsia.openmmlab.data_element import BaseDataElement, Names
from intarsia.openmmlab.structures import (
    ActionDataSample,
    DataSample,
    InstanceData,
    LabelData,
    MultiTaskDataSample,
    PixelData,
    PoseDataSample,
    SegDataSample,
    format_label,
    label_to_onehot,
)


def element() -> BaseDataElement:
    return BaseDataElement(metainfo={'shape': (3, 4)}, x=torch.ones(2, requires_grad=True), y='s', z=np.zeros(3))


def test_names_and_values() -> None:
    sample = element()
    assert sample.keys() == ['x', 'y', 'z']
    assert sample.metainfo_keys() == ['shape']
    assert sample.all_keys() == ['shape', 'x', 'y', 'z']
    assert sample.values()[1:2] == sample.all_values()[2:3] == ['s']
    assert sample.metainfo == {'shape': (3, 4)}
    assert sample.metainfo_values() == [(3, 4)]
    assert 'x' in sample
    assert 'shape' in sample
    assert 'q' not in sample
    assert (sample.y, sample.get('q', 5), sample.get('q')) == ('s', 5, None)  # type: ignore[attr-defined]


def test_changes() -> None:
    sample = element()
    assert sample.pop('y') == 's'
    assert sample.pop('shape') == (3, 4)
    assert sample.pop('y', 1) == 1
    with pytest.raises(KeyError):
        sample.pop('y')
    del sample.x  # type: ignore[attr-defined]
    assert sample.all_keys() == ['z']
    sample.set_field(3, 'n', dtype=int, field_type='metainfo')
    other = BaseDataElement()
    other.update(sample)
    assert other.all_keys() == ['n', 'z']
    assert other.new(w=1).to_dict() == {'n': 3, 'w': 1}
    assert other.new(metainfo={'k': 2}).metainfo == {'k': 2}
    assert other.clone().all_keys() == ['n', 'z']


def test_notes_are_copied() -> None:
    notes = {'a': [1]}
    sample = BaseDataElement(metainfo=notes)
    notes['a'].append(2)
    assert sample.metainfo == {'a': [1]}


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        (lambda sample: sample.set_metainfo({'x': 1}), AttributeError),
        (lambda sample: setattr(sample, 'shape', 1), AttributeError),
        (lambda sample: setattr(sample, '_data_fields', 1), AttributeError),
        (lambda sample: delattr(sample, '_metainfo_fields'), AttributeError),
        (lambda sample: sample.q, AttributeError),
        (lambda sample: sample.set_field(1, 'n', dtype=str), TypeError),
    ],
)
def test_mistakes(wrong: Callable[[Any], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        wrong(element())


def test_conversions() -> None:
    nested = BaseDataElement(metainfo={'k': 1}, inner=element(), t=torch.ones(2))
    arrays: Any = nested.numpy()
    assert isinstance(arrays.inner.x, np.ndarray)
    assert (arrays.inner.y, arrays.k) == ('s', 1)
    assert isinstance(arrays.to_tensor().inner.z, torch.Tensor)
    assert not nested.detach().inner.x.requires_grad  # type: ignore[attr-defined]
    assert nested.to(torch.float64).inner.x.dtype == torch.float64  # type: ignore[attr-defined]
    assert nested.cpu().t.device.type == 'cpu'  # type: ignore[attr-defined]
    assert nested.to_dict()['inner']['shape'] == (3, 4)


def test_copies_and_text() -> None:
    sample: Any = BaseDataElement(metainfo={'k': 1}, inner=PixelData(data=np.zeros((1, 1, 2))))
    for made in (copy.deepcopy(sample), pickle.loads(pickle.dumps(sample))):
        assert made.all_keys() == ['k', 'inner']
        assert made.inner.shape == (1, 2)
    text = repr(sample)
    assert text.startswith(
        '<BaseDataElement(\n\n    META INFORMATION\n    k: 1\n\n    DATA FIELDS\n    inner: <PixelData('
    )
    assert text.endswith(f') at {id(sample):#x}>')


def test_names_are_a_set() -> None:
    names = Names('ba')
    names.add('c')
    names.remove('b')
    assert list(names) == ['a', 'c']
    assert names == {'c', 'a'}
    assert {'a', 'x'} - names == {'x'}
    assert repr(names) == "{'a', 'c'}"


def people() -> InstanceData:
    return InstanceData(
        metainfo={'m': 1},
        boxes=torch.arange(12.0).reshape(3, 4),
        scores=np.arange(3),
        names=['a', 'b', 'c'],
        text='xyz',
        pair=(1, 2, 3),
    )


@pytest.mark.parametrize(
    ('item', 'expected'),
    [
        (0, [0]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(1, None), [1, 2]),
        ([2, 0], [2, 0]),
        (np.array([True, False, True]), [0, 2]),
        (torch.tensor([1, 1]), [1, 1]),
        (torch.tensor([False, False, False]), []),
        ([], []),
    ],
)
def test_instances(item: Any, expected: list[int]) -> None:
    found = people()[item]
    assert len(found) == len(expected)
    assert found.metainfo == {'m': 1}
    assert found.scores.tolist() == expected
    assert found.boxes[:, 0].tolist() == [4.0 * i for i in expected]
    assert found.names == ['abc'[i] for i in expected]
    assert found.text == ''.join('xyz'[i] for i in expected)
    assert found.pair == tuple(i + 1 for i in expected)


def test_instances_as_a_collection() -> None:
    all_of_them = people()
    assert len(all_of_them) == len(list(all_of_them)) == 3
    assert not InstanceData()
    all_of_them['extra'] = [1, 2, 3]
    assert all_of_them['extra'] == [1, 2, 3]
    twice = InstanceData.cat([all_of_them, all_of_them[1]])
    assert (twice['text'], twice['scores'].tolist(), twice['extra']) == ('xyzy', [0, 1, 2, 1], [1, 2, 3, 2])
    assert InstanceData.cat([all_of_them]) is all_of_them


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        (lambda: people()[3], IndexError),
        (lambda: people()[torch.tensor([True])], IndexError),
        (lambda: people()[torch.zeros(1, 1)], IndexError),
        (lambda: setattr(people(), 'bad', [1]), ValueError),
        (lambda: setattr(people(), 'bad', 1), TypeError),
        (lambda: InstanceData.cat([]), ValueError),
        (lambda: InstanceData.cat([people(), InstanceData(x=[1])]), ValueError),
        (lambda: InstanceData(x={1: 2})[[0]], TypeError),
    ],
)
def test_wrong_instances(wrong: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        wrong()


def test_kinds_of_instances() -> None:
    class Own(InstanceData):
        pass

    class Cells:
        def __init__(self, values: list[int]) -> None:
            self.values = values

        def __len__(self) -> int:
            return len(self.values)

        def __getitem__(self, item: slice) -> Cells:
            return Cells(self.values[item])

        @staticmethod
        def cat(several: list[Cells]) -> Cells:
            return Cells([value for each in several for value in each.values])

    own = Own(cells=Cells([5, 6, 7]))
    assert type(own[0]) is type(InstanceData.cat([own, own])) is Own
    assert own[torch.tensor([2, 0])].cells.values == [7, 5]


def test_pixels() -> None:
    pixels: Any = PixelData(im=torch.arange(24.0).reshape(2, 3, 4), mask=np.arange(12).reshape(3, 4))
    assert pixels.shape == (3, 4)
    assert PixelData().shape is None
    assert pixels.mask.shape == (1, 3, 4)
    assert pixels[0:2, 1:].im.tolist() == [[[1, 2, 3], [5, 6, 7]], [[13, 14, 15], [17, 18, 19]]]
    assert pixels[1, -1].mask.tolist() == [[[7]]]
    for wrong in ([1], torch.zeros(1, 1, 3, 4)):
        with pytest.raises(TypeError):
            pixels.bad = wrong
    with pytest.raises(ValueError, match=r'\(3, 4\)'):
        pixels.bad = torch.zeros(2, 2)
    with pytest.raises(TypeError, match='rows and columns'):
        pixels[0]


def test_labels() -> None:
    assert LabelData.onehot_to_label(torch.tensor([0, 1, 1])).tolist() == [1, 2]
    assert LabelData.label_to_onehot(torch.tensor([0, 2]), 4).tolist() == [1, 0, 1, 0]
    with pytest.raises(ValueError, match='one-hot'):
        LabelData.onehot_to_label(torch.tensor([0, 2]))
    assert label_to_onehot([1, 3], 4).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (3, [3]),
        ([1, 2], [1, 2]),
        (np.array(3), [3]),
        (np.array([1, 2], np.int32), [1, 2]),
        (torch.tensor(2), [2]),
        (torch.tensor([1, 2]), [1, 2]),
    ],
)
def test_formats_of_labels(value: Any, expected: list[int]) -> None:
    sample: Any = DataSample().set_gt_label(value).set_pred_label(value)
    assert sample.gt_label.tolist() == sample.pred_label.tolist() == expected
    assert sample.gt_label.dtype == torch.int64


@pytest.mark.parametrize('value', ['a', 1.5, None])
def test_wrong_labels(value: Any) -> None:
    with pytest.raises(TypeError, match='label'):
        format_label(value)
    with pytest.raises(TypeError, match='scores'):
        DataSample().set_pred_score(value)


def test_classification() -> None:
    sample: Any = DataSample().set_pred_score([0.1, 0.9]).set_mask(np.ones((2, 2)))
    assert sample.pred_score.dtype == torch.float32
    assert sample.metainfo == {'num_classes': 2}
    assert sample.mask.shape == (2, 2)
    sample.set_gt_score(np.array([1, 0]))
    with pytest.raises(ValueError, match='3 scores for 2 classes'):
        sample.set_gt_score([1, 2, 3])
    with pytest.raises(ValueError, match='one dimension'):
        DataSample().set_gt_label([[1]])
    assert set(MultiTaskDataSample(one=DataSample(), two=DataSample()).tasks) == {'one', 'two'}


def test_typed_fields() -> None:
    sample = SegDataSample(metainfo={'k': 1})
    sample.gt_sem_seg = PixelData(data=torch.ones(1, 2, 2))
    assert sample.keys() == ['gt_sem_seg']
    assert 'gt_sem_seg' in sample
    assert sample.get('seg_logits', 7) == 7
    with pytest.raises(AttributeError):
        _ = sample.pred_sem_seg
    with pytest.raises(TypeError, match='PixelData'):
        sample.pred_sem_seg = 3
    assert sample.keys() == ['gt_sem_seg']
    for made in (sample.numpy(), sample.clone(), copy.deepcopy(sample), pickle.loads(pickle.dumps(sample))):
        assert made.gt_sem_seg.shape == (2, 2)
    assert isinstance(sample.pop('gt_sem_seg'), PixelData)
    assert sample.keys() == []


def test_fields_of_a_user() -> None:
    class Own(SegDataSample):
        @property
        def depth(self) -> PixelData:
            return self._depth  # type: ignore[attr-defined]

        @depth.setter
        def depth(self, value: PixelData) -> None:
            self.set_field(value, '_depth', dtype=PixelData)

        @depth.deleter
        def depth(self) -> None:
            del self._depth

    sample = Own(depth=PixelData(data=torch.ones(1, 2, 2)))
    assert sample.keys() == ['depth']
    assert isinstance(sample.numpy().depth.data, np.ndarray)  # type: ignore[attr-defined]
    del sample.depth
    assert 'depth' not in sample


def test_pose() -> None:
    sample = PoseDataSample(gt_instances=InstanceData(keypoints=np.ones((1, 2, 2))))
    sample.gt_fields = PixelData(heatmaps=torch.ones(1, 2, 2))
    assert sample.keys() == ['gt_instances', 'gt_fields']
    assert sample.to_tensor().gt_instances.keypoints.shape == (1, 2, 2)
    with pytest.raises(TypeError):
        sample.pred_instances = [1]


def test_action() -> None:
    sample: Any = ActionDataSample().set_gt_label(3).set_pred_score(torch.ones(4))
    sample.features = InstanceData(x=[1])
    assert (sample.gt_label.tolist(), sample.num_classes) == ([3], 4)
    both: Any = ActionDataSample().set_pred_score({'rgb': [1, 2]})
    assert both.pred_score['rgb'].dtype == torch.float32
    with pytest.raises(TypeError):
        sample.proposals = 1
