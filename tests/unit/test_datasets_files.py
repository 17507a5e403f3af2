"""Reading the files of data sets, and what is said when they are broken."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from intarsia.core.errors import DataError
from intarsia.data.embedded import resolve_prefix
from intarsia.tasks.classification.datasets.base import ClassificationDataset
from intarsia.tasks.classification.datasets.cifar import CIFAR10, CIFAR100, read_batch
from intarsia.tasks.classification.datasets.image_folder import CustomDataset, ImageNet
from intarsia.tasks.classification.datasets.mnist import MNIST, FashionMNIST, read_idx
from intarsia.tasks.classification.datasets.multi_label import VOC, MultiLabelDataset


@pytest.fixture
def folders(tmp_path):
    for name in ('b/2.png', 'b/10.jpg', 'a/x/1.JPEG', 'a/notes.txt', 'a/.hidden.png', '.git/3.png'):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b'')
    return tmp_path


def names_of(dataset):
    return [a['img_info']['filename'] for a in dataset.annotations]


def test_folders_are_classes(folders):
    dataset = CustomDataset(str(folders))
    assert dataset.CLASSES == ['a', 'b']
    assert dataset.class_to_idx == {'a': 0, 'b': 1}
    assert names_of(dataset) == ['a/x/1.JPEG', 'b/10.jpg', 'b/2.png']
    assert dataset.get_gt_labels().tolist() == [0, 1, 1]
    assert dataset[0]['img_prefix'] == str(folders)
    assert names_of(CustomDataset(str(folders), extensions=['.JPG', '.jpeg'])) == ['a/x/1.JPEG', 'b/10.jpg']


def test_names_of_classes(folders, tmp_path):
    assert CustomDataset(str(folders), classes=('ant', 'bee')).CLASSES == ['ant', 'bee']
    (tmp_path / 'names.txt').write_text('ant\nbee\n')
    assert CustomDataset(str(folders), classes=str(tmp_path / 'names.txt')).CLASSES == ['ant', 'bee']
    with pytest.warns(UserWarning, match='labels follow the folders, so that a is called b'):
        CustomDataset(str(folders), classes=['b', 'a'])
    with pytest.raises(DataError, match='3 classes, but .* has 2 folders'):
        CustomDataset(str(folders), classes=['a', 'b', 'c'])
    with pytest.raises(DataError, match='no file .*nowhere.txt'):
        CustomDataset(str(folders), classes='nowhere.txt')


def test_empty_folders(folders):
    (folders / 'c').mkdir()
    with pytest.warns(UserWarning, match='no images .* in 1 of the 3 folders of .*: c'):
        assert len(CustomDataset(str(folders))) == 3
    with pytest.raises(DataError, match='no images .* in 3 of the 3 folders'):
        CustomDataset(str(folders), extensions=['.gif'])


def test_a_list_file(tmp_path):
    (tmp_path / 'list.txt').write_text('a b/1.png 0\n\nc/2.png 1\n')
    dataset = CustomDataset('images', ann_file=str(tmp_path / 'list.txt'))
    assert names_of(dataset) == ['a b/1.png', 'c/2.png']
    assert dataset.get_gt_labels().tolist() == [0, 1]
    assert dataset.CLASSES is None
    assert names_of(CustomDataset(str(tmp_path), ann_file='list.txt')) == names_of(dataset)


@pytest.mark.parametrize(
    ('text', 'message'),
    [('a.png 0\nb.png\n', r'list.txt:2: .*b.png'), ('a.png x', 'list.txt:1'), ('a.png 2', 'label 2 is none of the 2')],
)
def test_a_broken_list_file(tmp_path, text, message):
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(DataError, match=message):
        CustomDataset('', ann_file=str(tmp_path / 'list.txt'), classes=['a', 'b'])


def test_an_empty_list_file(tmp_path):
    (tmp_path / 'list.txt').write_text('\n')
    with pytest.raises(DataError, match='no samples'):
        CustomDataset('', ann_file=str(tmp_path / 'list.txt'))


def test_imagenet_knows_its_classes(tmp_path):
    assert len(ImageNet.CLASSES) == ImageNet.NUM_CLASSES == 1000
    assert ImageNet.CLASSES[0] == 'tench, Tinca tinca'
    (tmp_path / 'val.txt').write_text('x.JPEG 999')
    assert ImageNet('', ann_file=str(tmp_path / 'val.txt')).get_cat_ids(0) == [999]


# ---------------------------------------------------------------------- idx files


def idx(array):
    return struct.pack(f'>HBB{array.ndim}I', 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_idx_files(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / 'plain').write_bytes(idx(array))
    (tmp_path / 'packed.gz').write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / 'plain'), array)
    np.testing.assert_array_equal(read_idx(tmp_path / 'packed.gz'), array)


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('short', idx(np.zeros(9, np.uint8))[:-1], 'truncated: 8 bytes of data, its header says 9'),
        ('empty', b'', 'not an idx file of bytes'),
        ('floats', struct.pack('>HBBI', 0, 13, 1, 0), 'not an idx file of bytes'),
        ('text', b'<html>not found</html>', 'not an idx file of bytes'),
        ('packed.gz', gzip.compress(idx(np.zeros(900, np.uint8)), mtime=0)[:-12], 'cannot be read'),
        ('not.gz', b'<html>', 'cannot be read'),
    ],
)
def test_broken_idx_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f'{name}.*{message}'):
        read_idx(tmp_path / name)


def test_mnist_needs_as_many_labels_as_images(tmp_path):
    (tmp_path / 'train-images-idx3-ubyte').write_bytes(idx(np.zeros((3, 28, 28), np.uint8)))
    with pytest.raises(DataError, match=r'train-labels-idx1-ubyte\[.gz\] missing'):
        MNIST(str(tmp_path))
    (tmp_path / 'train-labels-idx1-ubyte').write_bytes(idx(np.zeros(2, np.uint8)))
    with pytest.raises(DataError, match='3 images, but 2 labels'):
        MNIST(str(tmp_path))
    (tmp_path / 'train-labels-idx1-ubyte').write_bytes(idx(np.array([1, 10, 2], np.uint8)))
    with pytest.raises(DataError, match='not 10 as in image 1 of the training files'):
        MNIST(str(tmp_path)).get_gt_labels()
    with pytest.raises(DataError, match='not 10 as in image 1'):
        MNIST(str(tmp_path))[1]


def test_fashion_mnist_travels_along():
    train = FashionMNIST('intarsia::fashion_mnist')
    test = FashionMNIST('intarsia::fashion_mnist', test_mode=True)
    assert (len(train), len(test), len(train.CLASSES)) == (6000, 1000, 10)
    assert np.bincount(test.get_gt_labels()).min() > 80
    img = train[0]['img']
    assert (img.shape, img.dtype) == ((28, 28), np.uint8)
    img += 1
    assert (train[0]['img'] != img).all()
    assert 'Zalando' in (Path(train.data_prefix).parent / 'LICENSE-fashion-mnist.txt').read_text()


def test_embedded_prefixes():
    assert resolve_prefix('data/x') == 'data/x'
    assert resolve_prefix(None) == ''
    with pytest.raises(DataError, match="Did you mean 'fashion_mnist'"):
        resolve_prefix('intarsia::fashion-mnist')


# ---------------------------------------------------------------------- CIFAR


def test_cifar_is_rgb_and_takes_the_folder_itself(tmp_path):
    planes = np.zeros((2, 3, 32, 32), np.uint8)
    planes[:, 0] = 200
    planes[:, 2, 0, 1] = 7
    batch = {'data': planes.reshape(2, -1), 'fine_labels': [99, 3], 'coarse_labels': [0, 1]}
    (tmp_path / 'test').write_bytes(pickle.dumps(batch, protocol=2))
    dataset = CIFAR100(str(tmp_path), test_mode=True)
    img = dataset[0]['img']
    assert img.shape == (32, 32, 3)
    assert img[0, 1].tolist() == [200, 0, 7]
    assert dataset.get_gt_labels().tolist() == [99, 3]
    with pytest.raises(DataError, match='data_batch_1, .*data_batch_5 missing'):
        CIFAR10(str(tmp_path))
    (tmp_path / 'test_batch').write_bytes((tmp_path / 'test').read_bytes())
    with pytest.raises(DataError, match="does not hold CIFAR10: its files have no 'labels'"):
        CIFAR10(str(tmp_path), test_mode=True)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ('harm',)


@pytest.mark.parametrize('protocol', range(6))
def test_batches_of_any_protocol(tmp_path, protocol):
    data = np.arange(2 * 3072, dtype=np.uint64).astype(np.uint8).reshape(2, 3072)
    (tmp_path / 'batch').write_bytes(pickle.dumps({'data': data, 'labels': [1, 2]}, protocol=protocol))
    np.testing.assert_array_equal(read_batch(tmp_path / 'batch')['data'], data)


def test_batches_of_python_2(tmp_path):
    old = (
        b"(dp0\nS'data'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\n"
        b"Rp7\n(I1\n(I1\nI3072\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\nI-1\n"
        b"I0\ntp14\nbI00\nS'" + b'\\xff' * 3072 + b"'\np15\ntp16\nbsS'labels'\np17\n(lp18\nI7\nas."
    )
    (tmp_path / 'batch').write_bytes(old)
    batch = read_batch(tmp_path / 'batch')
    assert batch['labels'] == [7]
    assert (batch['data'] == 255).all()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (pickle.dumps({'data': Harmful()}), r'mkdir, which is neither an array nor a plain value'),
        (pickle.dumps([1, 2]), 'no CIFAR batch'),
        (pickle.dumps({'data': np.zeros((2, 5), np.uint8)}), 'no CIFAR batch'),
        (pickle.dumps({'data': np.zeros((2, 3072), np.uint8)})[:-100], 'cannot be read'),
        (b'', 'cannot be read'),
    ],
)
def test_broken_batches(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'batch').write_bytes(content)
    with pytest.raises(DataError, match=f'batch.*{message}'):
        read_batch(tmp_path / 'batch')
    assert not (tmp_path / 'harm').exists()


# ---------------------------------------------------------------------- several labels


def write_voc(root, objects):
    (root / 'Annotations').mkdir()
    text = ''.join(f'<object><name>{n}</name><difficult>{d}</difficult></object>' for n, d in objects)
    (root / 'Annotations' / '000001.xml').write_text(f'<annotation>{text}</annotation>')
    (root / 'list.txt').write_text('000001\n')
    return dict(data_prefix=str(root), ann_file=str(root / 'list.txt'))


@pytest.mark.parametrize(('difficult', 'value'), [(None, -1), (True, 1), (False, 0)])
def test_difficult_objects(tmp_path, difficult, value):
    files = write_voc(tmp_path, [('dog', 1), ('dog', 0), ('cat', 1), ('unicorn', 0)])
    dataset = VOC(**files, difficult_as_postive=difficult)
    label = dataset[0]['gt_label']
    assert label.shape == (20,)
    assert label[dataset.class_to_idx['dog']] == 1
    assert label[dataset.class_to_idx['cat']] == value
    assert np.abs(label).sum() == 1 + abs(value)
    assert dataset.get_cat_ids(0) == sorted({11} | ({7} if difficult else set()))
    assert names_of(dataset) == ['JPEGImages/000001.jpg']


def test_broken_annotations(tmp_path):
    files = write_voc(tmp_path, [])
    (tmp_path / 'Annotations' / '000001.xml').write_text('<annotation>')
    with pytest.raises(DataError, match='000001.xml cannot be read'):
        VOC(**files)


# ---------------------------------------------------------------------- data sets of one's own


class Own(ClassificationDataset):
    CLASSES = ('a', 'b')

    def __init__(self, labels, **kwargs):
        self.given = labels
        super().__init__(**kwargs)

    def load_annotations(self):
        return [{'img_info': {'filename': f'{i}.png'}, 'gt_label': label} for i, label in enumerate(self.given)]


class OwnMulti(MultiLabelDataset, Own):
    pass


@pytest.mark.parametrize('labels', [[1, 0], np.array([1, 0]), [np.array(1), np.array([0])]], ids=repr)
def test_labels_of_any_integer_kind(labels):
    dataset = Own(labels)
    assert dataset.get_gt_labels().dtype == np.int64
    assert dataset.get_gt_labels().tolist() == [1, 0]
    assert dataset[1]['gt_label'].shape == ()


def test_labels_that_are_wrong():
    with pytest.raises(DataError, match=r'labels of 2 classes are 0 ... 1, not 2 as in .*1.png'):
        Own([0, 2]).get_gt_labels()
    with pytest.raises(DataError, match='1.png'):
        Own([0, -1])[1]
    with pytest.raises(DataError, match=r'have the shape \(2,\), not \(3,\)'):
        OwnMulti([[0, 1], [0, 1, 1]]).get_gt_labels()
    assert OwnMulti([[0, 1], [0.5, -1]]).get_gt_labels().tolist() == [[0, 1], [0.5, -1]]


def test_annotations_without_labels():
    class Unlabelled(Own):
        def load_annotations(self):
            return [{'img_info': {'filename': '0.png'}}]

    dataset = Unlabelled([])
    assert 'gt_label' not in dataset[0]
    with pytest.raises(DataError, match="without 'gt_label'"):
        dataset.get_gt_labels()
