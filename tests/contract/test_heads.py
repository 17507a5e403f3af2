"""What every classification head must do."""

import pytest
import torch
from torch import nn

from intarsia.core.registries import HEADS, MODELS
from intarsia.models.losses.weighted import weighted_loss
from intarsia.tasks.classification.heads.cls_head import ClsHead
from intarsia.tasks.classification.heads.multi_label_cls_head import MultiLabelClsHead

HEADS_OF_TASK = HEADS.of('classification')
NUM_CLASSES, CHANNELS, SAMPLES = 5, 8, 4
LAYERLESS = ('ClsHead', 'MultiLabelClsHead')
OF_PAIRS = ('DeiTClsHead', 'ConformerHead')
"""Heads whose feature is a list of two."""
ARGUMENTS = {'StackedLinearClsHead': {'mid_channels': [6, 7], 'dropout_rate': 0.1, 'norm_cfg': {'type': 'BN1d'}},
             'VisionTransformerClsHead': {'hidden_dim': 6},
             'ConformerHead': {'in_channels': (CHANNELS, CHANNELS)},
             'CSRAClsHead': {'num_heads': 2, 'lam': 0.1}}  # fmt: skip


def make(name, **options):
    channels = {} if name in LAYERLESS else {'num_classes': NUM_CLASSES, 'in_channels': CHANNELS}
    return HEADS_OF_TASK.build({'type': name, **channels, **ARGUMENTS.get(name, {}), **options})


def features(name):
    width = NUM_CLASSES if name in LAYERLESS else CHANNELS
    size = (2, 3) if name == 'CSRAClsHead' else ()
    feature = torch.randn(SAMPLES, width, *size, generator=torch.Generator().manual_seed(0))
    return [feature, feature + 1] if name in OF_PAIRS else feature


def labels(head):
    index = torch.tensor([0, 3, 1, 4])
    return nn.functional.one_hot(index, NUM_CLASSES).float() if isinstance(head, MultiLabelClsHead) else index


@pytest.fixture(params=HEADS_OF_TASK.names())
def name(request):
    return request.param


def test_logits_from_a_tuple_of_stages_or_a_tensor(name):
    head = make(name).eval()
    feature = features(name)
    logits = head((torch.zeros(1), feature))
    assert logits.shape == (SAMPLES, NUM_CLASSES)
    if name not in OF_PAIRS:
        assert torch.equal(logits, head(feature))
        assert head.pre_logits((feature,)).shape[0] == SAMPLES


def test_loss_is_a_dict_with_gradients_for_every_parameter(name):
    head = make(name)
    head.init_weights()
    feature = features(name)
    losses = head.loss((feature.requires_grad_() if name in LAYERLESS else feature,), labels(head))
    assert losses['loss'].shape == ()
    losses['loss'].backward()
    assert all(p.grad is not None for p in head.parameters())


def test_predict_gives_probabilities_and_decide_the_classes(name):
    head = make(name).eval()
    probability = head.predict((features(name),))
    assert probability.shape == (SAMPLES, NUM_CLASSES)
    assert ((probability >= 0) & (probability <= 1)).all()
    decided = head.decide(probability)
    assert len(decided) == SAMPLES
    if not isinstance(head, MultiLabelClsHead):
        torch.testing.assert_close(probability.sum(1), torch.ones(SAMPLES))
        assert decided == [(int(label),) for label in probability.argmax(1)]


def test_the_feature_may_be_a_list_ending_in_the_class_token():
    head = make('VisionTransformerClsHead')
    token = features('VisionTransformerClsHead')
    assert torch.equal(head(([torch.zeros(SAMPLES, CHANNELS, 2, 2), token],)), head((token,)))


def test_state_dict_keys_are_those_of_published_checkpoints():
    keys = {name: list(make(name).state_dict()) for name in ('LinearClsHead', 'MultiLabelLinearClsHead')}
    assert keys['LinearClsHead'] == keys['MultiLabelLinearClsHead'] == ['fc.weight', 'fc.bias']
    transformer = make('VisionTransformerClsHead').state_dict()
    assert {key.rpartition('.')[0] for key in transformer} == {'layers.pre_logits', 'layers.head'}
    stacked = make('StackedLinearClsHead').state_dict()
    assert {'layers.0.fc.weight', 'layers.0.norm.weight', 'layers.2.fc.bias'} < set(stacked)


# ---------------------------------------------------------------------- labels and losses


def test_accuracy_is_logged_on_request():
    head = make('ClsHead', topk=(1, 2), cal_acc=True)
    score = torch.tensor([[-1.0, -2, -3], [-2, -1, -3], [-3, -2, -1], [-1, -2, -3]])
    losses = head.loss((score,), torch.tensor([0, 0, 0, 0]))
    assert losses['accuracy_top-1'].item() == 50
    assert losses['accuracy_top-2'].item() == 75


def test_soft_labels_are_passed_on():
    head = make('LinearClsHead', loss={'type': 'CrossEntropyLoss', 'use_soft': True})
    soft = torch.full((SAMPLES, NUM_CLASSES), 1 / NUM_CLASSES)
    feature = features('LinearClsHead')
    expected = nn.functional.cross_entropy(head(feature), soft)
    torch.testing.assert_close(head.loss((feature,), soft)['loss'], expected)


def test_hard_labels_become_scores_where_the_loss_wants_them():
    feature, label = features('LinearClsHead'), torch.tensor([0, 3, 1, 4])
    for options in ({'use_soft': True}, {'use_sigmoid': True}):
        head = make('LinearClsHead', loss={'type': 'CrossEntropyLoss', **options})
        one_hot = nn.functional.one_hot(label, NUM_CLASSES).float()
        torch.testing.assert_close(head.loss((feature,), label), head.loss((feature,), one_hot))


def test_difficult_positives_count_as_positives():
    head = make('MultiLabelClsHead')
    score = features('MultiLabelClsHead')
    target = torch.tensor([[1, 0, -1, 0, 0]] * SAMPLES)
    torch.testing.assert_close(head.loss((score,), target), head.loss((score,), target.abs().float()))


def test_multi_label_decisions():
    probability = torch.tensor([[0.2, 0.9, 0.6], [0.1, 0.2, 0.3]])
    assert make('MultiLabelClsHead').decide(probability) == [(1, 2), ()]
    assert make('MultiLabelClsHead', thr=0.2).decide(probability) == [(1, 2, 0), (2, 1)]
    assert make('MultiLabelClsHead', topk=2).decide(probability) == [(1, 2), (2, 1)]


def test_a_loss_without_average_factor_and_one_that_sums():
    class Plain(nn.Module):
        def forward(self, score, label):
            return nn.functional.cross_entropy(score, label)

    feature, label = features('ClsHead'), torch.tensor([0, 3, 1, 4])
    plain = ClsHead(loss=Plain()).loss((feature,), label)['loss']
    torch.testing.assert_close(plain, ClsHead().loss((feature,), label)['loss'])
    summed = ClsHead(loss={'type': 'CrossEntropyLoss', 'reduction': 'sum'}).loss((feature,), label)['loss']
    torch.testing.assert_close(summed, plain * SAMPLES)


# ---------------------------------------------------------------------- the tutorial


@weighted_loss
def l1_loss(pred, target):
    assert pred.size() == target.size()
    return torch.abs(pred - target)


class L1Loss(nn.Module):
    def __init__(self, reduction='mean', loss_weight=1.0):
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, pred, target, weight=None, avg_factor=None, reduction_override=None):
        reduction = reduction_override or self.reduction
        return self.loss_weight * l1_loss(pred, target, weight, reduction=reduction, avg_factor=avg_factor)


class TutorialHead(ClsHead):
    def __init__(self, num_classes, in_channels, hidden_dim, **kwargs):
        super().__init__(**kwargs)
        self.fc1 = nn.Linear(in_channels, hidden_dim)
        self.act = nn.Tanh()
        self.fc2 = nn.Linear(hidden_dim, num_classes)

    def pre_logits(self, feats):
        _, cls_token = feats[-1]
        return self.act(self.fc1(cls_token))

    def forward(self, feats):
        return self.fc2(self.pre_logits(feats))


@pytest.fixture
def tutorial_loss():
    MODELS.register_module(module=L1Loss)
    yield {'type': 'L1Loss', 'loss_weight': 1.0}
    MODELS._components.pop((False, None, 'L1Loss'))


def test_a_loss_made_with_weighted_loss_gets_one_hot_targets(tutorial_loss):
    head = make('LinearClsHead', loss=tutorial_loss, topk=(1, 5))
    feature, label = features('LinearClsHead'), torch.tensor([0, 3, 1, 4])
    expected = (head(feature) - nn.functional.one_hot(label, NUM_CLASSES)).abs().sum() / SAMPLES
    torch.testing.assert_close(head.loss((feature,), label)['loss'], expected)


def test_a_head_is_pre_logits_and_forward(tutorial_loss):
    head = TutorialHead(NUM_CLASSES, CHANNELS, 3, loss=tutorial_loss)
    stage = (torch.zeros(SAMPLES, CHANNELS, 2, 2), features('LinearClsHead'))
    assert head.loss((stage,), torch.tensor([0, 3, 1, 4]))['loss'].isfinite()
    torch.testing.assert_close(head.predict((stage,)).sum(1), torch.ones(SAMPLES))


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'num_classes': 0}, 'num_classes=0 must be a positive integer'),
        ({'topk': (0, 1)}, 'topk must hold numbers from 1 on'),
        ({'topk': (1, 6), 'cal_acc': True}, r'topk=\(1, 6\) asks for more than num_classes=5'),
        ({'loss': {'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1, 'num_classes': 4}}, 'num_classes=4'),
        ({'loss': {'type': 'CrossEntropyLoss', 'class_weight': [1.0, 2.0]}}, '2 values in class_weight'),
        ({'loss': {'type': 'CrossEntropyLoss', 'use_soft': True, 'use_sigmoid': True}}, 'exclude each other'),
    ],
)
def test_contradictions_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        make('LinearClsHead', **options)


def test_a_misspelt_argument_of_the_base_is_named():
    with pytest.raises(TypeError, match=r"no argument 'cal_ac'\. Did you mean 'cal_acc'"):
        make('LinearClsHead', cal_ac=True)


@pytest.mark.parametrize('label', [5, -1])
def test_a_label_that_is_no_class_is_named(label):
    head = make('LinearClsHead')
    with pytest.raises(ValueError, match=rf'label {label} \(sample 2 of the batch\).*labels are 0 ... 4'):
        head.loss((features('LinearClsHead'),), torch.tensor([0, 1, label, 2]))


def test_accuracy_of_mixed_labels_is_refused():
    head = make('LinearClsHead', cal_acc=True)
    with pytest.raises(ValueError, match='cal_acc=True needs class indices'):
        head.loss((features('LinearClsHead'),), torch.full((SAMPLES, NUM_CLASSES), 0.2))


def test_a_loss_that_fails_says_what_it_was_given():
    class Scores(nn.Module):
        def forward(self, score, target):
            return (score * target.sum(dim=1, keepdim=True)).sum()

    with pytest.raises(IndexError) as caught:
        ClsHead(loss=Scores()).loss((features('ClsHead'),), torch.tensor([0, 3, 1, 4]))
    assert "target_kind = 'index' or 'score'" in caught.value.__notes__[0]
