import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core.errors import RegistryError
from intarsia.core.registries import ACTIVATION_LAYERS, CONV_LAYERS, NORM_LAYERS
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.attention import (
    MultiheadAttention,
    ShiftWindowMSA,
    WindowMSA,
    relative_position_index,
    window_partition,
    window_reverse,
)
from intarsia.nn.channels import make_divisible
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import DropPath, build_dropout, decay_rule
from intarsia.nn.embed import (
    PatchEmbed,
    PatchMerging,
    fit_pos_embed,
    resize_pos_embed,
    resize_relative_position_bias_table,
)
from intarsia.nn.norm import GlobalResponseNorm, LayerNorm2d, build_norm_layer, revert_sync_batchnorm
from intarsia.nn.padding import AdaptivePadding, build_padding_layer


def test_layers_by_config():
    assert isinstance(build_conv_layer(None, 3, 4, 3), nn.Conv2d)
    assert build_conv_layer({'type': 'Conv1d', 'bias': False}, 3, 4, 3).bias is None
    assert isinstance(build_padding_layer({'type': 'reflect'}, 2), nn.ReflectionPad2d)
    for registry in (CONV_LAYERS, NORM_LAYERS, ACTIVATION_LAYERS):
        for name in registry.names():
            assert issubclass(registry.get(name), nn.Module)
    with pytest.raises(RegistryError, match="Did you mean 'Conv2d'"):
        build_conv_layer({'type': 'conv2d'}, 3, 4, 3)
    with pytest.raises(TypeError, match="'type'"):
        build_norm_layer({}, 4)


@pytest.mark.parametrize(
    ('cfg', 'name'),
    [
        ({'type': 'BN'}, 'bn1'), ({'type': 'SyncBN'}, 'bn1'), ({'type': 'GN', 'num_groups': 2}, 'gn1'),
        ({'type': 'LN'}, 'ln1'), ({'type': 'LN2d'}, 'ln1'), ({'type': 'IN'}, 'in1'), ({'type': 'BN3d'}, 'bn1'),
    ],
)  # fmt: skip
def test_norm_names_and_gradients(cfg, name):
    given, layer = build_norm_layer({**cfg, 'requires_grad': False}, 4, postfix=1)
    assert given == name
    assert layer.eps == 1e-5
    assert not any(p.requires_grad for p in layer.parameters())


def test_group_norm_needs_groups():
    with pytest.raises(TypeError, match='num_groups'):
        build_norm_layer({'type': 'GN'}, 4)


def test_sync_batch_norm_alone_is_batch_norm():
    x = torch.randn(4, 3, 5, 5)
    sync, plain = build_norm_layer({'type': 'SyncBN'}, 3)[1], nn.BatchNorm2d(3)
    torch.testing.assert_close(sync(x), plain(x))
    assert torch.equal(sync.running_var, plain.running_var)
    net = revert_sync_batchnorm(nn.Sequential(nn.Conv2d(3, 3, 1), sync).eval())
    assert not isinstance(net[1], nn.SyncBatchNorm)
    assert not net[1].training
    torch.testing.assert_close(net[1](x), plain.eval()(x))


def test_layer_norm_of_maps():
    x = torch.randn(2, 6, 3, 4)
    norm = LayerNorm2d(6)
    nn.init.normal_(norm.weight)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias)
    torch.testing.assert_close(norm(x), expected.permute(0, 3, 1, 2))
    torch.testing.assert_close(norm(x.permute(0, 2, 3, 1), data_format='channel_last'), expected)


def test_global_response_norm_starts_as_identity():
    x = torch.randn(2, 3, 4, 5)
    norm = GlobalResponseNorm(5)
    assert torch.equal(norm(x), x)
    nn.init.ones_(norm.gamma)
    energy = x.square().sum(dim=(1, 2), keepdim=True).sqrt()
    torch.testing.assert_close(norm(x), x * energy / (energy.mean(-1, keepdim=True) + 1e-6) + x)


@pytest.mark.parametrize('name', ['HSigmoid', 'HSwish', 'Swish', 'QuickGELU'])
def test_activations(name):
    x = torch.linspace(-6, 6, 50)
    expected = {
        'HSigmoid': F.hardsigmoid(x), 'HSwish': F.hardswish(x), 'Swish': F.silu(x),
        'QuickGELU': x * torch.sigmoid(1.702 * x),
    }  # fmt: skip
    torch.testing.assert_close(build_activation_layer({'type': name})(x.clone()), expected[name])


def test_conv_module_order_and_keys():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8)
    module = ConvModule(3, 4, 3, padding=1, norm_cfg={'type': 'BN'}).eval()
    assert {key.split('.')[0] for key in module.state_dict()} == {'conv', 'bn'}
    assert module.conv.bias is None
    torch.testing.assert_close(module(x), F.relu(module.bn(module.conv(x))))
    torch.testing.assert_close(module(x, activate=False, norm=False), module.conv(x))
    first = ConvModule(3, 4, 1, norm_cfg={'type': 'BN'}, act_cfg={'type': 'GELU'}, order=('norm', 'act', 'conv')).eval()
    torch.testing.assert_close(first(x), first.conv(F.gelu(first.bn(x))))
    mirrored = ConvModule(3, 4, 3, padding=1, padding_mode='reflect', act_cfg=None)
    torch.testing.assert_close(mirrored(x), mirrored.conv(F.pad(x, (1, 1, 1, 1), mode='reflect')))
    with pytest.raises(ValueError, match='permutation'):
        ConvModule(3, 4, 1, order=('conv', 'act'))


def test_drop_path_drops_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(10000, 2)
    out = drop(x)
    assert set(out.unique().tolist()) == {0.0, 4 / 3} or len(out.unique()) == 2
    assert torch.equal(out[:, 0], out[:, 1])
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert drop.eval()(x) is x
    with pytest.raises(ValueError, match='drop_prob'):
        DropPath(1)


def test_dropout_by_config_and_the_decay_rule():
    assert isinstance(build_dropout(None), nn.Identity)
    assert build_dropout({'type': 'DropPath', 'drop_prob': 0.3}).drop_prob == 0.3
    assert build_dropout({'type': 'Dropout', 'drop_prob': 0.3}).p == 0.3
    assert decay_rule(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(('value', 'expected'), [(32, 32), (33, 32), (36, 40), (3, 8), (10, 16), (90, 88)])
def test_make_divisible(value, expected):
    assert make_divisible(value, 8) == expected


def test_adaptive_padding_covers_the_map():
    assert AdaptivePadding(16, 16)(torch.ones(1, 1, 15, 17)).shape == (1, 1, 16, 32)
    corner = AdaptivePadding(2, 2)(torch.ones(1, 1, 3, 4))
    assert corner[0, 0, :, 0].tolist() == [1, 1, 1, 0]
    same = AdaptivePadding(5, 1, padding='same')(torch.ones(1, 1, 1, 1))
    assert same.shape == (1, 1, 5, 5)
    assert same[0, 0, 2, 2] == 1


def test_attention_is_softmax_of_scaled_scores():
    torch.manual_seed(0)
    attention = MultiheadAttention(8, 2).eval()
    x = torch.randn(2, 5, 8)
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    heads = []
    for i in (slice(0, 4), slice(4, 8)):
        weight = (q[..., i] @ k[..., i].transpose(1, 2) / 2).softmax(-1)
        heads.append(weight @ v[..., i])
    torch.testing.assert_close(attention(x), attention.proj(torch.cat(heads, -1)))


def test_relative_position_index_counts_offsets():
    height, width = 2, 3
    index = relative_position_index(height, width)
    places = [(y, x) for y in range(height) for x in range(width)]
    for a, (ya, xa) in enumerate(places):
        for b, (yb, xb) in enumerate(places):
            assert index[a, b] == (ya - yb + height - 1) * (2 * width - 1) + xa - xb + width - 1


def test_windows_come_back():
    x = torch.randn(2, 6, 9, 4)
    windows = window_partition(x, 3)
    assert windows.shape == (12, 3, 3, 4)
    assert torch.equal(windows[1], x[0, :3, 3:6])
    assert torch.equal(window_reverse(windows.flatten(1, 2), (6, 9), 3), x)


def test_shifted_windows_do_not_mix_opposite_edges():
    torch.manual_seed(0)
    layer = ShiftWindowMSA(4, 2, window_size=4, shift_size=2).eval()
    nn.init.normal_(layer.w_msa.relative_position_bias_table)
    x = torch.randn(1, 64, 4)
    changed = x.clone()
    changed[:, 0] += 1.0  # the place (0, 0): its shifted window is the 2 x 2 corner
    moved = (layer(x, (8, 8)) - layer(changed, (8, 8))).abs().sum(-1).view(8, 8) > 1e-5
    assert moved[:2, :2].all()
    assert moved.sum() == 4


def test_small_maps_need_padding():
    x = torch.randn(1, 9, 4)
    with pytest.raises(ValueError, match='pad_small_map=True'):
        ShiftWindowMSA(4, 2, window_size=4)(x, (3, 3))
    assert ShiftWindowMSA(4, 2, window_size=4, shift_size=2, pad_small_map=True)(x, (3, 3)).shape == x.shape
    with pytest.raises(ValueError, match='shift_size'):
        ShiftWindowMSA(4, 2, window_size=4, shift_size=4)


def test_window_attention_takes_rectangles():
    assert WindowMSA(4, (2, 3), 2)(torch.randn(5, 6, 4)).shape == (5, 6, 4)


def test_patches():
    embed = PatchEmbed(3, 8, kernel_size=4, stride=4, input_size=(16, 10), norm_cfg={'type': 'LN'})
    tokens, grid = embed(torch.randn(2, 3, 16, 10))
    assert embed.init_out_size == grid == (4, 3)
    assert tokens.shape == (2, 12, 8)
    merge = PatchMerging(8, 6)
    merged, grid = merge(tokens, grid)
    assert grid == (2, 2)
    assert merged.shape == (2, 4, 6)


def test_patch_merging_orders_channels_first():
    merge = PatchMerging(2, 8, norm_cfg=None)
    nn.init.eye_(merge.reduction.weight)
    tokens = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]])
    merged, _ = merge(tokens, (2, 2))
    assert merged.flatten().tolist() == [1, 2, 3, 4, 10, 20, 30, 40]


def test_position_embeddings_keep_extra_tokens():
    embed = torch.randn(1, 1 + 16, 4)
    assert resize_pos_embed(embed, (4, 4), (4, 4)) is embed
    resized = resize_pos_embed(embed, (4, 4), (6, 5))
    assert resized.shape == (1, 31, 4)
    assert torch.equal(resized[:, 0], embed[:, 0])
    with pytest.raises(ValueError, match='img_size'):
        resize_pos_embed(embed, (4, 5), (6, 5))
    assert fit_pos_embed(embed, (6, 5), 1).shape == (1, 31, 4)
    assert torch.equal(fit_pos_embed(embed, (4, 4), 0), embed[:, 1:])
    assert fit_pos_embed(embed, (4, 4), 1) is embed


def test_bias_tables_of_other_windows():
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing='ij')
    table = torch.stack((y, x), -1).flatten(0, 1)
    resized = resize_relative_position_bias_table(table, 13).view(13, 13, 2)
    assert resized[6, 6].tolist() == pytest.approx([3, 3])
    assert (resized[1:, :, 0] > resized[:-1, :, 0]).all()
