"""Segmentation losses: values by hand, what all of them promise, and what happens at the edges."""

from __future__ import annotations

import json
import pickle
import subprocess

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from intarsia.core.registries import LOSSES
from intarsia.tasks.segmentation.losses.accuracy import accuracy
from intarsia.tasks.segmentation.losses.class_weight import read_class_weight
from intarsia.tasks.segmentation.losses.lovasz_loss import lovasz_slopes

N, C, H, W = 2, 4, 6, 7
PER_PIXEL = {
    'CrossEntropyLoss': [{}, {'use_sigmoid': True}, {'avg_non_ignore': True}, {'class_weight': [1, 2, 3, 0.5]},
                         {'class_weight': [1, 2, 3, 0.5], 'avg_class_weight': True}],
    'FocalLoss': [{}, {'alpha': [0.1, 0.2, 0.3, 0.4]}, {'class_weight': [1, 2, 3, 0.5]}],
}  # fmt: skip
PER_REGION = {
    'DiceLoss': [{}, {'exponent': 1, 'class_weight': [1, 2, 3, 0.5]}, {'ignore_index': 1}],
    'JointDiceLoss': [{}, {'use_sigmoid': False}, {'naive_dice': True}, {'ignore_index': 1}],
    'LovaszLoss': [{}, {'classes': 'all'}, {'classes': [0, 3]}, {'per_image': True}],
    'OhemCrossEntropy': [{'min_kept': 5}],
    'TverskyLoss': [{}, {'alpha': 0.5, 'beta': 0.5, 'class_weight': [1, 2, 3, 0.5]}],
}
CASES = [
    (name, variant) for kinds in (PER_PIXEL, PER_REGION) for name, variants in kinds.items() for variant in variants
]
PIXEL_CASES = [(name, variant) for name, variant in CASES if name in PER_PIXEL]


def make(name, variant=None, **options):
    return LOSSES.of('segmentation').build({'type': name, **(variant or {}), **options})


def data(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    pred = 2 * torch.randn(N, C, H, W, generator=generator, dtype=dtype)
    target = torch.randint(0, C, (N, H, W), generator=generator)
    target[:, :2, 3:] = 255
    return pred, target


def one_hot(target):
    return F.one_hot(torch.where(target == 255, 0, target), C).movedim(-1, 1).float()


@pytest.mark.parametrize('case', CASES, ids=str)
class TestEvery:
    def test_is_finite_with_finite_gradients(self, case):
        pred, target = data()
        for factor in (1.0, 100.0):
            scaled = (pred * factor).requires_grad_()
            value = make(*case)(scaled, target)
            assert value.shape == ()
            value.backward()
            assert value.isfinite()
            assert scaled.grad.isfinite().all()

    def test_ignored_pixels_have_no_part_in_it(self, case):
        pred, target = data()
        pred = pred.requires_grad_()
        make(*case)(pred, target).backward()
        if 'Dice' not in case[0]:
            assert pred.grad.movedim(1, -1)[target == 255].count_nonzero() == 0
        assert pred.grad.movedim(1, -1)[target != 255].count_nonzero() > 0

    @pytest.mark.parametrize('label', [255, 2])
    def test_everything_ignored_or_of_one_class_is_finite(self, case, label):
        pred, target = data()
        pred = pred.requires_grad_()
        value = make(*case)(pred, torch.full_like(target, label))
        value.backward()
        assert value.isfinite()
        assert pred.grad.isfinite().all()
        if label == 255 and 'Dice' not in case[0] and case[0] != 'TverskyLoss':
            assert value == 0

    def test_loss_weight_is_a_factor(self, case):
        torch.testing.assert_close(make(*case, loss_weight=3.0)(*data()), 3 * make(*case)(*data()))

    def test_bytes_are_labels_too(self, case):
        pred, target = data()
        torch.testing.assert_close(make(*case)(pred, target.byte()), make(*case)(pred, target))

    def test_half_precision_is_computed_in_float32(self, case):
        pred, target = data()
        assert make(*case)(pred.bfloat16(), target).dtype == torch.float32

    def test_gradient_is_that_of_the_value(self, case):
        pred, target = data(torch.float64)
        loss = make(*case).double()
        assert torch.autograd.gradcheck(lambda p: loss(p, target), (pred.requires_grad_(),))

    def test_inputs_stay_as_they_are(self, case):
        pred, target = data()
        copies = pred.clone(), target.clone()
        make(*case)(pred, target)
        assert torch.equal(pred, copies[0])
        assert torch.equal(target, copies[1])

    def test_has_a_name_and_nothing_to_save(self, case):
        loss = make(*case)
        assert loss.loss_name.startswith('loss_')
        assert make(*case, loss_name='loss_mine').loss_name == 'loss_mine'
        assert not loss.state_dict()

    def test_shapes_that_do_not_fit_are_an_error(self, case):
        pred, target = data()
        with pytest.raises(ValueError, match='do not fit'):
            make(*case)(pred, target[:, 1:])


@pytest.mark.parametrize('case', PIXEL_CASES, ids=str)
class TestEveryPerPixel:
    def test_reductions_agree(self, case):
        pred, target = data()
        elements = make(*case)(pred, target, reduction_override='none')
        assert elements.shape in ((N, H, W), (N, C, H, W))
        torch.testing.assert_close(make(*case, reduction='sum')(pred, target), elements.sum())
        torch.testing.assert_close(make(*case)(pred, target, avg_factor=4), elements.sum() / 4)
        if not {'avg_non_ignore', 'avg_class_weight'} & case[1].keys():
            torch.testing.assert_close(make(*case)(pred, target), elements.mean())

    def test_weight_counts_per_pixel(self, case):
        pred, target = data()
        weight = torch.rand(N, H, W, generator=torch.Generator().manual_seed(1))
        elements = make(*case)(pred, target, reduction_override='none')
        weighted = make(*case)(pred, target, weight, reduction_override='none')
        torch.testing.assert_close(weighted, elements * (weight if elements.dim() == 3 else weight[:, None]))

    def test_sum_takes_no_average_factor(self, case):
        with pytest.raises(ValueError, match='avg_factor'):
            make(*case, reduction='sum')(*data(), avg_factor=2)


class TestCrossEntropy:
    def test_means(self):
        pred, target = data()
        total = F.cross_entropy(pred, target, ignore_index=255, reduction='sum')
        torch.testing.assert_close(make('CrossEntropyLoss')(pred, target), total / target.numel())
        torch.testing.assert_close(
            make('CrossEntropyLoss', avg_non_ignore=True)(pred, target), total / (target != 255).sum()
        )

    def test_mean_by_class_weight_is_that_of_torch(self):
        pred, target = data()
        weight = torch.tensor([1.0, 2.0, 3.0, 0.5])
        loss = make('CrossEntropyLoss', class_weight=weight.tolist(), avg_class_weight=True)
        torch.testing.assert_close(loss(pred, target), F.cross_entropy(pred, target, weight, ignore_index=255))

    def test_an_ignored_class_counts_in_the_mean_unless_left_out(self):
        pred, target = data()
        target[target == 255] = 0
        weight = torch.tensor([1.0, 2.0, 3.0, 0.5])
        total = F.cross_entropy(pred, target, weight, ignore_index=1, reduction='sum')
        options = dict(class_weight=weight.tolist(), avg_class_weight=True)
        found = make('CrossEntropyLoss', options)(pred, target, ignore_index=1)
        torch.testing.assert_close(found, total / weight[target].sum())
        found = make('CrossEntropyLoss', options, avg_non_ignore=True)(pred, target, ignore_index=1)
        torch.testing.assert_close(found, total / weight[target[target != 1]].sum())

    def test_sigmoid_is_binary_cross_entropy_with_a_one_hot_mask(self):
        pred, target = data()
        valid = (target != 255)[:, None]
        weight = torch.tensor([1.0, 2.0, 3.0, 0.5])[:, None, None]
        for pos_weight, options in ((None, {}), (weight, {'class_weight': weight.flatten().tolist()})):
            kept = F.binary_cross_entropy_with_logits(pred, one_hot(target), pos_weight=pos_weight, reduction='none')
            loss = make('CrossEntropyLoss', options, use_sigmoid=True)
            torch.testing.assert_close(loss(pred, target, reduction_override='none'), kept * valid)
            scores = loss(pred, one_hot(target), reduction_override='none')
            torch.testing.assert_close(scores, kept)

    def test_one_channel_asks_for_label_1(self):
        pred, target = data()
        target = torch.where(target == 255, target, target % 2)
        valid = target != 255
        kept = F.binary_cross_entropy_with_logits(pred[:, 0], (target == 1).float(), reduction='none') * valid
        loss = make('CrossEntropyLoss', use_sigmoid=True)
        torch.testing.assert_close(loss(pred[:, :1], target, reduction_override='none'), kept)
        torch.testing.assert_close(loss(pred[:, :1], target), kept.mean())
        loss = make('CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)
        torch.testing.assert_close(loss(pred[:, :1], target), kept.sum() / valid.sum())

    def test_nothing_is_ignored_without_an_index(self):
        pred, target = data()
        target[target == 255] = 0
        for options in ({}, {'use_sigmoid': True}):
            loss = make('CrossEntropyLoss', options)
            torch.testing.assert_close(loss(pred, target, ignore_index=None), loss(pred, target))

    def test_errors(self):
        with pytest.raises(ValueError, match='use_mask'):
            make('CrossEntropyLoss', use_mask=True)
        with pytest.raises(ValueError, match='reduction must be'):
            make('CrossEntropyLoss', reduction='avg')
        with pytest.raises(ValueError, match='class_weight has 2 numbers'):
            make('CrossEntropyLoss', class_weight=[1, 2])(*data())


class TestRegions:
    def test_dice_by_hand(self):
        pred, target = data()
        target[target == 255] = 0
        prob, truth = pred.softmax(1), one_hot(target)
        ratio = (2 * (prob * truth).sum((2, 3)) + 1) / ((prob**2 + truth).sum((2, 3)) + 1)
        torch.testing.assert_close(make('DiceLoss')(pred, target), (1 - ratio).mean())

    def test_joint_dice_by_hand(self):
        pred, target = data()
        truth = one_hot(target) * (target != 255)[:, None]
        prob = pred.sigmoid()
        overlap, squares = (prob * truth).flatten(1).sum(1), (prob**2).flatten(1).sum(1)
        kept = 1 - 2 * overlap / (squares + truth.flatten(1).sum(1) + 2e-3)
        loss = make('JointDiceLoss')
        torch.testing.assert_close(loss(pred, target, reduction_override='none'), kept)
        torch.testing.assert_close(loss(pred, target, torch.tensor([0.0, 1.0])), kept[1] / 2)
        assert loss(pred, target, torch.rand(N, H, W)) == loss(pred, target)

    def test_joint_dice_of_one_channel_is_that_of_label_1(self):
        pred, target = data()
        target = (target == 1).long()
        loss = make('JointDiceLoss', naive_dice=True, eps=0.0)
        prob = pred[:, :1].sigmoid().flatten(1)
        kept = 1 - 2 * (prob * target.flatten(1)).sum(1) / (prob.sum(1) + target.flatten(1).sum(1))
        torch.testing.assert_close(loss(pred[:, :1], target), kept.mean())

    def test_tversky_by_hand(self):
        pred, target = data()
        valid = (target != 255)[:, None]
        prob, truth = pred.softmax(1) * valid, one_hot(target) * valid
        hit = (prob * truth).sum((2, 3))
        wrong, missed = prob.sum((2, 3)) - hit, truth.sum((2, 3)) - hit
        kept = 1 - (hit + 1) / (hit + 0.3 * wrong + 0.7 * missed + 1)
        torch.testing.assert_close(make('TverskyLoss')(pred, target), kept.mean())
        with pytest.raises(ValueError, match=r'alpha \+ beta'):
            make('TverskyLoss', alpha=0.5)

    def test_the_own_ignore_index_comes_before_that_of_the_head(self):
        pred, target = data()
        target[target == 255] = 1
        for name in ('DiceLoss', 'JointDiceLoss', 'TverskyLoss'):
            own = make(name, ignore_index=1)(pred, target)
            torch.testing.assert_close(own, make(name)(pred, target, ignore_index=1))

    def test_large_masks_lose_no_digits(self):
        pred = torch.full((1, 2, 1024, 1024), 3.0)
        pred[:, 0] = -4.0
        target = torch.ones(1, 1024, 1024, dtype=torch.int64)
        exact = make('DiceLoss').double()(pred.double(), target)
        torch.testing.assert_close(make('DiceLoss')(pred, target).double(), exact, rtol=1e-5, atol=1e-6)


class TestLovasz:
    def test_slopes_are_the_steps_of_the_jaccard_loss(self):
        error = torch.tensor([[0.1, 0.9, 0.5, 0.7]])
        is_object = torch.tensor([[True, True, False, False]])
        # in order: object, other, other, object; the loss after each is 1/2, 2/3, 3/4, 1
        torch.testing.assert_close(lovasz_slopes(error, is_object), torch.tensor([[1 / 4, 1 / 2, 1 / 12, 1 / 6]]))

    def test_slopes_of_an_absent_class_are_its_greatest_error(self):
        error = torch.tensor([[0.1, 0.9, 0.5]])
        slopes = lovasz_slopes(error, torch.zeros(1, 3, dtype=torch.bool))
        assert slopes.tolist() == [[0, 1, 0]]

    def test_is_the_mean_jaccard_loss_of_hard_answers(self):
        _, target = data()
        target[target == 255] = 0
        answer = target.clone()
        answer[:, 0] = 2
        pred = 1000 * (2 * one_hot(answer) - 1)
        jaccard = [1 - ((answer == c) & (target == c)).sum() / ((answer == c) | (target == c)).sum() for c in range(C)]
        torch.testing.assert_close(make('LovaszLoss')(pred, target), torch.stack(jaccard).mean())

    def test_parts_of_classes_give_the_same(self, monkeypatch):
        whole = make('LovaszLoss')(*data())
        monkeypatch.setattr('intarsia.tasks.segmentation.losses.lovasz_loss.SORTED_AT_ONCE', 60)
        torch.testing.assert_close(make('LovaszLoss')(*data()), whole)

    def test_binary_hinge(self):
        pred, target = data()
        target = torch.where(target == 255, target, target % 2)
        loss = make('LovaszLoss', loss_type='binary')
        perfect = 10 * torch.where(target == 1, 1.0, -1.0)[:, None]
        assert loss(perfect, target) == 0
        assert loss(pred[:, :1], target) > 0
        assert make('LovaszLoss', loss_type='binary', per_image=True, reduction='none')(perfect, target).shape == (N,)

    def test_errors(self):
        with pytest.raises(ValueError, match='loss_type'):
            make('LovaszLoss', loss_type='hinge')
        with pytest.raises(ValueError, match='classes'):
            make('LovaszLoss', classes='some')
        with pytest.raises(ValueError, match='does not fit 4 channels'):
            make('LovaszLoss', loss_type='binary')(*data())


class TestClassWeight:
    VALUES = (1.0, 0.5, 2.0)

    @pytest.mark.parametrize('suffix', ['.json', '.yaml', '.pkl', '.npy', '.array.pkl'])
    def test_from_files(self, tmp_path, suffix):
        file = tmp_path / f'weights{suffix}'
        array = np.array(self.VALUES)
        if suffix == '.npy':
            np.save(file, array)
        else:
            content = array if 'array' in suffix else list(self.VALUES)
            file.write_bytes(pickle.dumps(content) if 'pkl' in suffix else json.dumps(content).encode())
        assert read_class_weight(str(file)).tolist() == list(self.VALUES)

    def test_a_pickle_runs_no_code(self, tmp_path):
        class Bad:
            def __reduce__(self):
                return subprocess.getoutput, ('touch /tmp/never',)

        file = tmp_path / 'bad.pkl'
        file.write_bytes(pickle.dumps(Bad()))
        with pytest.raises(ValueError, match='getoutput'):
            read_class_weight(str(file))

    def test_errors(self, tmp_path):
        (tmp_path / 'weights.txt').write_text('1 2')
        with pytest.raises(ValueError, match='should end with'):
            read_class_weight(str(tmp_path / 'weights.txt'))
        with pytest.raises(FileNotFoundError):
            read_class_weight(str(tmp_path / 'none.json'))
        with pytest.raises(ValueError, match='list of numbers'):
            read_class_weight(['road'])


class TestAccuracy:
    def test_top_k(self):
        pred, target = data()
        answer = pred.argsort(1, descending=True)
        for index in (None, 255):
            counted = target >= 0 if index is None else target != index
            for k in (1, 3):
                hits = ((answer[:, :k] == target[:, None]).any(1) & counted).sum()
                found = accuracy(pred, target, k, ignore_index=index)
                torch.testing.assert_close(found, 100 * hits.reshape(1) / counted.sum())
        both = accuracy(pred, target, (1, 3), ignore_index=255)
        assert [b.item() for b in both] == [accuracy(pred, target, k, ignore_index=255).item() for k in (1, 3)]

    def test_threshold(self):
        pred, target = data()
        assert accuracy(pred, target, thresh=float(pred.max())).item() == 0

    def test_edges(self):
        pred, target = data()
        assert accuracy(pred, torch.full_like(target, 255), ignore_index=255).item() == 100
        with pytest.raises(ValueError, match='topk=5'):
            accuracy(pred, target, 5)
