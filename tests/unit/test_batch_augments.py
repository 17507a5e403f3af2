import numpy as np
import pytest
import torch

from intarsia.core.registries import BATCH_AUGMENTS
from intarsia.models.batch_augments import (
    BatchAugments,
    BatchCutMix,
    BatchMixup,
    BatchResizeMix,
    Identity,
    cutmix,
    mixup,
    resizemix,
)

PERMUTATION = torch.tensor([2, 0, 1])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, 8, 6, generator=generator), torch.tensor([0, 3, 1])


def one_hot(labels):
    return torch.nn.functional.one_hot(labels, 4).float()


def test_mixup_averages_images_and_labels(batch):
    img, label = batch
    mixed, score = mixup(img, one_hot(label), 0.3, PERMUTATION)
    torch.testing.assert_close(mixed[0], 0.3 * img[0] + 0.7 * img[2])
    torch.testing.assert_close(score[0], torch.tensor([0.3, 0.7, 0.0, 0.0]))


def test_cutmix_replaces_the_box_and_nothing_else(batch):
    img, label = batch
    before = img.clone()
    mixed, score = cutmix(img, one_hot(label), 0.75, (2, 6, 1, 4), PERMUTATION)
    inside = torch.zeros(8, 6, dtype=torch.bool)
    inside[2:6, 1:4] = True
    assert torch.equal(mixed[1][:, inside], img[0][:, inside])
    assert torch.equal(mixed[1][:, ~inside], img[1][:, ~inside])
    assert torch.equal(img, before)
    torch.testing.assert_close(score.sum(1), torch.ones(3))


def test_resizemix_shows_the_whole_other_image(batch):
    img, label = batch
    constant = torch.arange(3.0).reshape(3, 1, 1, 1).expand_as(img)
    mixed, _ = resizemix(constant, one_hot(label), 0.75, (2, 6, 1, 4), PERMUTATION)
    assert (mixed[0, :, 2:6, 1:4] == 2).all()
    assert (mixed[0, :, :2] == 0).all()
    empty, _ = resizemix(constant, one_hot(label), 1.0, (2, 2, 1, 4), PERMUTATION)
    assert torch.equal(empty, constant)


@pytest.mark.parametrize('name', BATCH_AUGMENTS.of('classification').names())
def test_every_augment_follows_from_its_generator_and_keeps_its_arguments(name, batch):
    img, label = batch
    options = {} if name == 'Identity' else {'alpha': 1.0}
    augment = BATCH_AUGMENTS.of('classification').build(dict(type=name, num_classes=4, **options))
    before = img.clone()
    for seed in range(20):
        mixed, score = augment(img, label, np.random.default_rng(seed))
        again, score_again = augment(img, label, np.random.default_rng(seed))
        assert torch.equal(mixed, again)
        assert torch.equal(score, score_again)
        assert mixed.shape == img.shape
        torch.testing.assert_close(score.sum(1), torch.ones(3))
    assert torch.equal(img, before)


def test_labels_are_mixed_by_the_area_that_was_replaced():
    augment = BatchCutMix(alpha=1.0, num_classes=2)
    img = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 16, 12)
    for seed in range(50):
        mixed, score = augment(img, torch.tensor([0, 1]), np.random.default_rng(seed))
        assert mixed[0].mean().item() == pytest.approx(score[0, 1].item(), abs=1e-6)


def test_cutmix_minmax_bounds_the_sides():
    augment = BatchCutMix(alpha=1.0, num_classes=2, cutmix_minmax=(0.25, 0.5))
    for seed in range(100):
        (top, bottom, left, right), lam = augment.draw_box((32, 16), 0.5, np.random.default_rng(seed))
        assert 8 <= bottom - top < 16
        assert 4 <= right - left < 8
        assert lam == 1 - (bottom - top) * (right - left) / 512


def test_resizemix_maps_the_share():
    augment = BatchResizeMix(alpha=1.0, num_classes=2, lam_min=0.1, lam_max=0.8)
    drawn = [augment.draw_lam(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.1 <= min(drawn) < 0.2
    assert 0.7 < max(drawn) <= 0.8


def test_one_is_chosen_by_its_probability_and_the_rest_is_identity(batch):
    augments = BatchAugments(
        [
            {'type': 'BatchMixup', 'alpha': 1.0, 'num_classes': 4, 'prob': 0.5},
            {'type': 'BatchCutMix', 'alpha': 1.0, 'num_classes': 4, 'prob': 0.3},
        ],
        'classification',
    )
    assert [type(a) for a in augments.augments] == [BatchMixup, BatchCutMix, Identity]
    img, label = batch
    rng = np.random.default_rng(0)
    same = sum(torch.equal(augments(img, label, rng)[1], one_hot(label)) for _ in range(500))
    assert 0.2 < same / 500 < 0.55  # Identity, and permutations that change nothing


def test_a_single_node_needs_no_list():
    augments = BatchAugments({'type': 'BatchMixup', 'alpha': 1.0, 'num_classes': 4}, 'classification')
    assert [type(a) for a in augments.augments] == [BatchMixup]


@pytest.mark.parametrize(
    ('augments', 'message'),
    [
        ([{'type': 'BatchMixup', 'alpha': 1.0, 'num_classes': 4, 'prob': 0.6}] * 2, 'add up to 1.2'),
        ([], 'empty list'),
        ({'type': 'BatchMixup', 'alpha': 0.0, 'num_classes': 4}, 'alpha must be positive'),
        ({'type': 'BatchMixup', 'alpha': 1.0, 'num_classes': 4, 'prob': 1.5}, 'prob must be in 0 ... 1'),
    ],
)
def test_contradictions_are_refused(augments, message):
    with pytest.raises(ValueError, match=message):
        BatchAugments(augments, 'classification')
