"""What every classification loss must do."""

import pytest
import torch
from torch import nn

from intarsia.core.registries import LOSSES
from intarsia.models.losses.targets import target_kind
from intarsia.models.losses.weighted import weight_reduce_loss, weighted_loss

LOSSES_OF_TASK = LOSSES.of('classification')
ARGUMENTS = {'LabelSmoothLoss': {'label_smooth_val': 0.1}, 'SeesawLoss': {'num_classes': 5}}
"""Arguments that a loss cannot do without."""
VARIANTS = {'CrossEntropyLoss': [{}, {'use_soft': True}, {'use_sigmoid': True}, {'class_weight': [1, 2, 3, 4, 5]}],
            'LabelSmoothLoss': [{}, {'mode': 'classy_vision'}, {'mode': 'multi_label'}]}  # fmt: skip
CASES = [(name, variant) for name in LOSSES_OF_TASK.names() for variant in VARIANTS.get(name, [{}])]


def make(name, variant, **options):
    return LOSSES_OF_TASK.build({'type': name, **ARGUMENTS.get(name, {}), **variant, **options})


def data(loss, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(6, 5, generator=generator, dtype=dtype)
    label = torch.tensor([0, 3, 4, 1, 1, 2])
    return score, nn.functional.one_hot(label, 5).to(dtype) if target_kind(loss) == 'score' else label


@pytest.fixture(params=CASES, ids=[f'{name}-{"-".join(map(str, v)) or "default"}' for name, v in CASES])
def case(request):
    return request.param


def test_is_finite_with_finite_gradients(case):
    loss = make(*case)
    score, target = data(loss)
    for factor in (1.0, 50.0):
        scaled = (score * factor).requires_grad_()
        value = loss(scaled, target)
        assert value.shape == ()
        assert value.isfinite()
        value.backward()
        assert scaled.grad.isfinite().all()


def test_reductions_agree(case):
    score, target = data(make(*case))
    elements = make(*case)(score, target, reduction_override='none')
    assert len(elements) == len(score)
    torch.testing.assert_close(make(*case, reduction='sum')(score, target), elements.sum())
    torch.testing.assert_close(make(*case)(score, target), elements.mean())
    torch.testing.assert_close(make(*case)(score, target, avg_factor=4), elements.sum() / 4)
    torch.testing.assert_close(make(*case, loss_weight=3.0)(score, target), 3 * elements.mean())


def test_weight_counts_per_sample(case):
    score, target = data(make(*case))
    elements = make(*case)(score, target, reduction_override='none')
    weight = torch.tensor([0.0, 1.0, 2.0, 0.5, 0.0, 3.0])
    weighted = make(*case)(score, target, weight=weight, reduction_override='none')
    torch.testing.assert_close(weighted, elements * weight.reshape(-1, *[1] * (elements.dim() - 1)))


def test_avg_factor_and_sum_exclude_each_other(case):
    loss = make(*case, reduction='sum')
    with pytest.raises(ValueError, match='avg_factor can not be used with reduction="sum"'):
        loss(*data(loss), avg_factor=2)


def test_gradient_is_that_of_the_value(case):
    if case[0] == 'SeesawLoss':
        pytest.skip('its factors are constants by definition, and it counts calls')
    loss = make(*case).double()
    score, target = data(loss, torch.float64)
    assert torch.autograd.gradcheck(lambda s: loss(s, target), (score.requires_grad_(),))


def test_gives_the_same_on_indices_and_on_one_hot_scores(case):
    loss = make(*case)
    if case[0] not in ('LabelSmoothLoss', 'FocalLoss', 'AsymmetricLoss'):
        pytest.skip('takes one form')
    score, target = data(loss)
    torch.testing.assert_close(loss(score, target.argmax(1)), loss(score, target))


def test_half_precision_scores_lose_nothing_but_their_own_rounding(case):
    score, target = data(make(*case))
    score = score.bfloat16()
    value = make(*case)(score, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, make(*case)(score.float(), target))


def test_refuses_an_unknown_reduction(case):
    with pytest.raises(ValueError, match="'none', 'mean' or 'sum'"):
        make(*case, reduction='average')


# ---------------------------------------------------------------------- weighted_loss


@weighted_loss
def absolute(pred, target, power=1):
    """Distance."""
    return (pred - target).abs() ** power


def test_weighted_loss_adds_weight_reduction_and_average_factor():
    pred, target = torch.zeros(2, 3), torch.arange(6.0).reshape(2, 3)
    assert absolute(pred, target).item() == 2.5
    assert absolute(pred, target, reduction='sum').item() == 15
    assert absolute(pred, target, None, 'mean', 5).item() == 3
    assert absolute(pred, target, torch.tensor([[0.0], [1.0]]), reduction='sum', power=2).item() == 50
    assert torch.equal(absolute(pred, target, reduction='none', avg_factor=7), target)
    assert absolute.__name__ == 'absolute'
    assert absolute.__doc__ == 'Distance.'


def test_weighted_loss_called_without_arguments_says_what_to_do():
    with pytest.raises(TypeError, match=r'self\.criterion = absolute, without brackets'):
        absolute()


def test_weight_reduce_loss_refuses_an_unknown_reduction():
    with pytest.raises(ValueError, match="not 'average'"):
        weight_reduce_loss(torch.ones(2), reduction='average')


# ---------------------------------------------------------------------- which form of labels


class PlainLoss(nn.Module):
    def forward(self, pred, target):
        return nn.functional.cross_entropy(pred, target)


class WeightedUserLoss(nn.Module):
    def forward(self, pred, target, weight=None, avg_factor=None):
        return absolute(pred, target, weight, avg_factor=avg_factor)


class StoredUserLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.criterion = absolute

    def forward(self, pred, target):
        return self.criterion(pred, target)


class DeclaredLoss(WeightedUserLoss):
    target_kind = 'index'


class MisspeltLoss(PlainLoss):
    target_kind = 'indices'


@pytest.mark.parametrize(
    ('loss', 'kind'),
    [(PlainLoss, 'index'), (WeightedUserLoss, 'score'), (StoredUserLoss, 'score'), (DeclaredLoss, 'index')],
)
def test_the_form_of_labels_follows_from_weighted_loss_or_a_declaration(loss, kind):
    assert target_kind(loss()) == kind


def test_a_wrong_declaration_is_an_error():
    with pytest.raises(ValueError, match=r"MisspeltLoss\.target_kind must be 'index' or 'score', not 'indices'"):
        target_kind(MisspeltLoss())
