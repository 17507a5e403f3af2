"""Backbones of pose estimation, and those shared ones whose variants no recorded output covers."""

import math

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from intarsia.core.arguments import signature_of
from intarsia.core.registries import BACKBONES, NECKS
from intarsia.models.backbones.csp_layer import CSPLayer
from intarsia.nn.channel_shuffle import channel_shuffle
from intarsia.tasks.pose.backbones.hrformer_block import LocalWindowSelfAttention

POSE = BACKBONES.of('pose')
NARROW = dict(num_modules=1, block='BASIC')
TINY_HRNET = {
    'stage1': dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(4,)),
    'stage2': dict(NARROW, num_branches=2, num_blocks=(1, 1), num_channels=(4, 8)),
    'stage3': dict(NARROW, num_branches=3, num_blocks=(1, 1, 1), num_channels=(4, 8, 12)),
    'stage4': dict(NARROW, num_branches=4, num_blocks=(1, 1, 1, 1), num_channels=(4, 8, 12, 16)),
}
TINY_HRFORMER = {
    'stage1': TINY_HRNET['stage1'],
    **{
        name: dict(
            TINY_HRNET[name], block='HRFORMERBLOCK', num_heads=(1, 2, 2, 4)[:num], window_sizes=(4,) * num,
            mlp_ratios=(2,) * num,
        )
        for num, name in enumerate(('stage2', 'stage3', 'stage4'), start=2)
    },
}  # fmt: skip
TINY_LITE = {
    'stem': dict(stem_channels=8, out_channels=8, expand_ratio=1),
    'num_stages': 2,
    'stages_spec': dict(
        num_modules=(1, 1), num_branches=(2, 3), num_blocks=(1, 1), module_type=('LITE', 'NAIVE'),
        with_fuse=(True, True), reduce_ratios=(4, 4), num_channels=((8, 16), (8, 16, 32)),
    ),
    'with_head': True,
}  # fmt: skip
NASA = {'wid': (8, 8, 16), 'dep': (None, 1, 2), 'group': (None, 2, 4)}
PRESETS = {
    'HRNet': {'extra': TINY_HRNET},
    'SwinTransformer': {'embed_dims': 8, 'depths': (2, 1, 2, 1), 'num_heads': (1, 2, 4, 8), 'window_size': 2},
    'HRFormer': {'extra': TINY_HRFORMER},
    'HourglassNet': {
        'downsample_times': 2, 'num_stacks': 2, 'stage_channels': (256, 8, 8), 'stage_blocks': (1, 1, 2),
        'feat_channel': 8,
    },
    'HourglassAENet': {'downsample_times': 1, 'num_stacks': 2, 'stage_channels': (8, 8), 'feat_channels': 8},
    'CPM': {'in_channels': 3, 'out_channels': 5, 'feat_channels': 8, 'middle_channels': 4, 'num_stages': 2},
    'LiteHRNet': {'extra': TINY_LITE},
    'ViPNAS_ResNet': {
        'depth': 50, 'num_stages': 2, 'strides': (1, 2), 'dilations': (1, 1), 'out_indices': (0, 1), **NASA,
        'expan': (None, 1, 1), 'ks': (7, 3, 5), 'att': (None, True, False),
    },
    'ViPNAS_MobileNetV3': {
        **NASA, 'expan': (None, 1, 4), 'ks': (3, 3, 5), 'att': (None, True, False), 'stride': (2, 1, 2),
        'act': ('HSwish', 'ReLU', 'HSwish'),
    },
    'MSPN': {'unit_channels': 8, 'num_stages': 2, 'num_units': 2, 'num_blocks': (1, 2), 'res_top_channels': 8},
    'RSN': {
        'unit_channels': 8, 'num_stages': 2, 'num_units': 2, 'num_blocks': (1, 2), 'res_top_channels': 8,
        'num_steps': 3, 'expand_times': 4,
    },
}  # fmt: skip
OWN = [name for name in PRESETS if name != 'LiteHRNet']
every_preset = pytest.mark.parametrize('name', PRESETS)


def build(name, **more):
    torch.manual_seed(0)
    model = POSE.build({'type': name, **PRESETS.get(name, {}), **more})
    model.init_weights()
    return model


def images(height=64, width=64):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def finest(outs):
    """The map of each output; the last one where a stage gives several."""
    return [out if isinstance(out, torch.Tensor) else out[-1] for out in outs]


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---------------------------------------------------------------------- all of them


@pytest.mark.parametrize('name', OWN)
def test_they_are_poses_own(name):
    assert type(build(name)).__module__.startswith('intarsia.tasks.pose.')


@every_preset
@pytest.mark.parametrize('size', [(64, 96), (72, 104)])
def test_maps_are_as_declared(name, size):
    model = build(name).eval()
    with torch.no_grad():
        outs = model(images(*size))
    assert isinstance(outs, tuple)
    assert len(outs) == len(model.out_channels) == len(model.strides)
    for out, channels, stride in zip(finest(outs), model.out_channels, model.strides, strict=True):
        assert out.shape == (2, channels, *[math.ceil(side / stride) for side in size])


@every_preset
def test_every_parameter_learns(name):
    model = build(name).train()
    outs = [t for out in model(images()) for t in ([out] if isinstance(out, torch.Tensor) else out)]
    sum(t.square().mean() for t in outs).backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


@every_preset
def test_frozen_parts_stay_frozen_in_training(name):
    if 'frozen_stages' not in signature_of(POSE.get(name)).arguments:
        pytest.skip('it has no frozen_stages')
    model = build(name, frozen_stages=1).train()
    frozen = [m for part in model.frozen_parts() if isinstance(part, nn.Module) for m in part.modules()]
    assert frozen
    assert not any(m.training for m in frozen)
    assert not any(p.requires_grad for m in frozen for p in m.parameters())
    assert any(p.requires_grad for p in model.parameters())


@every_preset
def test_checkpointing_changes_no_gradient(name):
    if 'with_cp' not in signature_of(POSE.get(name)).arguments:
        pytest.skip('it has no with_cp')
    x = images().requires_grad_()
    grads = []
    for with_cp in (False, True):
        loss = sum(t.square().mean() for t in build(name, with_cp=with_cp).eval()(x))
        grads.append(torch.autograd.grad(loss, x)[0])
    torch.testing.assert_close(*grads)


# ---------------------------------------------------------------------- one of them


@pytest.mark.parametrize('name', ['HourglassNet', 'CPM', 'ViPNAS_MobileNetV3', 'LiteHRNet', 'HRNet'])
def test_kernels_start_close_to_zero_unless_init_cfg_says_otherwise(name):
    def kernel_std(model):
        return max(
            float(m.weight.detach().std())
            for m in model.modules()
            if isinstance(m, nn.Conv2d) and m.weight.numel() > 99
        )

    assert kernel_std(build(name)) < 0.0015
    wide = kernel_std(build(name, init_cfg=dict(type='Kaiming', layer='Conv2d')))
    assert wide > 0.01


def test_hrnet_gives_all_maps_if_its_last_stage_says_so():
    extra = {**TINY_HRNET, 'stage4': {**TINY_HRNET['stage4'], 'multiscale_output': True}}
    assert build('HRNet').out_channels == (4,)
    assert build('HRNet', extra=extra).out_channels == (4, 8, 12, 16)


def test_hrnet_enlarges_as_extra_says():
    nearest = build('HRNet')
    bilinear = build('HRNet', extra={**TINY_HRNET, 'upsample': dict(mode='bilinear', align_corners=False)})
    bilinear.load_state_dict(nearest.state_dict())
    for model in (nearest, bilinear):
        for m in model.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(nearest.eval()(images())[0], bilinear.eval()(images())[0])


def test_a_single_hourglass_has_the_link_that_its_checkpoints_have():
    assert 'inters.0.conv1.weight' in build('HourglassNet', num_stacks=1).state_dict()


def test_swin_reads_the_weights_its_authors_released():
    model = build('SwinTransformer', convert_weights=True, out_indices=(3,))
    released = {
        key.replace('stages.', 'layers.').replace('.attn.w_msa.', '.attn.').replace('projection', 'proj')
        .replace('.ffn.layers.0.0.', '.mlp.fc1.').replace('.ffn.layers.1.', '.mlp.fc2.').replace('norm3.', 'norm.'):
        torch.randn_like(value) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }  # fmt: skip
    merged = released['layers.0.downsample.reduction.weight']  # of places (0, 0), (1, 0), (0, 1), (1, 1), all channels
    model.load_state_dict({**released, 'head.weight': torch.zeros(3)}, strict=True)
    ours = model.state_dict()['stages.0.downsample.reduction.weight'].unflatten(1, (8, 4))
    for place, theirs in zip((0, 2, 1, 3), merged.split(8, dim=1), strict=True):
        assert torch.equal(ours[:, :, place], theirs)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(before)  # what is ours already stays
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_hrformer_drops_more_branches_the_deeper_they_lie():
    model = build('HRFormer', extra={**TINY_HRFORMER, 'drop_path_rate': 0.2})
    rates = [stage[0].branches[0][0].drop_path for stage in (model.stage2, model.stage3, model.stage4)]
    assert isinstance(rates[0], nn.Identity)
    assert [rate.drop_prob for rate in rates[1:]] == pytest.approx([0.1, 0.2])


def test_hrformer_windows_ignore_what_lies_outside_if_told_so():
    attention = LocalWindowSelfAttention(4, 2, window_size=4, with_pad_mask=True).eval()
    x = torch.randn(1, 3, 6, 4)
    with torch.no_grad():
        alone = attention(x[:, :, 3:, :])  # one window, padded on both axes
        attention.with_pad_mask = False
        assert not torch.allclose(alone, attention(x[:, :, 3:, :]))
        attention.with_pad_mask = True
        assert alone.isfinite().all()
        assert attention(x).shape == x.shape


def test_lite_hrnet_refuses_numbers_that_do_not_fit():
    spec = TINY_LITE['stages_spec']
    with pytest.raises(ValueError, match='num_branches=3, but num_channels'):
        build('LiteHRNet', extra={**TINY_LITE, 'stages_spec': {**spec, 'num_branches': (3, 3)}})
    with pytest.raises(ValueError, match='no num_blocks of stage 1'):
        build('LiteHRNet', extra={**TINY_LITE, 'stages_spec': {**spec, 'num_blocks': (1,)}})
    with pytest.raises(ValueError, match="'LITE' or 'NAIVE'"):
        build('LiteHRNet', extra={**TINY_LITE, 'stages_spec': {**spec, 'module_type': ('LITE', 'HEAVY')}})


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='HourglassNet', num_stacks=0), 'num_stacks=0'),
        (dict(type='HourglassNet', downsample_times=6), 'downsample_times=6'),
        (dict(type='HourglassAENet', feat_channels=128), 'feat_channels=128'),
        (dict(type='MSPN', num_units=3), 'num_units=3'),
        (dict(type='RSN', num_steps=1), 'num_steps=1'),
        (dict(type='CPM', in_channels=3, out_channels=2, num_stages=0), 'num_stages=0'),
        (dict(type='ViPNAS_ResNet', depth=50, wid=(8, 8)), 'wid='),
        (dict(type='ViPNAS_MobileNetV3', ks=(3, 3)), 'differ in length'),
        (dict(type='ShuffleNetV1', groups=5), 'groups is one of'),
        (dict(type='ShuffleNetV2', widen_factor=3.0), 'widen_factor must be one of'),
        (dict(type='CSPNeXt', arch='P7'), 'arch is one of P5, P6'),
    ],
)
def test_numbers_that_do_not_fit_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        POSE.build(config)


# ---------------------------------------------------------------------- shared pieces


def test_channel_shuffle_deals_channels_in_turn():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(channel_shuffle(channel_shuffle(x, 2), 3), x)
    with pytest.raises(ValueError, match='4 groups'):
        channel_shuffle(x, 4)


@pytest.mark.parametrize('use_depthwise', [False, True])
def test_cspnext_takes_an_architecture_of_ones_own(use_depthwise):
    rows = [[16, 16, 1, True, False], [16, 32, 1, False, True]]
    model = build('CSPNeXt', arch_ovewrite=rows, out_indices=(0, 2), use_depthwise=use_depthwise, norm_eval=True)
    assert model.out_channels == (16, 32)
    assert model.strides == (2, 8)
    assert [out.shape[2] for out in model(images())] == [32, 8]
    assert not any(m.training for m in model.train().modules() if isinstance(m, _BatchNorm))


@pytest.mark.parametrize('version', ['PyramidVisionTransformer', 'PyramidVisionTransformerV2'])
def test_pvt_reads_the_weights_its_authors_released(version):
    model = build(version, embed_dims=4, num_layers=(1, 2, 1, 1), num_heads=(1, 2, 2, 2))
    ours = model.state_dict()
    released = {
        f'patch_embed{i + 1}.proj.weight': torch.randn_like(ours[f'layers.{i}.0.projection.weight']) for i in range(4)
    }
    last = 2 if version == 'PyramidVisionTransformer' else 1  # position embeddings come first
    query, both = torch.randn(8, 8), torch.randn(16, 8)
    released |= {
        'block1.0.norm1.weight': torch.full((4,), 3.0),
        'block2.1.attn.q.weight': query, 'block2.1.attn.kv.weight': both,
        'block2.1.mlp.fc2.weight': torch.full((8, 64), 2.0),
        'norm.weight': torch.zeros(8), 'cls_token': torch.zeros(1, 1, 8), 'head.weight': torch.zeros(2, 8),
    }  # fmt: skip
    if last == 1:
        released['block1.0.mlp.dwconv.dwconv.bias'] = torch.zeros(32)
    if last == 2:
        released['pos_embed4'] = torch.arange(50.0).view(1, 50, 1).expand(1, 50, 8)
    report = model.load_state_dict(released, strict=False)
    assert not report.unexpected_keys
    state = model.state_dict()
    assert torch.equal(state[f'layers.1.1.{last}.attn.attn.in_proj_weight'], torch.cat((query, both)))
    assert state[f'layers.1.1.{last}.ffn.layers.{3 if last == 2 else 4}.weight'].eq(2).all()
    assert state[f'layers.0.1.{last - 1}.norm1.weight'].eq(3).all()
    if last == 2:
        assert state['layers.3.1.0.pos_embed'][0, :, 0].tolist() == list(range(1, 50))


def test_csp_layer_without_attention_has_no_keys_of_it():
    assert not any('attention' in key for key in CSPLayer(4, 4).state_dict())


def test_cspnext_pafpn_keeps_resolutions():
    neck = NECKS.build(dict(type='CSPNeXtPAFPN', in_channels=(4, 8, 16), out_channels=None, num_csp_blocks=1))
    maps = [torch.randn(2, 4 * 2**i, 16 // 2**i, 16 // 2**i) for i in range(3)]
    assert [out.shape for out in neck(maps)] == [x.shape for x in maps]
    with pytest.raises(ValueError, match='got 2 maps'):
        neck(maps[:2])


def test_feature_map_processor_selects_joins_rectifies_and_rescales():
    maps = (torch.randn(1, 2, 8, 6), torch.randn(1, 3, 4, 3), torch.randn(1, 1, 2, 2))
    kept = [x.clone() for x in maps]
    neck = NECKS.build(
        dict(type='FeatureMapProcessor', select_index=(0, 1), concat=True, scale_factor=2, apply_relu=True)
    )
    (out,) = neck(maps)
    assert out.shape == (1, 5, 16, 12)
    assert out.min() >= 0
    assert torch.equal(NECKS.build(dict(type='FeatureMapProcessor', select_index=1))(maps)[0], maps[1])
    assert all(torch.equal(x, y) for x, y in zip(maps, kept, strict=True))
    assert len(NECKS.build(dict(type='FeatureMapProcessor'))(maps[0])) == 1
    with pytest.raises(ValueError, match='positive'):
        NECKS.build(dict(type='FeatureMapProcessor', scale_factor=0.0))
