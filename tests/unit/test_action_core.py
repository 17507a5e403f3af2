"""Recognizers, their head's losses, batch blending and the evaluator, with networks small enough to compute by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from intarsia.core.registries import BATCH_AUGMENTS
from intarsia.tasks.action.heads.cls_head import BaseHead
from intarsia.tasks.action.metrics.evaluator import ActionEvaluator
from intarsia.tasks.action.recognizer import average_views
from intarsia.tasks.action.recognizer2d import Recognizer2D
from intarsia.tasks.action.recognizer3d import Recognizer3D
from intarsia.tasks.action.results import ActionResult

NUM_CLASSES, CHANNELS = 4, 3


class Same(nn.Module):
    """The frames, or clips, are their own features."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return (x,)


class FrameHead(BaseHead):
    """Mean over frames and space, then one layer."""

    def __init__(self, **options):
        super().__init__(NUM_CLASSES, CHANNELS, **options)
        self.fc_cls = nn.Linear(CHANNELS, NUM_CLASSES)

    def forward(self, feats, num_segs=None):
        return self.fc_cls(feats.flatten(2).mean(2).unflatten(0, (-1, num_segs)).mean(1))


class ClipHead(BaseHead):
    """Mean over space and time, then one layer."""

    def __init__(self, **options):
        super().__init__(NUM_CLASSES, CHANNELS, **options)
        self.fc_cls = nn.Linear(CHANNELS, NUM_CLASSES)

    def forward(self, feats, num_segs=None):
        return self.fc_cls(feats[0].flatten(2).mean(2))


@pytest.fixture
def frames():
    return torch.randn(2, 6, CHANNELS, 4, 5, generator=torch.Generator().manual_seed(0))  # n, m, c, h, w


@pytest.fixture
def clips():
    return torch.randn(2, 3, CHANNELS, 4, 5, 5, generator=torch.Generator().manual_seed(1))  # n, m, c, t, h, w


def test_2d_scores_are_the_consensus_over_the_frames(frames):
    model = Recognizer2D(Same(), FrameHead()).eval()
    expected = model.cls_head.fc_cls(frames.mean(dim=(1, 3, 4)))
    torch.testing.assert_close(model(frames), expected)


def test_3d_scores_are_one_for_each_clip_and_results_their_mean_probability(clips):
    model = Recognizer3D(Same(), ClipHead()).eval()
    with torch.inference_mode():
        scores = model(clips)
        assert scores.shape == (6, NUM_CLASSES)
        torch.testing.assert_close(scores[1], model.cls_head.fc_cls(clips[0, 1].mean(dim=(1, 2, 3))))
        results = model.predict(clips)
    torch.testing.assert_close(torch.from_numpy(results[1].scores), scores[3:].softmax(1).mean(0))


def test_averaging_scores_is_not_averaging_probabilities():
    scores = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(average_views(scores, 2, 'score'), torch.tensor([[2.0, 0.5]]))
    torch.testing.assert_close(average_views(scores, 2, 'prob'), scores.softmax(1).mean(0, keepdim=True))
    assert average_views(scores, 2, None) is scores


def test_several_views_need_to_know_how_to_be_averaged(clips):
    model = Recognizer3D(Same(), ClipHead(), test_cfg=dict(average_clips=None)).eval()
    with pytest.raises(ValueError, match='a sample has 3 views'):
        model.predict(clips)
    with pytest.raises(ValueError, match=r"test_cfg\.average_clips.*'prob'"):
        Recognizer3D(Same(), ClipHead(), test_cfg=dict(average_clips='probs'))


def test_views_go_through_the_backbone_a_few_at_a_time(clips):
    whole = Recognizer3D(Same(), ClipHead()).eval()
    parts = Recognizer3D(Same(), whole.cls_head, test_cfg=dict(max_testing_views=4)).eval()
    torch.testing.assert_close(parts(clips), whole(clips))
    assert parts.backbone.seen == [4, 2]
    parts.train()(clips)
    assert parts.backbone.seen == [4, 2, 6]


def test_features_are_the_mean_over_space_time_and_views(clips):
    model = Recognizer3D(Same(), test_cfg=dict(feature_extraction=True)).eval()
    with torch.inference_mode():
        result = model.predict(clips)[0]
    torch.testing.assert_close(torch.from_numpy(result.feature), clips[0].mean(dim=(0, 2, 3, 4)))
    with pytest.raises(RuntimeError, match='no cls_head'):
        Recognizer3D(Same())(clips)


def test_the_loss_of_classes_of_shares_and_of_smoothed_classes():
    scores = torch.tensor([[1.0, 2.0, 0.5, 0.0], [0.0, 0.0, 3.0, 1.0]])
    label = torch.tensor([1, 3])
    values = ClipHead().loss(scores, label)
    torch.testing.assert_close(values['loss_cls'], F.cross_entropy(scores, label))
    assert values['top1_acc'] == 0.5
    assert values['top5_acc'] == 1
    soft = F.one_hot(label, NUM_CLASSES).float()
    assert ClipHead().loss(scores, soft).keys() == {'loss_cls'}
    torch.testing.assert_close(ClipHead().loss(scores, soft)['loss_cls'], values['loss_cls'])
    smoothed = ClipHead(label_smooth_eps=0.1).loss(scores, label[:, None])['loss_cls']
    torch.testing.assert_close(smoothed, F.cross_entropy(scores, label, label_smoothing=0.1))


def test_labels_that_do_not_fit_say_so(clips):
    model = Recognizer3D(Same(), ClipHead())
    with pytest.raises(KeyError, match="needs targets\\['label'\\]"):
        model.loss(clips[:, :1], {})
    with pytest.raises(ValueError, match='7'):
        model.loss(clips[:, :1], {'label': torch.tensor([1, 7])})
    with pytest.raises(ValueError, match=r'scores \(2, 4\); labels are'):
        model.loss(clips[:, :1], {'label': torch.zeros(2, 5)})
    with pytest.raises(ValueError, match='label_smooth_eps is a share'):
        ClipHead(label_smooth_eps=1.5)


@pytest.mark.parametrize('kind', ['MixupBlending', 'CutmixBlending'])
def test_blending_keeps_the_sum_of_the_labels_and_uses_both_clips(kind, frames):
    blend = BATCH_AUGMENTS.of('action').build(dict(type=kind, num_classes=NUM_CLASSES, alpha=1.0))
    mixed, shares = blend(frames, torch.tensor([0, 2]), np.random.default_rng(3))
    assert mixed.shape == frames.shape
    torch.testing.assert_close(shares.sum(1), torch.ones(2))
    assert set(shares.nonzero()[:, 1].tolist()) <= {0, 2}


def test_a_recognizer_blends_in_training_only(frames):
    cfg = dict(blending=dict(type='MixupBlending', num_classes=NUM_CLASSES, alpha=1.0))
    model = Recognizer2D(Same(), FrameHead(), train_cfg=cfg)
    label = torch.tensor([0, 2])
    torch.manual_seed(0)
    assert 'top1_acc' not in model.train().loss(frames, {'label': label})
    assert 'top1_acc' in model.eval().loss(frames, {'label': label})
    cfg = dict(blending=dict(type='MixupBlending', num_classes=9))
    with pytest.raises(ValueError, match='num_classes'):
        Recognizer2D(Same(), FrameHead(), train_cfg=cfg)


def test_metrics_of_clips_are_those_that_are_asked_for():
    evaluator = ActionEvaluator(None, ['top_k_accuracy', 'mean_class_accuracy'], dict(top_k_accuracy=dict(topk=(1, 2))))
    scores = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.4, 0.5, 0.1], [0.1, 0.2, 0.7]]).numpy()
    results = [ActionResult.of(each) for each in scores]
    evaluator.update(results[:3], {'label': torch.tensor([0, 2, 0])})
    evaluator.update(results[3:], {'label': torch.tensor([[2]])})
    values = evaluator.compute()
    assert values['top1_acc'] == 0.5
    assert values['top2_acc'] == 1
    assert values['mean_class_accuracy'] == pytest.approx(1 / 3)  # half of 0 and 2; 1 is never true, and counts as 0
    with pytest.raises(ValueError, match="Did you mean 'top_k_accuracy'"):
        ActionEvaluator(None, 'topk_accuracy')
    with pytest.raises(ValueError, match='metric_options are for top_k'):
        ActionEvaluator(None, 'mean_class_accuracy', dict(top_k=dict(topk=1)))
