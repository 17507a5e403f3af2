"""Networks and heads of frames: shifts, relations, pyramids, and weights of networks of images in them."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from intarsia.core.registries import BACKBONES, HEADS, NECKS
from intarsia.models.backbones.mobileone import MobileOneBlock
from intarsia.nn.weights import load_state_dict
from intarsia.tasks.action.backbones.inflate import plain_name
from intarsia.tasks.action.backbones.resnet_tin import interlace
from intarsia.tasks.action.backbones.tanet import TAM
from intarsia.tasks.action.backbones.temporal_shift import shift

FRAMES = 4
NON_LOCAL = {
    'non_local': ((0, 0), (1, 0), (0, 0), (0, 0)),
    'non_local_cfg': dict(sub_sample=True, use_scale=False, norm_cfg=dict(type='BN3d'), mode='dot_product'),
}
THIN = {'base_channels': 8}
TINY_ONE = dict(num_blocks=[1] * 4, width_factor=[0.25] * 4, num_conv_branches=[2] * 4, num_se_blocks=[0, 0, 0, 1])
BACKBONE_ARGUMENTS = {
    'ResNet': [{'depth': 18, **THIN}, {'depth': 50, **THIN}],
    'ResNetTSM': [
        {'depth': 18, 'num_segments': FRAMES, **THIN},
        {'depth': 50, 'num_segments': FRAMES, 'shift_place': 'block', **THIN},
        {'depth': 18, 'num_segments': FRAMES, **NON_LOCAL, **THIN},
    ],
    'ResNetTIN': [{'depth': 18, 'num_segments': FRAMES, 'shift_div': 2, **THIN}],
    'TANet': [{'depth': 50, 'num_segments': FRAMES, **THIN}],
    'BNInception': [{}],
    'MobileNetV2': [{'widen_factor': 0.25}],
    'MobileNetV2TSM': [{'num_segments': FRAMES, 'widen_factor': 0.25}],
    'MobileOneTSM': [{'arch': TINY_ONE, 'num_segments': FRAMES}],
}
CASES = [(name, options) for name, several in BACKBONE_ARGUMENTS.items() for options in several]
BASES = {'ResNetTSM': 'ResNet', 'ResNetTIN': 'ResNet', 'TANet': 'ResNet', 'MobileNetV2TSM': 'MobileNetV2',
         'MobileOneTSM': 'MobileOne'}  # fmt: skip
OF_TIME = ('num_segments', 'shift_div', 'shift_place', 'non_local', 'non_local_cfg')


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def backbone(name, **options):
    model = BACKBONES.of('action').build({'type': name, **options})
    model.init_weights()
    return model


@pytest.fixture
def frames():
    return torch.randn(2 * FRAMES, 3, 64, 64, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------- backbones


@pytest.mark.parametrize(('name', 'options'), CASES)
def test_outputs_are_as_declared_and_every_parameter_learns(name, options, frames):
    model = backbone(name, **options).train()
    outputs = model(frames)
    assert isinstance(outputs, tuple)
    shapes = [(2 * FRAMES, c, 64 // s, 64 // s) for c, s in zip(model.out_channels, model.strides, strict=True)]
    assert [each.shape for each in outputs] == shapes
    sum(each.square().mean() for each in outputs).backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


@pytest.mark.parametrize(('name', 'options'), [case for case in CASES if case[0] in BASES])
def test_weights_of_the_network_of_images_fit(name, options):
    base = BACKBONES.of('action').build(
        {'type': BASES[name], **{key: value for key, value in options.items() if key not in OF_TIME}}
    )
    torch.nn.init.constant_(next(base.parameters()), 0.25)
    model = backbone(name, **options)
    report = load_state_dict(model, base.state_dict(), strict=False)
    assert not report.unexpected
    assert not report.mismatched
    new = ('non_local_block', 'tam', 'net1')
    assert all(any(part in key.split('.') for part in new) for key in report.missing)
    assert torch.equal(next(model.parameters()), next(base.parameters()))


@pytest.mark.parametrize(('name', 'options'), [case for case in CASES if BASES.get(case[0]) == 'ResNet'])
def test_torchvision_weights_reach_every_convolution(name, options, tmp_path):
    plain = BACKBONES.build({'type': 'ResNet', 'depth': options['depth'], 'stem_channels': 8, **THIN})
    for value in plain.state_dict().values():
        value.fill_(3)
    torch.save(plain.state_dict(), tmp_path / 'resnet.pth')
    model = backbone(name, pretrained=str(tmp_path / 'resnet.pth'), **options)
    new = ('non_local_block', 'tam', 'net1')
    old = {key: value for key, value in model.state_dict().items() if not any(part in key for part in new)}
    assert len(old) == len(plain.state_dict())
    assert all((value == 3).all() for value in old.values())


def test_frames_stay_alone_without_shifts_and_meet_with_them(frames):
    moved = frames.clone()
    moved[0] += 1
    for is_shift in (False, True):
        model = backbone('ResNetTSM', depth=18, num_segments=FRAMES, is_shift=is_shift, **THIN).eval()
        with torch.no_grad():
            changed = (model(moved)[0] != model(frames)[0]).flatten(1).any(1)
        assert changed.tolist() == [True, *[is_shift] * (FRAMES - 1), *[False] * FRAMES]


def test_temporal_pool_halves_the_frames(frames):
    model = backbone('ResNetTSM', depth=18, num_segments=FRAMES, temporal_pool=True, **THIN)
    assert model(frames)[0].shape[0] == FRAMES


def test_shift_moves_one_frame():
    clip = torch.arange(1.0, 13).reshape(3, 4, 1, 1)  # t, c
    assert shift(clip, 3, 4).flatten(1).tolist() == [[5, 0, 3, 4], [9, 2, 7, 8], [0, 6, 11, 12]]


def test_interlace_moves_forwards_and_interpolates():
    clip = torch.tensor([[4.0, 8.0], [6.0, 2.0]]).reshape(1, 2, 2, 1, 1)  # t, c
    moved = interlace(clip, torch.tensor([[0.25, -1.0]])).flatten(2)
    assert moved.tolist() == [[[3.0, 2.0], [5.5, 0.0]]]


def test_adaptive_module_is_a_convolution_over_time():
    tam = TAM(8, FRAMES).eval()
    clip = torch.randn(2 * FRAMES, 8, 2, 3)
    out = tam(clip)
    x = clip.reshape(2, FRAMES, 8, 2, 3)
    mean = x.mean((3, 4)).transpose(1, 2)  # x, c, t
    kernels, weights = tam.G(mean.flatten(0, 1)).reshape(2, 8, 3), tam.L(mean)
    n, c = 1, 5
    line = F.pad(x[n, :, c] * weights[n, c][:, None, None], (0, 0, 0, 0, 1, 1))
    expected = sum(kernels[n, c, k] * line[k : k + FRAMES] for k in range(3))
    torch.testing.assert_close(out.reshape(2, FRAMES, 8, 2, 3)[n, :, c], expected)


def test_partial_bn_freezes_all_norms_but_the_first():
    model = backbone('ResNet', depth=18, partial_bn=True, **THIN).train()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [norm.training for norm in norms] == [True, *[False] * (len(norms) - 1)]
    assert [norm.weight.requires_grad for norm in norms] == [norm.training for norm in norms]


@pytest.mark.parametrize(('groups', 'kernel'), [(8, 3), (1, 1), (1, 3)])
def test_deployed_block_computes_the_same(groups, kernel):
    block = MobileOneBlock(8, 8, kernel, 2, padding=kernel // 2, groups=groups, se_cfg={'ratio': 2})
    for value in block.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    x = torch.randn(2, 8, 5, 6)
    before = block.eval()(x)
    block.switch_to_deploy()
    torch.testing.assert_close(block(x), before)
    assert not any('branch_conv_list' in key or 'norm' in key for key in block.state_dict())


def test_plain_names():
    assert plain_name('layer2.net.0.block.conv1.conv.net2.weight') == 'layer2.0.conv1.conv.weight'


@pytest.mark.parametrize(
    ('name', 'options', 'words'),
    [
        ('ResNet', {'depth': 49}, 'depth must be one of'),
        ('ResNetTSM', {'depth': 18, 'shift_place': 'here'}, 'shift_place'),
        ('TANet', {'depth': 18, 'num_segments': 8}, 'bottlenecks'),
        ('TANet', {'depth': 50, 'num_segments': 2}, 'three frames'),
        ('ResNetTIN', {'depth': 18, 'shift_div': 7}, 'multiple of 4'),
        ('MobileOneTSM', {'arch': 's5'}, 'has no arch'),
    ],
)
def test_mistakes_are_named(name, options, words):
    with pytest.raises(ValueError, match=words):
        backbone(name, **options)


# ---------------------------------------------------------------------- heads


def head(name, **options):
    built = HEADS.of('action').build({'type': name, 'num_classes': 6, 'in_channels': 8, **options})
    built.init_weights()
    return built.eval()


@pytest.fixture
def feats():
    return torch.randn(2 * FRAMES, 8, 2, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', ['TSNHead', 'TSMHead', 'TPNHead'])
def test_scores_are_those_of_the_mean(name, feats):
    segments = {'num_segments': FRAMES} if name == 'TSMHead' else {}
    built = head(name, **segments)
    mean = feats.reshape(2, FRAMES, 8, 6).mean((1, 3))
    torch.testing.assert_close(built(feats, FRAMES), built.fc_cls(mean))
    torch.testing.assert_close(built((feats,), FRAMES), built(feats, FRAMES))


def test_tsm_head_scores_each_clip_of_a_sample(feats):
    assert head('TSMHead', num_segments=FRAMES)(feats, 2 * FRAMES).shape == (2, 6)
    assert head('TSMHead', num_segments=FRAMES, temporal_pool=True)(feats, 2 * FRAMES).shape == (4, 6)
    assert head('TSNHead')(feats, 2 * FRAMES).shape == (1, 6)


def test_tpn_head_takes_whole_clips():
    built, clip = head('TPNHead'), torch.randn(2, 8, FRAMES, 2, 3)
    expected = built.fc_cls(clip.mean((2, 3, 4)))
    torch.testing.assert_close(built(clip), expected)
    torch.testing.assert_close(built(clip, 7, fcn_test=True), expected)


def test_relations_of_all_pairs_are_the_sum_over_them(feats):
    built = head('TRNHead', num_segments=3, hidden_dim=4)
    hidden = built.fc_cls(feats[:3].mean((2, 3)))
    whole, pairs = built.consensus.fc_fusion_scales
    expected = whole(hidden.flatten()) + sum(
        pairs(hidden[list(pair)].flatten()) for pair in itertools.combinations(range(3), 2)
    )
    torch.testing.assert_close(built(feats[:3], 3)[0], expected)


def test_relations_are_drawn_in_training_only(feats):
    built = head('TRNHead', num_segments=FRAMES, hidden_dim=4, dropout_ratio=0.0, init_std=1.0)
    assert torch.equal(built(feats, FRAMES), built(feats, FRAMES))
    built.train()
    assert len({built(feats, FRAMES)[0, 0].item() for _ in range(20)}) > 1
    single = head('TRNHead', num_segments=FRAMES, relation_type='TRN')
    assert single(feats, FRAMES).shape == (2, 6)


def test_unknown_relation_is_named():
    with pytest.raises(ValueError, match='relation_type'):
        head('TRNHead', relation_type='TRNMulti')
    with pytest.raises(ValueError, match='two frames'):
        head('TRNHead', num_segments=1)


# ---------------------------------------------------------------------- the pyramid


def pyramid(**options):
    fusion = dict(in_channels=(32, 32), mid_channels=(32, 32), out_channels=64)
    cfg = dict(
        type='TPN', in_channels=(32, 64), out_channels=32, level_fusion_cfg=fusion,
        spatial_modulation_cfg=dict(in_channels=(32, 64), out_channels=64),
        temporal_modulation_cfg=dict(downsample_scales=(4, 4)),
        upsample_cfg=dict(scale_factor=(1, 1, 1)), downsample_cfg=dict(downsample_scale=(1, 1, 1)),
    )  # fmt: skip
    built = NECKS.of('action').build({**cfg, **options})
    built.init_weights()
    return built


def test_pyramid_joins_its_levels_and_has_a_loss_of_its_own():
    levels = [torch.randn(2, 32, FRAMES, 4, 6), torch.randn(2, 64, FRAMES, 2, 3)]
    neck = pyramid(aux_head_cfg=dict(out_channels=5, loss_weight=0.25))
    neck.aux_head.dropout.p = 0.0
    assert neck(levels).shape == (2, 2048, 1, 2, 3)
    label = torch.tensor([[1], [4]])
    own = neck.loss(levels, label)
    expected = 0.25 * F.cross_entropy(neck.aux_head(levels[0]), label[:, 0])
    torch.testing.assert_close(own['loss_aux'], expected)
    assert pyramid().loss(levels, label) == {}


def test_cascade_adds_upwards_what_was_added_downwards():
    levels = [torch.randn(2, 32, FRAMES, 4, 6), torch.randn(2, 64, FRAMES, 2, 3)]
    state = pyramid().state_dict()
    outputs = {}
    for flow in ('cascade', 'parallel'):
        for more in ({}, {'upsample_cfg': None}):
            neck = pyramid(flow_type=flow, **more).eval()
            load_state_dict(neck, state)
            outputs[flow, bool(more)] = neck(levels)
    assert not torch.allclose(outputs['cascade', False], outputs['parallel', False])
    torch.testing.assert_close(outputs['cascade', True], outputs['parallel', True])


def test_pyramid_names_what_it_lacks():
    with pytest.raises(ValueError, match='flow_type'):
        pyramid(flow_type='up')
    with pytest.raises(ValueError, match='level_fusion_cfg'):
        pyramid(level_fusion_cfg=None)
