"""Layers and transformers under their old names; numbers recorded from MMCV 1.7.2."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from intarsia.core.registries import MODELS
from intarsia.nn.conv_module import ConvModule
from intarsia.openmmlab import layers, transformers

ATTENTION = dict(type='MultiheadAttention', embed_dims=8, num_heads=2)
LAYER = dict(
    type='BaseTransformerLayer',
    attn_cfgs=[ATTENTION, ATTENTION],
    ffn_cfgs=dict(type='FFN', embed_dims=8, feedforward_channels=16, num_fcs=2, ffn_drop=0.0),
    operation_order=('self_attn', 'norm', 'cross_attn', 'norm', 'ffn', 'norm'),
)


def fill(module):
    for i, (_, parameter) in enumerate(sorted(module.named_parameters())):
        values = torch.sin(torch.arange(parameter.numel(), dtype=torch.float32) * 0.7 + i) * 0.3
        parameter.data = values.reshape(parameter.shape)
    return module.eval()


def wave(function, count, length, factor):
    return function(torch.arange(count * length * 8.0) * factor).reshape(count, length, 8)


@pytest.mark.parametrize(
    ('order', 'first', 'total'),
    [
        (LAYER['operation_order'], [0.27684739, 0.03005973, -0.54042447, -0.45374438], 16.53528976),
        (
            ('norm', 'self_attn', 'norm', 'cross_attn', 'norm', 'ffn'),
            [-0.82932019, -1.18091619, -1.66368330, -2.58311749],
            99.15701294,
        ),
    ],
)
def test_sequences_of_layers_give_the_recorded_numbers(order, first, total):
    sequence = fill(transformers.TransformerLayerSequence({**LAYER, 'operation_order': order}, num_layers=2))
    assert sequence.pre_norm == (order[0] == 'norm')
    assert sequence.embed_dims == 8
    assert len(sequence.state_dict()) == 36
    assert 'layers.0.attentions.0.attn.in_proj_weight' in sequence.state_dict()
    query, key = wave(torch.cos, 3, 2, 1), wave(torch.cos, 5, 2, 0.3)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[1, 3:] = True
    out = sequence(
        query, key, key, query_pos=wave(torch.sin, 3, 2, 0.2), key_pos=wave(torch.sin, 5, 2, 0.1), key_padding_mask=mask
    )
    torch.testing.assert_close(out.flatten()[:4], torch.tensor(first), atol=1e-5, rtol=1e-5)
    assert math.isclose(out.abs().sum().item(), total, rel_tol=1e-5)


def test_attention_takes_samples_first():
    attention = fill(transformers.MultiheadAttention(8, 2, batch_first=True))
    query, pos = wave(torch.cos, 3, 2, 1).transpose(0, 1), wave(torch.sin, 3, 2, 0.2).transpose(0, 1)
    expected = torch.tensor([1.36300838, 1.04634643, 0.00303593, -0.84418464])
    torch.testing.assert_close(attention(query, query_pos=pos).flatten()[:4], expected, atol=1e-5, rtol=1e-5)


def test_a_users_attention_and_layer_are_built_from_the_registry():
    @MODELS.register_module(force=True)
    class MyAttentionOfLayers(nn.Module):
        def __init__(self, embed_dims, batch_first=False):
            super().__init__()
            self.embed_dims = embed_dims

        def forward(self, query, key, value, identity=None, **kwargs):
            return query if identity is None else identity + query

    class MyLayer(transformers.BaseTransformerLayer):
        def __init__(self, attn_cfgs, feedforward_channels, act_cfg=None, **kwargs):
            super().__init__(attn_cfgs, feedforward_channels=feedforward_channels, act_cfg=act_cfg, **kwargs)

    layer = MyLayer(
        dict(type='MyAttentionOfLayers', embed_dims=4), 6, operation_order=('self_attn', 'norm', 'ffn', 'norm')
    )
    assert isinstance(layer.attentions[0], MyAttentionOfLayers)
    assert layer.ffns[0].feedforward_channels == 6
    assert layer(torch.ones(2, 1, 4)).shape == (2, 1, 4)


def test_an_order_of_unknown_operations_is_refused():
    with pytest.raises(AssertionError, match='operation_order'):
        transformers.BaseTransformerLayer(ATTENTION, operation_order=('attention',))


@pytest.mark.parametrize(
    ('cfg', 'kind'),
    [
        (dict(type='nearest', scale_factor=2), nn.Upsample),
        (dict(type='bilinear', scale_factor=2, align_corners=False), nn.Upsample),
        (dict(type='deconv', in_channels=4, out_channels=4, kernel_size=2, stride=2), nn.ConvTranspose2d),
        (
            dict(type='pixel_shuffle', in_channels=4, out_channels=4, scale_factor=2, upsample_kernel=3),
            layers.PixelShufflePack,
        ),
    ],
)
def test_layers_that_enlarge(cfg, kind):
    layer = layers.build_upsample_layer(cfg)
    assert isinstance(layer, kind)
    assert layer(torch.ones(1, 4, 3, 5)).shape == (1, 4, 6, 10)


def test_norms_are_known():
    assert layers.is_norm(nn.BatchNorm2d(2))
    assert layers.is_norm(nn.LayerNorm(2))
    assert not layers.is_norm(nn.Conv2d(2, 2, 1))
    assert not layers.is_norm(nn.BatchNorm2d(2), exclude=nn.BatchNorm2d)


def test_fused_convolutions_give_the_same():
    module = nn.Sequential(
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN')), nn.Conv2d(4, 2, 1, bias=False), nn.BatchNorm2d(2)
    )
    for norm in (each for each in module.modules() if layers.is_norm(each)):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.uniform_(norm.weight)
    x = torch.randn(2, 3, 8, 8)
    expected = module.eval()(x)
    fused = layers.fuse_conv_bn(module)
    assert not any(layers.is_norm(each) for each in fused.modules())
    torch.testing.assert_close(fused(x), expected, atol=1e-5, rtol=1e-4)


def test_multiply_adds_and_parameters_are_counted(capsys):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    flops, params = layers.get_model_complexity_info(model, (3, 8, 8), print_per_layer_stat=False, as_strings=False)
    assert flops == 3 * 9 * 8 * 64 + 8 * 4 * 64
    assert params == 268
    assert capsys.readouterr().out == ''
    texts = layers.get_model_complexity_info(
        model, (3, 8, 8), input_constructor=lambda shape: {'input': torch.ones(1, *shape)}
    )
    assert texts == ('0.0 GFLOPs', '268')
    assert 'Sequential.0: 13.82 KFLOPs' in capsys.readouterr().out


def test_texts_of_counts():
    asked = [(4.1e9, 'GFLOPs'), (4.1e9, None), (2.5e6, None), (999, None), (3e5, 'KFLOPs')]
    expected = ['4.1 GFLOPs', '4.1 GFLOPs', '2.5 MFLOPs', '999 FLOPs', '300.0 KFLOPs']
    assert [layers.flops_to_string(*each) for each in asked] == expected
    asked = [(25557032, None), (1500, None), (12, None), (1500, 'M'), (1500, 'K')]
    assert [layers.params_to_string(*each) for each in asked] == ['25.56 M', '1.5 k', '12', '0.0 M', '1.5 K']
