"""Heads of pose estimation: what their recorded outputs do not show."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.core.registries import MODELS
from intarsia.tasks.pose.heads.gated_attention import RTMCCBlock
from intarsia.tasks.pose.heads.regression_head import with_deviations

K, FLIP_INDEX = 5, [0, 2, 1, 4, 3]
SIMCC = dict(type='SimCCLabel', input_size=(64, 96), simcc_split_ratio=1.5)
HEATMAP = dict(type='MSRAHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=1)
COORDINATES = dict(type='RegressionLabel', input_size=(64, 96))


class Distance(nn.Module):
    """A loss of a user's own."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, output: Tensor, target: Tensor, target_weight: Tensor) -> Tensor:
        weight = target_weight.reshape(target_weight.shape + (1,) * (output.dim() - target_weight.dim()))
        return self.factor * ((output - target).abs() * weight).mean()


def head_of(kind: str, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    head = MODELS.of('pose').build(dict(type=kind, **kwargs))
    return head.eval()


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


# ---------------------------------------------------------------------- stages


def stages_head(**kwargs: Any) -> Any:
    return head_of('CPMHead', in_channels=4, out_channels=K, num_stages=2, codec=HEATMAP, **kwargs)


def test_every_stage_is_trained_and_the_last_is_decoded() -> None:
    head = stages_head(loss=[Distance(1), Distance(10)])
    feats = [maps(2, 4, 24, 16), maps(2, 4, 24, 16) * 2]
    target, weight = torch.rand(2, K, 24, 16), torch.ones(2, K, 1)
    outputs = head(feats)
    losses = head.losses(feats, {'target': target, 'target_weight': weight})
    expected = Distance(1)(outputs[0], target, weight) + Distance(10)(outputs[1], target, weight)
    assert losses.keys() == {'loss_kpt', 'acc_pose'}
    assert losses['loss_kpt'].item() == pytest.approx(expected.item())
    assert torch.equal(head.decode(outputs)[0], head.codec.decode(outputs[-1])[0])


def test_flipped_stages_average_to_a_symmetric_output() -> None:
    head = stages_head(loss=None)
    outputs = head([maps(1, 4, 24, 16)] * 2)
    mean = head.mean(outputs, head.flip_back(outputs, FLIP_INDEX))
    assert len(mean) == 2
    assert torch.allclose(mean[-1], mean[-1].flip(-1)[:, FLIP_INDEX])


def test_stages_must_be_as_many_as_the_backbone_has() -> None:
    with pytest.raises(ValueError, match='num_stages=2, but the backbone gives 3'):
        stages_head(loss=None)([maps(1, 4, 8, 8)] * 3)


def test_losses_must_be_as_many_as_stages() -> None:
    with pytest.raises(ValueError, match='2 outputs, but 1 losses'):
        stages_head(loss=[Distance()])


def test_units_take_the_targets_that_indices_name() -> None:
    head = head_of(
        'MSPNHead', num_stages=1, num_units=3, unit_channels=4, out_channels=K, level_indices=[1, 0, 1],
        loss=Distance(), codec=HEATMAP,
    )  # fmt: skip
    units = [[maps(2, 4, 6, 4), maps(2, 4, 12, 8), maps(2, 4, 24, 16)]]
    outputs = head(units)
    assert [tuple(each.shape) for each in outputs] == [(2, K, 24, 16)] * 3
    target, weight = torch.rand(2, 2, K, 24, 16), torch.ones(2, 2, K, 1)
    pairs = [(target[:, i], weight[:, i]) for i in (1, 0, 1)]
    expected = sum(Distance()(output, *pair).item() for output, pair in zip(outputs, pairs, strict=True))
    losses = head.losses(units, {'target': target, 'target_weight': weight})
    assert losses['loss_kpt'].item() == pytest.approx(expected)


def test_units_need_as_many_sets_of_targets() -> None:
    head = head_of(
        'TopdownHeatmapMSMUHead', num_stages=1, num_units=2, unit_channels=4, out_channels=K,
        loss_keypoint=Distance(), codec=HEATMAP,
    )  # fmt: skip
    targets = {'target': torch.rand(1, 3, K, 24, 16), 'target_weight': torch.ones(1, 3, K, 1)}
    with pytest.raises(ValueError, match='2 outputs, but 3 sets of maps'):
        head.losses([[maps(1, 4, 6, 4), maps(1, 4, 12, 8)]], targets)


# ---------------------------------------------------------------------- coordinates


@pytest.mark.parametrize(
    ('kind', 'key', 'default'),
    [('RegressionHead', 'shift_coords', True), ('DeepposeRegressionHead', 'regression_flip_shift', False)],
)
def test_coordinates_turn_back_and_move_by_a_pixel_if_asked(kind: str, key: str, default: bool) -> None:
    head = head_of(kind, in_channels=4, num_joints=K, codec=COORDINATES)
    xy = torch.rand(3, K, 2)
    mirrored = torch.stack([1 - xy[..., 0], xy[..., 1]], -1)[:, FLIP_INDEX]
    for asked in (None, True, False):
        head.test_cfg = {} if asked is None else {key: asked}
        back = head.flip_back(mirrored, FLIP_INDEX)
        shift = 1 / 64 if (default if asked is None else asked) else 0
        assert torch.allclose(back[..., 0], xy[..., 0] - shift, atol=1e-6)
        assert torch.equal(back[..., 1], xy[..., 1])


def test_a_shift_needs_the_size_of_the_input() -> None:
    with pytest.raises(RuntimeError, match='shift_coords needs the size of the input'):
        head_of('RegressionHead', in_channels=4, num_joints=K, loss=None).flip_back(torch.rand(1, K, 2), FLIP_INDEX)


def test_deviations_are_averaged_not_their_logits() -> None:
    head = head_of('RLEHead', in_channels=4, num_joints=K, codec=COORDINATES, loss=None)
    first, second = torch.randn(2, K, 4) * 3, torch.randn(2, K, 4) * 3
    expected = (with_deviations(first) + with_deviations(second)) / 2
    xy, score = head.decode(head.mean(first, second))
    assert torch.allclose(xy, expected[..., :2] * torch.tensor([64, 96]))
    assert torch.allclose(score, 1 - expected[..., 2:].mean(-1), atol=1e-6)


def test_the_mean_place_of_a_narrow_map_is_its_peak() -> None:
    codec = dict(type='IntegralRegressionLabel', input_size=(64, 96), heatmap_size=(16, 24), sigma=1)
    head = head_of(
        'IntegralRegressionHead', in_channels=K, num_joints=K, deconv_out_channels=None, final_layer=None,
        loss=None, codec=codec,
    )  # fmt: skip
    feat = torch.zeros(1, K, 24, 16)
    feat[:, :, 6, 4] = 100
    xy, heatmap = head([feat])
    assert torch.allclose(xy, torch.tensor([4 / 16, 6 / 24]).expand(1, K, 2))
    assert torch.allclose(heatmap.sum((2, 3)), torch.ones(1, K))


# ---------------------------------------------------------------------- numbers of the codec


@pytest.mark.parametrize('kind', ['SimCCHead', 'RTMCCHead', 'RTMWHead'])
def test_sizes_are_those_of_the_codec(kind: str) -> None:
    head = head_of(kind, in_channels=8, out_channels=K, loss=None, codec=SIMCC)
    feats = [maps(2, 4, 6, 4), maps(2, 8, 3, 2)]
    x, y = head(feats)
    assert [tuple(each.shape) for each in (x, y)] == [(2, K, 96), (2, K, 144)]
    again = head_of(
        kind, in_channels=8, out_channels=K, loss=None, codec=SIMCC, input_size=[64, 96], in_featuremap_size=(2, 3),
        simcc_split_ratio=1.5,
    )  # fmt: skip
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in head.state_dict().items()}


@pytest.mark.parametrize(
    ('kind', 'codec', 'said', 'message'),
    [
        ('RTMCCHead', SIMCC, dict(input_size=(96, 64)), r'input_size is \(96, 64\), but \(64, 96\) by the SimCCLabel'),
        ('SimCCHead', SIMCC, dict(simcc_split_ratio=2.0), r'simcc_split_ratio is 2.0, but 1.5 by the SimCCLabel'),
        ('RTMCCHead', None, {}, 'RTMCCHead does not know input_size: give the model a codec'),
        ('TopdownHeatmapMSMUHead', HEATMAP, dict(out_shape=(16, 24)), r'out_shape is \(16, 24\), but \(24, 16\)'),
        ('DSNTHead', HEATMAP, dict(in_featuremap_size=(2, 2)), r'size of the heat maps is \(16, 16\), but \(16, 24\)'),
    ],
)
def test_contradictions_are_told(kind: str, codec: Any, said: dict[str, Any], message: str) -> None:
    joints = {} if kind == 'DSNTHead' else dict(out_channels=K)
    channels = {} if 'MSMU' in kind else dict(in_channels=8)
    loss = {} if 'MSMU' in kind else dict(loss=None)
    with pytest.raises(ValueError, match=message):
        head_of(kind, codec=codec, **joints, **channels, **loss, **said)


def test_vectors_turn_back() -> None:
    head = head_of('RTMCCHead', in_channels=8, out_channels=K, loss=None, codec=SIMCC)
    x, y = torch.randn(2, K, 96), torch.randn(2, K, 144)
    back_x, back_y = head.flip_back((x.flip(-1)[:, FLIP_INDEX], y[:, FLIP_INDEX]), FLIP_INDEX)
    assert torch.equal(back_x, x)
    assert torch.equal(back_y, y)


# ---------------------------------------------------------------------- attention


def test_the_bias_of_attention_depends_on_the_distance_alone() -> None:
    block = RTMCCBlock(K, 8, 8, s=4)
    assert block.w is not None
    bias = block._bias_of_distance(K)
    for i in range(K):
        for j in range(K):
            assert bias[i, j] == block.w[K - 1 + j - i]


def test_turned_queries_know_the_place() -> None:
    x = maps(1, 1, 8).expand(1, K, 8)
    plain, turned = (RTMCCBlock(K, 8, 8, s=4, use_rel_bias=False, pos_enc=pos_enc) for pos_enc in (False, True))
    turned.load_state_dict(plain.state_dict())
    assert torch.allclose(plain(x), plain(x)[:, :1])
    assert not torch.allclose(turned(x), turned(x)[:, :1])


def test_unknown_words_of_the_unit_are_told() -> None:
    with pytest.raises(ValueError, match="gau_cfg has 'hidden_dim', but can have hidden_dims"):
        head_of('RTMCCHead', in_channels=8, out_channels=K, loss=None, codec=SIMCC, gau_cfg=dict(hidden_dim=8))


# ---------------------------------------------------------------------- several people, visibility


def test_scales_double_and_only_the_first_has_tags() -> None:
    head = head_of('AEHigherResolutionHead', in_channels=4, num_joints=K, num_deconv_filters=(6,), num_basic_blocks=1)
    first, second = head([maps(1, 4, 8, 8)])
    assert [tuple(each.shape) for each in (first, second)] == [(1, 2 * K, 8, 8), (1, K, 16, 16)]


def test_every_scale_needs_its_settings() -> None:
    with pytest.raises(ValueError, match='num_deconv_layers=2'):
        head_of('AEHigherResolutionHead', in_channels=4, num_joints=K, num_deconv_layers=2)


def test_visibility_goes_beside_the_joints() -> None:
    pose = dict(type='RegressionHead', in_channels=4, num_joints=K, loss=Distance())
    loss = dict(type='BCELoss', use_target_weight=False, use_sigmoid=True)
    head = head_of('VisPredictHead', pose_cfg=pose, loss=loss, codec=COORDINATES)
    feats = [maps(2, 4)]
    output = head(feats)
    assert torch.equal(head.decode(output)[0], head.pose_head.decode(head.pose_head(feats))[0])
    mirrored = head.flip_back(output, FLIP_INDEX)
    assert torch.equal(head.visibility(mirrored), output[1][:, FLIP_INDEX])
    weight = torch.tensor([1.0, 0, 1, 1, 0]).expand(2, K)[..., None].expand(2, K, 2)
    losses = head.losses(feats, {'target': torch.rand(2, K, 2), 'target_weight': weight})
    assert losses.keys() == {'loss_vis', 'acc_vis', 'loss_kpt', 'acc_pose'}
