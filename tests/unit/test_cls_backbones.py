"""Backbones of classification: what the contract of all backbones does not say."""

import pytest
import torch
from torch import nn

from intarsia.core.registries import BACKBONES, NECKS
from intarsia.models.backbones.efficientnet_v2 import SkippingConv
from intarsia.models.backbones.regnet import stages_of
from intarsia.nn.conv import build_conv_layer

TINY_REPLKNET = {
    'large_kernel_sizes': (9, 7), 'layers': (1, 2), 'channels': (8, 16), 'small_kernel': 3, 'dw_ratio': 1.5,
}  # fmt: skip
TINY_REPMLP = {'channels': (8, 16), 'depths': (1, 2), 'sharesets_nums': (2, 4)}


def build(name, task='classification', **options):
    torch.manual_seed(0)
    model = BACKBONES.of(task).build({'type': name, **options})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                nn.init.normal_(tensor, std=0.2)
    return model.eval()


@pytest.mark.parametrize(
    ('name', 'options', 'gone'),
    [
        ('RepLKNet', {'arch': TINY_REPLKNET, 'out_indices': (0, 1)}, 'lkb_origin'),
        ('RepLKNet', {'arch': {**TINY_REPLKNET, 'small_kernel': None}, 'out_indices': (1,)}, 'lkb_origin'),
        (
            'RepMLPNet',
            {'arch': TINY_REPMLP, 'img_size': (32, 64), 'reparam_conv_kernels': (1, 3), 'out_indices': (0, 1)},
            'repconv',
        ),
        ('RepMLPNet', {'arch': TINY_REPMLP, 'img_size': (32, 64), 'reparam_conv_kernels': None, 'out_indices': (1,)},
         'fc3_bn'),
    ],
)  # fmt: skip
@torch.no_grad()
def test_branches_become_one_layer(name, options, gone):
    model = build(name, **options)
    images = torch.randn(2, 3, 32, 64)
    before = model(images)
    model.switch_to_deploy()
    model.switch_to_deploy()
    assert not any(gone in key for key in model.state_dict())
    for a, b in zip(model(images), before, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    deployed = 'small_kernel_merged' if name == 'RepLKNet' else 'deploy'
    assert build(name, **options, **{deployed: True}).state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ('numbers', 'widths', 'depths'),
    [
        # RegNetX-400MF and RegNetX-12GF, tables of the paper.
        ((24, 24.48, 2.54, 22, 16, 1.0), (32, 64, 160, 384), (1, 2, 7, 12)),
        ((168, 73.36, 2.37, 19, 112, 1.0), (224, 448, 896, 2240), (2, 5, 11, 1)),
    ],
)
def test_widths_of_regnets(numbers, widths, depths):
    stages = stages_of(*numbers)
    assert tuple(stage.channels for stage in stages) == widths
    assert tuple(stage.num_blocks for stage in stages) == depths
    assert all(stage.num_groups * stage.group_channels == stage.channels for stage in stages)


def test_edge_blocks_stride_at_either_end():
    strides = {}
    for place in ('project', 'expand'):
        stage = build('EfficientNet', arch='es', edge_stride=place).layers[2]
        strides[place] = [(block.conv1.stride[0], block.conv2.stride[0]) for block in stage]
    assert strides == {'project': [(1, 2), (1, 1)], 'expand': [(2, 1), (1, 1)]}


def test_second_block_of_edge_networks_adds_no_input():
    blocks = build('EfficientNet', arch='em').layers[1]
    assert [block.with_residual for block in blocks] == [False, False]
    assert blocks[1].conv1.out_channels == 4 * blocks[1].conv1.in_channels


def test_plain_blocks_skip_where_shapes_allow():
    assert [type(block) is SkippingConv for block in build('EfficientNetV2', arch='b1').layers[1]] == [False, True]


@torch.no_grad()
@pytest.mark.parametrize(('arch', 'last', 'stride'), [('small', 12, 8), ('large', 16, 8)])
def test_mobilenet_v3_of_segmentation_dilates(arch, last, stride):
    model = build('MobileNetV3', 'segmentation', arch=arch, out_indices=(0, last))
    assert model.strides == (2, stride)
    assert [tuple(out.shape[2:]) for out in model(torch.randn(1, 3, 65, 97))] == [(33, 49), (9, 13)]
    dilations = [m.dilation[0] for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert sorted(set(dilations)) == [1, 2, 4]
    assert dilations == sorted(dilations)


def test_mobilenet_v3_of_pose_always_widens():
    model = build('MobileNetV3', 'pose', arch='big', out_indices=(-1,))
    assert all('expand_conv.conv.weight' in dict(getattr(model, name).named_parameters()) for name in model.layers)
    assert (model.out_channels, model.strides) == ((160,), (32,))


@pytest.mark.parametrize('size', [(7, 8), (9, 10), (12, 5)])
def test_adaptive_padding_covers_the_map(size):
    conv = build_conv_layer({'type': 'Conv2dAdaptivePadding'}, 2, 4, 3, stride=2, padding=1)
    out = conv(torch.randn(1, 2, *size))
    assert tuple(out.shape[2:]) == tuple(-(-length // 2) for length in size)
    assert set(conv.state_dict()) == {'weight', 'bias'}


def test_standardized_kernel_has_no_mean():
    conv = build_conv_layer({'type': 'ConvWS'}, 2, 4, 3, bias=False)
    assert conv(torch.ones(1, 2, 3, 3)).abs().max() < 1e-5
    shifted = build_conv_layer({'type': 'ConvWS'}, 2, 4, 3, bias=False)
    shifted.load_state_dict({'weight': 3 * conv.weight + 1})
    images = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(shifted(images), conv(images), rtol=1e-3, atol=1e-3)


def test_standardized_convolution_takes_plain_weights():
    plain = nn.Conv2d(2, 4, 3)
    conv = build_conv_layer({'type': 'ConvAWS'}, 2, 4, 3)
    conv.load_state_dict(plain.state_dict())
    images = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(conv(images), plain(images), rtol=1e-4, atol=1e-5)
    again = build_conv_layer({'type': 'ConvAWS'}, 2, 4, 3)
    again.load_state_dict(conv.state_dict())
    assert torch.equal(again(images), conv(images))


def test_maps_of_hrnet_become_one():
    neck = NECKS.build({'type': 'HRFuseScales', 'in_channels': (4, 8, 16, 32), 'out_channels': 24})
    maps = [torch.randn(1, 4 * 2**i, 32 // 2**i, 32 // 2**i) for i in range(4)]
    (fused,) = neck(tuple(maps))
    assert fused.shape == (1, 24, 4, 4)
    with pytest.raises(ValueError, match='takes 4 maps'):
        neck(maps[:3])


def test_tokens_are_normalized_over_the_batch():
    neck = NECKS.build({'type': 'ClsBatchNormNeck', 'input_features': 6}).train()
    (token,) = neck((torch.randn(8, 6) * 3 + 5,))
    torch.testing.assert_close(token.mean(0), torch.zeros(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(token.var(0, unbiased=False), torch.ones(6), rtol=1e-4, atol=1e-4)
    assert not list(neck.parameters())


def test_inception_classifies_in_the_middle_while_it_trains():
    model = build('InceptionV3', num_classes=5, aux_logits=True)
    images = torch.randn(2, 3, 299, 299)
    with torch.no_grad():
        assert [out.shape for out in model(images)] == [(2, 5)]
        assert [out.shape for out in model.train()(images)] == [(2, 5), (2, 5)]


@torch.no_grad()
def test_tinyvit_takes_maps_that_windows_do_not_fit():
    arch = {'channels': (8, 16), 'num_heads': (1, 2), 'depths': (1, 1)}
    model = build('TinyViT', arch=arch, window_size=(7, 3), gap_before_final_norm=False)
    assert model(torch.randn(1, 3, 40, 72))[0].shape == (1, 16, 5, 9)


@pytest.mark.parametrize(
    ('name', 'options', 'words'),
    [
        ('EfficientNet', {'arch': 'b9'}, "no arch 'b9'"),
        ('EfficientNet', {'frozen_stages': 9}, 'frozen_stages=9'),
        ('MobileNetV3', {'arch': 'samll'}, "Did you mean 'small'"),
        ('RegNet', {'arch': {'w0': 24}}, 'needs wa'),
        ('RegNet', {'arch': 'regnetx_400mf', 'strides': (2, 2)}, '4 stages'),
        ('DenseNet', {'out_indices': 4}, 'the stages are 0 ... 3'),
        ('Res2Net', {'depth': 50, 'scales': 1}, 'scales=1'),
        ('CSPDarkNet', {'depth': 50}, 'depth must be one of 53'),
        ('MobileViT', {'arch': [['mobilenet', 8, 1]], 'out_indices': 0}, "'mobilenet'"),
    ],
)
def test_mistakes_are_named(name, options, words):
    with pytest.raises(ValueError, match=words):
        BACKBONES.build({'type': name, **options})


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match='set img_size'):
        build('RepMLPNet', arch=TINY_REPMLP, img_size=32, out_indices=(1,))(torch.zeros(1, 3, 64, 64))
