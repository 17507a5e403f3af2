"""Transformers, and ConvNeXt, of torchvision and timm.

Shape suffixes: o channels out, c channels in, n positions of a window.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from intarsia.models.conversion.layout import Layout, State
from intarsia.nn.attention import relative_position_index

VIT_HEAD = 'The head is a VisionTransformerClsHead.'

# ---------------------------------------------------------------------- vision transformer

VIT_TORCHVISION = Layout(
    'ViT',
    ('VisionTransformer',),
    (r'class_token', r'conv_proj\.weight', r'encoder\.layers\.encoder_layer_0\.self_attention\.in_proj_weight'),
    (
        ('class_token', 'cls_token'),
        (r'encoder\.pos_embedding', 'pos_embed'),
        ('conv_proj', 'patch_embed.projection'),
        (r'encoder\.layers\.encoder_layer_(\d+)\.ln_([12])', r'layers.\1.ln\2'),
        (r'encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_(weight|bias)', r'layers.\1.attn.qkv.\2'),
        (r'encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj', r'layers.\1.attn.proj'),
        (r'encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)', r'layers.\1.ffn.layers.0.0'),
        (r'encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)', r'layers.\1.ffn.layers.1'),
        (r'encoder\.ln', 'ln1'),
        (r'heads\.head', 'head.layers.head'),
    ),
    note=VIT_HEAD,
)
VIT_TIMM = Layout(
    'ViT',
    ('VisionTransformer',),
    (r'cls_token', r'pos_embed', r'patch_embed\.proj\.weight', r'blocks\.0\.attn\.qkv\.weight',
     r'blocks\.0\.mlp\.fc2\.weight', r'blocks\.0\.norm1\.weight', r'(?:fc_)?norm\.weight'),
    (
        (r'(cls_token|pos_embed)', r'\1'),
        (r'patch_embed\.proj', 'patch_embed.projection'),
        ('norm_pre', 'pre_norm'),
        (r'blocks\.(\d+)\.norm([12])', r'layers.\1.ln\2'),
        (r'blocks\.(\d+)\.attn\.(qkv|proj)', r'layers.\1.attn.\2'),
        (r'blocks\.(\d+)\.ls1\.gamma', r'layers.\1.attn.gamma1.weight'),
        (r'blocks\.(\d+)\.ls2\.gamma', r'layers.\1.ffn.gamma2.weight'),
        (r'blocks\.(\d+)\.mlp\.fc1', r'layers.\1.ffn.layers.0.0'),
        (r'blocks\.(\d+)\.mlp\.fc2', r'layers.\1.ffn.layers.1'),
        ('norm', 'ln1'),
        ('fc_norm', 'ln2'),
        ('head', 'head.layers.head'),
    ),
    note=f'{VIT_HEAD} With fc_norm, final_norm=False and out_type="avg_featmap".',
)  # fmt: skip

# ---------------------------------------------------------------------- Swin

ORDER = (0, 2, 1, 3)
"""Where the four positions of a merged patch stand in the other libraries: they go down before they go right."""


def merged_patches(value: Tensor) -> Tensor:
    """Weights over four merged patches ``(..., 4 * C)``, channel by channel instead of patch by patch."""
    parts = value.unflatten(-1, (4, -1))
    return parts[..., ORDER, :].transpose(-1, -2).flatten(-2)


def _window(table: Tensor) -> int:
    """Side of the window that a table of biases ``((2 * side - 1) ** 2, heads)`` is for."""
    return (round(len(table) ** 0.5) + 1) // 2


def _swin(state: State) -> State:
    """Merged patches in our order, and the table of positions that later releases do not write."""
    found: State = {}
    for key, value in state.items():
        if re.search(r'(downsample|features\.\d)\.(norm|reduction)\.(weight|bias)$', key):
            found[key] = merged_patches(value)
        elif key.endswith('relative_position_bias_table'):
            found[key] = value
            side = _window(value)
            found[key.replace('bias_table', 'index')] = relative_position_index(side, side)
        elif not key.endswith(('relative_position_index', 'attn_mask')):
            found[key] = value
    return found


def _swin_timm(state: State) -> State:
    """As above; what shrinks the map ends a stage in early releases and with us, and begins one in later ones."""
    is_early = any(key.startswith('layers.0.downsample.') for key in state)
    found = {}
    for key, value in _swin(state).items():
        match = re.match(r'layers\.(\d+)\.(downsample\..*)', key)
        found[f'layers.{int(match[1]) - (not is_early)}.{match[2]}' if match else key] = value
    return found


_SWIN_NOTE = 'window_size of the stages is that of the weights. Pictures whose sides do not fit windows are padded.'
SWIN_TORCHVISION = Layout(
    'Swin',
    ('SwinTransformer',),
    (r'features\.1\.0\.attn\.relative_position_bias_table', r'features\.1\.0\.mlp\.0\.weight',
     r'features\.2\.reduction\.weight', r'features\.1\.0\.attn\.qkv\.bias'),
    (
        (r'features\.0\.0', 'patch_embed.projection'),
        (r'features\.0\.2', 'patch_embed.norm'),
        (r'features\.(\d)\.(norm|reduction)', lambda m: f'stages.{int(m[1]) // 2 - 1}.downsample.{m[2]}'),
        (r'features\.(\d)\.(\d+)\.(norm[12])', lambda m: f'{_swin_block(m)}.{m[3]}'),
        (r'features\.(\d)\.(\d+)\.attn\.(qkv|proj|relative_position_(?:bias_table|index))',
         lambda m: f'{_swin_block(m)}.attn.w_msa.{m[3]}'),
        (r'features\.(\d)\.(\d+)\.mlp\.0', lambda m: f'{_swin_block(m)}.ffn.layers.0.0'),
        (r'features\.(\d)\.(\d+)\.mlp\.3', lambda m: f'{_swin_block(m)}.ffn.layers.1'),
        ('norm', 'norm3'),
        ('head', 'head.fc'),
    ),
    _swin,
    _SWIN_NOTE,
)  # fmt: skip


def _swin_block(match: re.Match[str]) -> str:
    return f'stages.{int(match[1]) // 2}.blocks.{match[2]}'


SWIN_TIMM = Layout(
    'Swin',
    ('SwinTransformer',),
    (r'patch_embed\.proj\.weight', r'layers\.0\.blocks\.0\.attn\.relative_position_bias_table',
     r'layers\.1\.blocks\.0\.norm1\.weight', r'layers\.[01]\.downsample\.reduction\.weight'),
    (
        (r'patch_embed\.proj', 'patch_embed.projection'),
        (r'patch_embed\.norm', 'patch_embed.norm'),
        (r'layers\.(\d)\.downsample\.(norm|reduction)', r'stages.\1.downsample.\2'),
        (r'layers\.(\d)\.blocks\.(\d+)\.(norm[12])', r'stages.\1.blocks.\2.\3'),
        (r'layers\.(\d)\.blocks\.(\d+)\.attn\.(qkv|proj|relative_position_(?:bias_table|index))',
         r'stages.\1.blocks.\2.attn.w_msa.\3'),
        (r'layers\.(\d)\.blocks\.(\d+)\.mlp\.fc1', r'stages.\1.blocks.\2.ffn.layers.0.0'),
        (r'layers\.(\d)\.blocks\.(\d+)\.mlp\.fc2', r'stages.\1.blocks.\2.ffn.layers.1'),
        ('norm', 'norm3'),
        (r'head(?:\.fc)?', 'head.fc'),
    ),
    _swin_timm,
    _SWIN_NOTE,
)  # fmt: skip

# ---------------------------------------------------------------------- ConvNeXt


def _flat_scales(state: State) -> State:
    return {key: value.flatten() if key.endswith('layer_scale') else value for key, value in state.items()}


_NEXT_PARTS = {'0': 'depthwise_conv', '2': 'norm', '3': 'pointwise_conv1', '5': 'pointwise_conv2'}
CONVNEXT_TORCHVISION = Layout(
    'ConvNeXt',
    ('ConvNeXt',),
    (r'features\.1\.0\.layer_scale', r'features\.1\.0\.block\.5\.weight', r'features\.7\.0\.layer_scale'),
    (
        (r'features\.([0246])\.([01])', lambda m: f'downsample_layers.{int(m[1]) // 2}.{m[2]}'),
        (r'features\.([1357])\.(\d+)\.layer_scale', lambda m: f'stages.{int(m[1]) // 2}.{m[2]}.gamma'),
        (
            r'features\.([1357])\.(\d+)\.block\.([0235])',
            lambda m: f'stages.{int(m[1]) // 2}.{m[2]}.{_NEXT_PARTS[m[3]]}',
        ),
        (r'classifier\.0', 'norm3'),
        (r'classifier\.2', 'head.fc'),
    ),
    _flat_scales,
)
CONVNEXT_TIMM = Layout(
    'ConvNeXt',
    ('ConvNeXt',),
    (r'stem\.0\.weight', r'stages\.0\.blocks\.0\.conv_dw\.weight', r'stages\.0\.blocks\.0\.mlp\.fc1\.weight',
     r'stages\.1\.downsample\.1\.weight', r'stages\.3\.blocks\.0\.norm\.weight'),
    (
        (r'stem\.([01])', r'downsample_layers.0.\1'),
        (r'stages\.(\d)\.downsample\.([01])', r'downsample_layers.\1.\2'),
        (r'stages\.(\d)\.blocks\.(\d+)\.gamma', r'stages.\1.\2.gamma'),
        (r'stages\.(\d)\.blocks\.(\d+)\.conv_dw', r'stages.\1.\2.depthwise_conv'),
        (r'stages\.(\d)\.blocks\.(\d+)\.norm', r'stages.\1.\2.norm'),
        (r'stages\.(\d)\.blocks\.(\d+)\.mlp\.fc([12])', r'stages.\1.\2.pointwise_conv\3'),
        (r'head\.norm', 'norm3'),
        (r'head\.fc', 'head.fc'),
    ),
)  # fmt: skip

# ---------------------------------------------------------------------- PVT v2


def _joint_projections(state: State) -> State:
    """Queries, keys and values from one matrix; linear layers of pixels as convolutions."""
    found: State = {}
    for key, value in state.items():
        if re.search(r'\.attn\.kv\.', key):
            continue
        if re.search(r'\.attn\.q\.', key):
            value = torch.cat((value, state[key.replace('.attn.q.', '.attn.kv.')]))
        elif re.search(r'\.mlp\.fc[12]\.weight$', key):
            value = value[..., None, None]
        found[key] = value
    return found


PVT_V2 = Layout(
    'PVT v2',
    ('PyramidVisionTransformerV2',),
    (r'patch_embed\.norm\.weight', r'stages\.0\.blocks\.0\.attn\.kv\.weight',
     r'stages\.0\.blocks\.0\.mlp\.dwconv\.weight', r'stages\.1\.downsample\.proj\.weight'),
    (
        (r'patch_embed\.proj', 'layers.0.0.projection'),
        (r'patch_embed\.norm', 'layers.0.0.norm'),
        (r'stages\.(\d)\.downsample\.proj', r'layers.\1.0.projection'),
        (r'stages\.(\d)\.downsample\.norm', r'layers.\1.0.norm'),
        (r'stages\.(\d)\.norm', r'layers.\1.2'),
        (r'stages\.(\d)\.blocks\.(\d+)\.(norm[12])', r'layers.\1.1.\2.\3'),
        (r'stages\.(\d)\.blocks\.(\d+)\.attn\.q\.(weight|bias)', r'layers.\1.1.\2.attn.attn.in_proj_\3'),
        (r'stages\.(\d)\.blocks\.(\d+)\.attn\.proj', r'layers.\1.1.\2.attn.attn.out_proj'),
        (r'stages\.(\d)\.blocks\.(\d+)\.attn\.(sr|norm)', r'layers.\1.1.\2.attn.\3'),
        (r'stages\.(\d)\.blocks\.(\d+)\.mlp\.fc1', r'layers.\1.1.\2.ffn.layers.0'),
        (r'stages\.(\d)\.blocks\.(\d+)\.mlp\.dwconv', r'layers.\1.1.\2.ffn.layers.1'),
        (r'stages\.(\d)\.blocks\.(\d+)\.mlp\.fc2', r'layers.\1.1.\2.ffn.layers.4'),
        ('head', 'head.fc'),
    ),
    _joint_projections,
    'The neck is a GlobalAveragePooling. Some normalizations add 1e-5 to variances there, all add 1e-6 here: scores '
    'differ by about 1e-5 of their size.',
)  # fmt: skip
