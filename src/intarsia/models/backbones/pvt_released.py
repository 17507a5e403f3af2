"""Weights of pyramid vision transformers as their authors released them."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

RENAMED = (
    (r'^patch_embed(\d)\.proj', r'layers.\1.0.projection'),
    (r'^patch_embed(\d)', r'layers.\1.0'),
    (r'^pos_embed(\d)', r'layers.\1.1.0.pos_embed'),
    (r'^block(\d)', r'layers.\1.1'),
    (r'^norm(\d)', r'layers.\1.2'),
    (r'\.attn\.q\.', '.attn.attn.in_proj_'),
    (r'\.attn\.proj', '.attn.attn.out_proj'),
    (r'\.mlp\.fc1', '.ffn.layers.0'),
    (r'\.mlp\.dwconv\.dwconv', '.ffn.layers.1'),
)
"""Parts of released keys, with stages from 1, and of ours, where they are from 0."""


def convert_released(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: other names, one matrix for queries, keys and values, no classifier; what is ours already stays.

    Args:
        module: The backbone.
        state: Entries by key; changed in place.
        prefix: What the keys of this backbone start with.
    """
    if f'{prefix}block1.0.norm1.weight' not in state:
        return
    released = {key.removeprefix(prefix): state.pop(key) for key in list(state) if key.startswith(prefix)}
    has_positions = any(name.startswith('pos_embed') for name in released)
    has_dwconv = any('.dwconv.' in name for name in released)
    for name, value in released.items():
        if name.startswith(('head', 'norm.', 'cls_token')) or '.attn.kv.' in name:
            continue
        if '.attn.q.' in name:
            value = torch.cat((value, released[name.replace('.attn.q.', '.attn.kv.')]))
        elif name == 'pos_embed4' and value.shape[1] == 50:  # a class token before the 7 x 7 places
            value = value[:, 1:]
        elif re.search(r'\.fc\d\.weight', name):
            value = value[..., None, None]
        state[prefix + _our_name(name, has_positions, has_dwconv)] = value


def _our_name(name: str, has_positions: bool, has_dwconv: bool) -> str:
    for theirs, ours in RENAMED:
        name = re.sub(theirs, ours, name)
    name = name.replace('.mlp.fc2', f'.ffn.layers.{4 if has_dwconv else 3}')
    stage, *rest = name.removeprefix('layers.').split('.')
    if rest[0] == '1' and has_positions and 'pos_embed' not in name:
        rest[1] = str(int(rest[1]) + 1)  # position embeddings are layer 0
    return '.'.join(['layers', str(int(stage) - 1), *rest])
