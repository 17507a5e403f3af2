"""Backbones and necks of segmentation: where they differ from the shared ones."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from intarsia.core.registries import BACKBONES, NECKS, PLUGIN_LAYERS
from intarsia.nn.resize import Upsample, resize
from intarsia.nn.weights import load_state_dict
from intarsia.tasks.segmentation.backbones.beit_table import geometric_distances, spline_weights

SEGMENTATION = BACKBONES.of('segmentation')
THIN = {'stem_channels': 8, 'base_channels': 8}
DILATED = {'strides': (1, 2, 1, 1), 'dilations': (1, 1, 2, 4), 'contract_dilation': True}
TINY_VIT = {'embed_dims': 16, 'num_layers': 3, 'num_heads': 2, 'img_size': 64}
TINY_SWIN = {'embed_dims': 8, 'depths': (2, 1, 2, 1), 'num_heads': (1, 2, 4, 8), 'window_size': 2}
NARROW = dict(num_modules=1, block='BASIC')
TINY_HRNET = {
    'stage1': dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(4,)),
    'stage2': dict(NARROW, num_branches=2, num_blocks=(1, 1), num_channels=(4, 8)),
    'stage3': dict(NARROW, num_branches=3, num_blocks=(1, 1, 1), num_channels=(4, 8, 12)),
    'stage4': dict(NARROW, num_branches=4, num_blocks=(1, 1, 1, 1), num_channels=(4, 8, 12, 16)),
}
PRESETS = {
    'ResNet': {'depth': 18, **THIN},
    'ResNetV1c': {'depth': 50, **THIN, **DILATED},
    'ResNetV1d': {'depth': 18, **THIN},
    'ResNeXt': {'depth': 50, 'groups': 4, 'base_width': 2, **THIN},
    'ResNeSt': {'depth': 50, 'radix': 2, 'groups': 2, 'base_width': 32, **THIN},
    'MobileNetV2': {'widen_factor': 0.25},
    'VisionTransformer': {**TINY_VIT, 'out_indices': (0, 2)},
    'SwinTransformer': {**TINY_SWIN, 'pretrain_img_size': 64},
    'HRNet': {'extra': TINY_HRNET},
}
every_preset = pytest.mark.parametrize('name', PRESETS)


def build(name, **more):
    torch.manual_seed(0)
    model = SEGMENTATION.build({'type': name, **PRESETS.get(name, {}), **more})
    model.init_weights()
    return model


def images(height=64, width=64):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---------------------------------------------------------------------- all of them


@every_preset
def test_they_are_segmentations_own(name):
    assert type(build(name)).__module__.startswith('intarsia.tasks.segmentation.')


@every_preset
def test_maps_are_as_declared_for_odd_sizes(name):
    size = (72, 104)
    model = build(name).eval()
    with torch.no_grad():
        outs = model(images(*size))
    assert isinstance(outs, tuple)
    assert len(outs) == len(model.out_channels) == len(model.strides)
    for out, channels, stride in zip(outs, model.out_channels, model.strides, strict=True):
        assert out.shape == (2, channels, *[math.ceil(side / stride) for side in size])


@every_preset
def test_pretrained_is_the_older_word_for_init_cfg(name, tmp_path):
    file = tmp_path / 'weights.pth'
    state = {key: torch.full_like(value, 0.5) for key, value in build(name).state_dict().items()}
    torch.save({'state_dict': state}, file)
    model = build(name, pretrained=str(file))
    assert all((parameter == 0.5).all() for parameter in model.parameters())
    with pytest.raises(ValueError, match='give one of them'):
        build(name, pretrained=str(file), init_cfg={'type': 'Pretrained', 'checkpoint': str(file)})


@every_preset
def test_every_parameter_learns(name):
    more = {'output_cls_token': True} if name == 'VisionTransformer' else {}
    model = build(name, **more).train()
    outs = model(images())
    tensors = [t for out in outs for t in (out if isinstance(out, list) else [out])]
    sum(t.square().mean() for t in tensors).backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None]


# ---------------------------------------------------------------------- one by one


def test_output_stride_8():
    model = build('ResNetV1c')
    assert model.strides == (4, 8, 8, 8)
    assert [block.conv2.dilation[0] for block in model.layer4] == [2, 4, 4]
    assert [block.conv2.dilation[0] for block in model.layer3] == [1, 2, 2, 2, 2, 2]
    grid = build('ResNetV1c', multi_grid=(1, 2, 4))
    assert [block.conv2.dilation[0] for block in grid.layer4] == [1, 2, 4]


def test_state_keys_of_resnets():
    keys = build('ResNetV1d').state_dict()
    assert {'stem.0.weight', 'stem.1.running_var', 'stem.6.weight', 'layer4.0.downsample.1.weight'} <= set(keys)
    # An average of one place where the resolution stays, so that the convolution has the same name everywhere.
    assert 'layer1.0.downsample.1.weight' in build('ResNetV1d', depth=50).state_dict()


class Gain(nn.Module):
    """A user's plugin."""

    def __init__(self, in_channels, value=2.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((in_channels, 1, 1), value))

    def forward(self, x):
        return x * self.weight


AFTER_2 = dict(cfg=dict(type=Gain, postfix='_a'), position='after_conv2', stages=(False, True, False, False))
AFTER_3 = dict(cfg=dict(type=Gain, value=3.0), position='after_conv3')


class TestPlugins:
    def test_they_are_named_and_applied(self):
        model = build('ResNet', depth=50, plugins=[AFTER_2, AFTER_3])
        keys = [key for key in model.state_dict() if 'gain' in key]
        assert 'layer2.0.gain_a.weight' in keys
        assert 'layer1.0.gain_a.weight' not in keys
        assert 'layer1.0.gain.weight' in keys
        block = model.layer1[0].eval()
        x = torch.randn(1, 8, 8, 8)
        with torch.no_grad():
            nn.init.constant_(block.norm3.weight, 1.0)
            tripled = block.branch(x)
            block.gain.weight.fill_(1.0)
            torch.testing.assert_close(tripled, 3 * block.branch(x))

    def test_mistakes_are_named(self):
        with pytest.raises(ValueError, match='position of a plugin'):
            build('ResNet', depth=50, plugins=[{**AFTER_3, 'position': 'after_conv4'}])
        with pytest.raises(ValueError, match='tell them apart'):
            build('ResNet', depth=50, plugins=[AFTER_3, AFTER_3])
        with pytest.raises(ValueError, match='no place for plugins'):
            build('ResNet', depth=18, plugins=[AFTER_3])


def test_mobilenet_has_no_last_convolution():
    model = build('MobileNetV2', strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))
    assert not hasattr(model, 'conv2')
    assert model.strides == (4, 8, 8, 8)
    # Only the first block of a layer is dilated.
    assert [block.conv[1].conv.dilation[0] for block in model.layer6] == [4, 1, 1]
    with pytest.raises(ValueError, match='out_indices'):
        build('MobileNetV2', out_indices=(7,))


class TestVisionTransformer:
    def test_class_token(self):
        out = build('VisionTransformer', output_cls_token=True)(images())[0]
        assert [t.shape for t in out] == [(2, 16, 4, 4), (2, 16)]
        assert build('VisionTransformer', with_cls_token=False)(images())[0].shape == (2, 16, 4, 4)
        with pytest.raises(ValueError, match='no class token'):
            build('VisionTransformer', with_cls_token=False, output_cls_token=True)

    def test_there_are_embeddings_for_whole_patches_only(self):
        model = build('VisionTransformer', img_size=(65, 80))
        assert model.pos_embed.shape == (1, 4 * 5 + 1, 16)
        assert model(images(65, 80))[0].shape == (2, 16, 5, 5)

    def test_weights_of_another_image_size(self, tmp_path):
        torch.save(build('VisionTransformer', img_size=32).state_dict(), tmp_path / 'vit.pth')
        model = build('VisionTransformer', pretrained=str(tmp_path / 'vit.pth'))
        assert model.pos_embed.shape == (1, 17, 16)

    def test_norms_and_biases(self):
        keys = build('VisionTransformer', patch_norm=True, patch_bias=False, final_norm=True).state_dict()
        assert {'patch_embed.norm.weight', 'ln1.weight', 'layers.0.attn.attn.in_proj_weight'} <= set(keys)
        assert 'patch_embed.projection.bias' not in keys
        assert 'ln1.weight' not in build('VisionTransformer').state_dict()


@pytest.mark.parametrize('stages', [0, 1, 2])
def test_swin_freezes_so_many_stages(stages):
    model = build('SwinTransformer', frozen_stages=stages, use_abs_pos_embed=True).train()
    assert [all(not p.requires_grad for p in s.parameters()) for s in model.stages] == [i < stages for i in range(4)]
    assert [not getattr(model, f'norm{i}').weight.requires_grad for i in range(4)] == [i < stages for i in range(4)]
    assert not model.absolute_pos_embed.requires_grad


def test_hrnet_outputs_and_freezing():
    model = build('HRNet', frozen_stages=2).train()
    assert (model.out_channels, model.strides) == ((4, 8, 12, 16), (4, 8, 16, 32))
    frozen = {name.split('.')[0] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {'conv1', 'bn1', 'conv2', 'bn2', 'layer1', 'stage2', 'transition1', 'transition2'}
    finest = build('HRNet', multiscale_output=False)
    assert [out.shape for out in finest(images())] == [(2, 4, 16, 16)]


def test_hrnet_mistakes_are_named():
    with pytest.raises(ValueError, match='num_branches=2, but num_blocks'):
        build('HRNet', extra={**TINY_HRNET, 'stage2': {**TINY_HRNET['stage2'], 'num_blocks': (1,)}})
    with pytest.raises(ValueError, match='needs stage4'):
        build('HRNet', extra={key: TINY_HRNET[key] for key in ('stage1', 'stage2', 'stage3')})


@pytest.mark.parametrize(
    'upsample_cfg',
    [
        {'type': 'InterpConv'},
        {'type': 'InterpConv', 'conv_first': True, 'kernel_size': 3, 'padding': 1},
        {'type': 'DeconvModule'},
    ],
)
def test_unet_upsampling(upsample_cfg):
    model = build('UNet', base_channels=4, upsample_cfg=upsample_cfg)
    outs = model(images(32, 48))
    assert [out.shape[1:] for out in outs] == [(4 * 2**i, 32 // 2**i, 48 // 2**i) for i in (4, 3, 2, 1, 0)]
    with pytest.raises(ValueError, match='multiples of 16'):
        model(images(40, 48))


def test_unet_without_halving_and_with_strides():
    model = build(
        'UNet', base_channels=4, num_stages=3, strides=(1, 2, 1), enc_num_convs=(1, 2, 1), dec_num_convs=(1, 2),
        downsamples=(True, False), enc_dilations=(1, 1, 2), dec_dilations=(1, 2),
    )  # fmt: skip
    assert model.strides == (2, 2, 1)
    assert [out.shape[2:] for out in model(images(16, 16))] == [(8, 8), (8, 8), (16, 16)]
    with pytest.raises(ValueError, match='needs 5 strides'):
        build('UNet', strides=(1, 1))


def test_deconvolution_of_another_factor():
    layer = PLUGIN_LAYERS.build(dict(type='DeconvModule', in_channels=2, out_channels=3, kernel_size=4, scale_factor=4))
    assert layer(torch.zeros(1, 2, 3, 5)).shape == (1, 3, 12, 20)
    with pytest.raises(ValueError, match='an even number more'):
        PLUGIN_LAYERS.build(dict(type='DeconvModule', in_channels=2, out_channels=3, kernel_size=3))


def test_bisenet_paths_must_fit():
    with pytest.raises(ValueError, match=r'must be context_channels\[1\]'):
        build('BiSeNetV1', backbone_cfg=dict(type='ResNet', depth=18), spatial_channels=(8, 8, 8, 8))


# ---------------------------------------------------------------------- necks


CHANNELS = [2, 3, 5, 7]


def levels():
    return [torch.randn(1, c, s, s + 1) for c, s in zip(CHANNELS, (34, 17, 9, 5), strict=True)]


@pytest.mark.parametrize(
    ('more', 'sizes'),
    [
        ({}, [34, 17, 9, 5]),
        ({'start_level': 1}, [17, 9, 5, 3]),
        ({'num_outs': 2, 'start_level': 1, 'end_level': 3}, [17, 9]),
        ({'num_outs': 6, 'add_extra_convs': True}, [34, 17, 9, 5, 3, 2]),
        ({'num_outs': 6, 'add_extra_convs': 'on_lateral', 'relu_before_extra_convs': True}, [34, 17, 9, 5, 3, 2]),
        ({'num_outs': 5, 'add_extra_convs': True, 'extra_convs_on_inputs': True}, [34, 17, 9, 5, 3]),
        ({'norm_cfg': dict(type='BN'), 'no_norm_on_lateral': True, 'upsample_cfg': dict(mode='bilinear')}, None),
    ],
)
def test_fpn(more, sizes):
    neck = NECKS.build(dict(type='FPN', in_channels=CHANNELS, out_channels=4, **{'num_outs': 4, **more}))
    neck.init_weights()
    inputs = levels()
    kept = [x.clone() for x in inputs]
    outs = neck(inputs)
    assert [out.shape[1] for out in outs] == [4] * len(outs)
    assert [out.shape[2] for out in outs] == (sizes or [34, 17, 9, 5])
    assert all(torch.equal(x, before) for x, before in zip(inputs, kept, strict=True))


def test_fpn_source_of_further_levels():
    neck = NECKS.build(
        dict(type='FPN', in_channels=CHANNELS, out_channels=4, num_outs=5, add_extra_convs='on_input')
    )  # fmt: skip
    assert neck.fpn_convs[4].in_channels == 7
    inputs = levels()
    torch.testing.assert_close(neck(inputs)[4], neck.fpn_convs[4](inputs[-1]))


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        ({'num_outs': 3}, '4 levels are used'),
        ({'num_outs': 4, 'end_level': 3}, 'no further ones'),
        ({'num_outs': 4, 'start_level': 4}, 'do not lie within'),
        ({'num_outs': 5, 'add_extra_convs': 'on_inputs'}, 'must be a bool'),
    ],
)
def test_fpn_mistakes_are_named(more, words):
    with pytest.raises(ValueError, match=words):
        NECKS.build(dict(type='FPN', in_channels=CHANNELS, out_channels=4, **more))


def test_multilevel_neck():
    neck = NECKS.build(dict(type='MultiLevelNeck', in_channels=[3], out_channels=2, scales=(0.5, 1, 2)))
    assert [out.shape for out in neck([torch.zeros(1, 3, 8, 6)])] == [(1, 2, 4, 3), (1, 2, 8, 6), (1, 2, 16, 12)]
    with pytest.raises(ValueError, match='2 in_channels, but 3 scales'):
        NECKS.build(dict(type='MultiLevelNeck', in_channels=[3, 3], out_channels=2, scales=(1, 2, 4)))


# ---------------------------------------------------------------------- resizing


def test_resize_warns_where_pixels_move():
    x = torch.zeros(1, 1, 9, 12)
    with pytest.warns(UserWarning, match='pixels stay in place'):
        resize(x, (16, 30), mode='bilinear', align_corners=True)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        resize(x, (17, 30), mode='bilinear', align_corners=True)  # one axis fits
        resize(x, (16, 30), mode='bilinear', align_corners=False)
        resize(x, (4, 5), mode='bilinear', align_corners=True)
        resize(x, (16, 30), mode='bilinear', align_corners=True, warning=False)


def test_resize_keeps_pixels_from_x_plus_1_to_kx_plus_1():
    x = torch.randn(1, 2, 5, 4)
    out = resize(x, (9, 7), mode='bilinear', align_corners=True)
    torch.testing.assert_close(out[..., ::2, ::2], x)


def test_upsample_layer():
    x = torch.zeros(1, 1, 3, 5)
    assert Upsample(scale_factor=1.5)(x).shape == (1, 1, 4, 7)
    assert Upsample(scale_factor=(2, 1))(x).shape == (1, 1, 6, 5)
    assert Upsample(size=4)(x).shape == (1, 1, 4, 4)
    with pytest.raises(ValueError, match='one of size and scale_factor'):
        Upsample()


# ---------------------------------------------------------------------- BEiT, MAE


def test_a_spline_of_positions_is_exact_for_cubics():
    old = geometric_distances(4, 6)
    assert len(old) == 9
    assert 5.99 < old[-1] < 6.01
    new = np.linspace(old[0], old[-1], 13)
    cubic = np.polynomial.Polynomial([0.3, -1.2, 0.5, 0.7])
    np.testing.assert_allclose(spline_weights(old, new) @ cubic(old), cubic(new), atol=1e-9)


def test_tables_of_positions_are_fitted_when_they_are_loaded():
    small, large = (SEGMENTATION.build({**TINY_VIT, 'type': 'MAE', 'img_size': size}) for size in (64, 96))
    table = small.layers[0].attn.relative_position_bias_table
    with torch.no_grad():
        table.fill_(0.25)[-3:] = torch.tensor([1.0, 2.0, 3.0])[:, None]
    load_state_dict(large, small.state_dict())
    fitted = large.layers[0].attn.relative_position_bias_table
    assert fitted.shape == (11 * 11 + 3, 2)
    torch.testing.assert_close(fitted[:-3], torch.full_like(fitted[:-3], 0.25))
    assert torch.equal(fitted[-3:], table[-3:])
    assert large(torch.randn(1, 3, 96, 96))[0].shape == (1, 16, 6, 6)
    with pytest.raises(ValueError, match=r'\(4, 4\) patches, but img_size is for \(6, 6\)'):
        large(torch.randn(1, 3, 64, 64))


# ---------------------------------------------------------------------- necks


def neck(kind, **arguments):
    return NECKS.of('segmentation').build({'type': kind, **arguments})


def test_the_coarsest_map_is_replaced():
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4), torch.randn(2, 8, 2, 2)]
    jpu = neck('JPU', in_channels=(4, 6, 8), mid_channels=5, start_level=1, dilations=(1, 2))
    fine, joined = jpu(maps)
    assert fine is maps[1]
    assert joined.shape == (2, 10, 4, 4)
    assert jpu.out_channels == (6, 10)
    with pytest.raises(ValueError, match='JPU got 2 maps, but in_channels has 3'):
        jpu(maps[1:])


def test_three_resolutions_are_joined():
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4), torch.randn(2, 6, 2, 2)]
    outs = neck('ICNeck', in_channels=(4, 6, 6), out_channels=5)(maps)
    assert [tuple(out.shape) for out in outs] == [(2, 5, 4, 4), (2, 5, 8, 8), (2, 5, 8, 8)]


def test_layers_are_added_up_from_the_last():
    mla = neck('MLANeck', in_channels=[8, 8, 8], out_channels=4)
    maps = [torch.randn(2, 8, 3, 3) for _ in range(3)]
    before = mla(maps)
    after = mla([torch.randn(2, 8, 3, 3), *maps[1:]])
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False]


@pytest.mark.parametrize(('rescales', 'sides'), [((4, 2, 1, 0.5), [16, 8, 4, 2]), ((2, 1, 0.5, 0.25), [8, 4, 2, 1])])
def test_maps_of_a_transformer_become_a_pyramid(rescales, sides):
    maps = [torch.randn(2, 8, 4, 4)] * 4
    outs = neck('Feature2Pyramid', embed_dim=8, rescales=rescales, norm_cfg={'type': 'BN'})(maps)
    assert [tuple(out.shape) for out in outs] == [(2, 8, side, side) for side in sides]
    with pytest.raises(ValueError, match='rescales are 4, 2, 1, 0.5 or 0.25, not 3'):
        neck('Feature2Pyramid', embed_dim=8, rescales=(4, 3))
