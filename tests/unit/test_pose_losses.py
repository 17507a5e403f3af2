"""Pose losses: what all of them promise, values by hand, and a user's own in the registry."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.real_nvp import RealNVP

N, K, H, W = 3, 5, 6, 4
OF_MAPS = ['AdaptiveWingLoss', 'JointsMSELoss', 'JointsOHKMMSELoss', 'KeypointMSELoss', 'KeypointOHKMMSELoss']
OF_COORDINATES = [
    'L1Loss',
    'MPJPELoss',
    'MSELoss',
    'SmoothL1Loss',
    'SoftWeightSmoothL1Loss',
    'SoftWingLoss',
    'WingLoss',
]
SHAPES = {**dict.fromkeys(OF_MAPS, (N, K, H, W)), **dict.fromkeys(OF_COORDINATES, (N, K, 2)),
          'CombinedTargetMSELoss': (N, 3 * K, H, W), 'JSDiscretLoss': (N, K, H, W)}  # fmt: skip
ARGUMENTS = {'JointsOHKMMSELoss': {'topk': 2}, 'KeypointOHKMMSELoss': {'topk': 2}}


def make(name, **options):
    return LOSSES.of('pose').build({'type': name, **ARGUMENTS.get(name, {}), **options})


@pytest.fixture(params=sorted(SHAPES))
def name(request):
    return request.param


def pair(shape):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


def test_weights_of_any_shape_count_and_zero_leaves_a_joint_out(name):
    loss = make(name, use_target_weight=True)
    output, target = pair(SHAPES[name])
    output.requires_grad_()
    weight_nk = torch.ones(N, K)
    weight_nk[:, 2] = 0
    value = loss(output, target, weight_nk)
    torch.testing.assert_close(loss(output, target, weight_nk[..., None]), value)
    assert value.shape == ()
    value.backward()
    assert output.grad.isfinite().all()
    of_joint = output.grad.unflatten(1, (K, -1))[:, 2]
    assert (of_joint == 0).all()
    assert output.grad.abs().sum() > 0


def test_weights_are_asked_for_and_have_to_fit(name):
    output, target = pair(SHAPES[name])
    loss = make(name, use_target_weight=True)
    if name != 'KeypointMSELoss':
        with pytest.raises(ValueError, match='no target_weight was given'):
            loss(output, target)
    with pytest.raises(ValueError, match=rf'weights \({N}, {K + 1}\) do not fit'):
        loss(output, target, torch.ones(N, K + 1))
    with pytest.raises(ValueError, match=rf'{type(loss).__name__}: outputs'):
        loss(output[:2], target, torch.ones(N, K))


def test_ones_as_weights_change_nothing_and_inputs_stay(name):
    output, target = pair(SHAPES[name])
    before = output.clone(), target.clone()
    plain = make(name, use_target_weight=False)(output, target)
    torch.testing.assert_close(make(name, use_target_weight=True)(output, target, torch.ones(N, K)), plain)
    assert torch.equal(output, before[0])
    assert torch.equal(target, before[1])


def test_half_precision_loses_nothing_but_its_own_rounding(name):
    output, target = pair(SHAPES[name])
    output = output.bfloat16()
    value = make(name, use_target_weight=False)(output, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, make(name, use_target_weight=False)(output.float(), target))


# ---------------------------------------------------------------------- values by hand


def test_values_by_hand():
    output, target = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[1.0, 0.0]]])
    assert make('L1Loss')(output, target).item() == 1.5
    assert make('MSELoss', loss_weight=2.0)(output, target).item() == 9
    assert make('SmoothL1Loss')(output, target).item() == 1.25
    assert make('MPJPELoss')(output, target).item() == 3
    assert make('WingLoss')(output, target).item() == pytest.approx(10 * math.log(1 + 3 / 2))
    assert make('SoftWingLoss')(output, target).item() == pytest.approx(2 + 20 * math.log((1 + 6) / (1 + 4)), rel=1e-6)


@pytest.mark.parametrize('name', ['WingLoss', 'SoftWingLoss', 'AdaptiveWingLoss'])
def test_wings_have_no_step(name):
    limit = {'WingLoss': 10.0, 'SoftWingLoss': 2.0, 'AdaptiveWingLoss': 0.5}[name]
    target = torch.full((1, 1, 1, 1), 0.25)
    values = [make(name)(target + limit + step, target).item() for step in (-1e-4, 1e-4)]
    assert values[0] < values[1] < values[0] + 0.01


def test_hard_joints_are_mined_person_by_person():
    target = torch.zeros(2, 3, 1, 1)
    output = torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]).reshape(2, 3, 1, 1)
    assert make('JointsOHKMMSELoss', topk=1)(output, target).item() == 9
    assert make('JointsOHKMMSELoss', topk=2)(output, target).item() == (4 + 9 + 9 + 1) / 4
    with pytest.raises(ValueError, match='topk=8, but there are 3 joints'):
        make('JointsOHKMMSELoss', topk=8)(output, target)


def test_offsets_count_where_the_joint_may_be():
    heat, offset = torch.tensor([[0.0, 1.0]]), torch.tensor([[5.0, 2.0]])
    target = torch.stack([heat, torch.zeros_like(offset), torch.zeros_like(offset)], 1)[..., None]
    output = torch.stack([heat, offset, torch.zeros_like(offset)], 1)[..., None]
    assert make('CombinedTargetMSELoss')(output, target).item() == 0.5 * 2**2 / 2
    with pytest.raises(ValueError, match='three maps a joint, but there are 4'):
        make('CombinedTargetMSELoss')(torch.zeros(1, 4, 2, 1), torch.zeros(1, 4, 2, 1))


def test_the_learned_distribution_is_one():
    torch.manual_seed(0)
    flow = RealNVP()
    for module in flow.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.2)
    side = torch.linspace(-12, 12, 400)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        total = flow.log_prob(grid).exp().sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=2e-3)


def test_rle_says_what_the_head_lacks():
    with pytest.raises(ValueError, match='has the head out_sigma=True'):
        make('RLELoss')(torch.zeros(2, 3, 2), torch.zeros(2, 3, 2))


def test_divergences_are_zero_only_for_equal_distributions():
    x, y = torch.randn(2, 3, 8), torch.randn(2, 3, 6)
    same = make('KLDiscretLoss', use_target_weight=False)([x, y], [x.softmax(-1), y.softmax(-1)])
    assert same.item() == pytest.approx(0, abs=1e-6)
    maps = torch.randn(2, 3, 12).softmax(-1).reshape(2, 3, 3, 4)
    js = make('JSDiscretLoss', use_target_weight=False, size_average=False)
    assert js(maps, maps).item() == pytest.approx(0, abs=1e-6)
    apart = torch.zeros(2, 1, 1, 2)
    apart[0, ..., 0] = apart[1, ..., 1] = 1
    output = apart.flip(0).requires_grad_()
    value = js(output, apart)
    value.backward()
    assert value.item() == pytest.approx(2 * math.log(2), rel=1e-5)
    assert output.grad.isfinite().all()


# ---------------------------------------------------------------------- tags


def tags_and_joints(people):
    """One image: tags of places, and people as lists of places, -1 for a joint that is not there."""
    places = torch.tensor(people)
    joints = torch.stack([places.clamp(min=0), (places >= 0).long()], -1)[None]
    return torch.tensor([[0.0, 0.2, 1.0, 1.4, 3.0, 9.0]]), joints


def test_tags_by_hand():
    tags, joints = tags_and_joints([[0, 1], [2, 3], [-1, -1]])
    push, pull = make('AELoss', loss_type='exp')(tags, joints)
    # means 0.1 and 1.2; people without joints are nobody
    assert push.item() == pytest.approx(0.5 * 2 * math.exp(-(1.1**2)) / 2)
    assert pull.item() == pytest.approx((0.1**2 + 0.2**2) / 2)
    push, _ = make('AELoss', loss_type='max')(tags, joints)
    assert push.item() == 0


def test_nobody_and_one_person_have_nobody_to_push():
    for people, expected in (([[-1, -1]], 0.0), ([[0, 1], [-1, -1]], 0.1**2)):
        tags, joints = tags_and_joints(people)
        tags.requires_grad_()
        push, pull = make('AELoss', loss_type='exp')(tags, joints)
        (push + pull).sum().backward()
        assert push.item() == 0
        assert pull.item() == pytest.approx(expected)
        assert tags.grad.isfinite().all()


def test_images_may_have_different_numbers_of_people():
    tags = torch.randn(2, 4, 3, 2)
    people = [torch.tensor([[[1, 1], [2, 1]]]), torch.tensor([[[0, 1], [5, 1]], [[3, 1], [4, 0]]])]
    loss = make('AssociativeEmbeddingLoss')
    alone = [loss(tags[i : i + 1], people[i][None]) for i in range(2)]
    for value, parts in zip(loss(tags, people), zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(value, sum(parts))


def test_every_scale_has_the_losses_it_is_to_have():
    loss = make(
        'MultiLossFactory', num_joints=2, num_stages=2, ae_loss_type='exp', with_ae_loss=[True, False],
        push_loss_factor=[0.1, 0.1], pull_loss_factor=[1, 1], with_heatmaps_loss=[True, True],
        heatmaps_loss_factor=[1, 2],
    )  # fmt: skip
    outputs = [torch.randn(1, 4, 3, 2), torch.randn(1, 2, 6, 4)]
    maps = [torch.zeros(1, 2, 3, 2), torch.zeros(1, 2, 6, 4)]
    masks = [torch.ones(1, 3, 2), torch.zeros(1, 6, 4)]
    _, joints = tags_and_joints([[0, 7]])
    heat, push, pull = loss(outputs, maps, masks, [joints, joints])
    torch.testing.assert_close(heat[0], (outputs[0][:, :2] ** 2).mean()[None])
    assert heat[1].item() == 0
    assert push[1] is pull[1] is None
    first, second = outputs[0][0, 2:].flatten()[[0, 7]]
    torch.testing.assert_close(pull[0], ((first - second) ** 2 / 4)[None])
    with pytest.raises(ValueError, match='num_stages=2, but push_loss_factor has 1 entries'):
        make(
            'MultiLossFactory', num_joints=2, num_stages=2, ae_loss_type='exp', with_ae_loss=[True, False],
            push_loss_factor=[0.1], pull_loss_factor=[1, 1], with_heatmaps_loss=[True, True],
            heatmaps_loss_factor=[1, 2],
        )  # fmt: skip


# ---------------------------------------------------------------------- several, and a user's own


def test_several_losses_in_turn_and_by_name():
    nodes = [dict(type='L1Loss'), dict(type='MSELoss')]
    output, target = pair((N, K, 2))
    values = make('MultipleLossWrapper', losses=nodes)([output, output], [target, target])
    torch.testing.assert_close(values[0], (output - target).abs().mean())
    combined = make('CombinedLoss', losses=dict(near=nodes[0], far=nodes[1]))
    assert torch.equal(combined.near(output, target), values[0])
    assert torch.equal(combined.far(output, target), values[1])


USERS = """
import torch
from torch import nn
from intarsia.core.registries import LOSSES, POSENETS


def my_loss(pred, target):
    assert pred.size() == target.size() and target.numel() > 0
    return torch.mean(torch.abs(pred - target))


@LOSSES.of('pose').register_module()
class MyLoss(nn.Module):
    def __init__(self, use_target_weight=False):
        super().__init__()
        self.criterion = my_loss
        self.use_target_weight = use_target_weight

    def forward(self, output, target, target_weight):
        batch_size, num_joints = output.size(0), output.size(1)
        heatmaps_pred = output.reshape((batch_size, num_joints, -1)).split(1, 1)
        heatmaps_gt = target.reshape((batch_size, num_joints, -1)).split(1, 1)
        loss = 0.
        for idx in range(num_joints):
            heatmap_pred, heatmap_gt = heatmaps_pred[idx].squeeze(1), heatmaps_gt[idx].squeeze(1)
            if self.use_target_weight:
                loss += self.criterion(heatmap_pred * target_weight[:, idx], heatmap_gt * target_weight[:, idx])
            else:
                loss += self.criterion(heatmap_pred, heatmap_gt)
        return loss / num_joints


model = POSENETS.of('pose').build(dict(
    type='TopDown', backbone=dict(type='ResNet', depth=18),
    keypoint_head=dict(type='TopdownHeatmapSimpleHead', in_channels=512, out_channels=3, num_deconv_layers=0,
                       loss_keypoint=dict(type='MyLoss', use_target_weight=True))))
target, weight = torch.rand(2, 3, 2, 2), torch.tensor([[1., 0., 1.]] * 2)[..., None]
losses = model.loss(torch.rand(2, 3, 64, 64), dict(target=target, target_weight=weight))
losses['heatmap_loss'].backward()
assert model.keypoint_head.final_layer.weight.grad[1].abs().sum() == 0
assert model.keypoint_head.final_layer.weight.grad[0].abs().sum() > 0
print(sorted(losses))
"""


def test_a_loss_of_a_user_trains_a_model(tmp_path):
    """In a process of its own: what is registered stays registered."""
    script = tmp_path / 'my_loss.py'
    script.write_text(USERS)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == "['acc_pose', 'heatmap_loss']\n", done.stderr
