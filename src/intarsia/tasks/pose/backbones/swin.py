"""Swin transformer of pose estimation, which reads the weights its authors released."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.swin_dense import DenseSwinTransformer

RENAMED = (
    ('patch_embed.proj.', 'patch_embed.projection.'), ('layers.', 'stages.'), ('.attn.', '.attn.w_msa.'),
    ('.mlp.fc1.', '.ffn.layers.0.0.'), ('.mlp.fc2.', '.ffn.layers.1.'),
)  # fmt: skip
"""Parts of keys of the authors' release, and what they are called here."""


@BACKBONES.register_module()
class SwinTransformer(DenseSwinTransformer):
    """Transformer with attention within shifted windows, at four resolutions.

    "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu et al., 2021, arXiv:2103.14030).

    Args:
        convert_weights: Whether weights in the form of the authors' release are converted while they are loaded.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.swin_dense.DenseSwinTransformer`.
    """

    def __init__(self, convert_weights: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if convert_weights:
            self.register_load_state_dict_pre_hook(_convert_released)


def _convert_released(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: other names, another order of merged patches, no classifier; what is ours already stays."""
    if not any(key.startswith(f'{prefix}layers.') for key in state):
        return
    for key in [key for key in state if key.startswith(prefix)]:
        value, name = state.pop(key), key.removeprefix(prefix)
        if name.startswith('head.') or name.endswith(('attn_mask', 'relative_position_index')):
            continue
        if '.downsample.' in name:
            value = _reorder_merged(value)
        for theirs, ours in RENAMED:
            name = name.replace(theirs, ours, 1)
        state[prefix + name] = value
    for name, buffer in module.named_buffers():
        if name.endswith('relative_position_index'):
            state[prefix + name] = buffer


def _reorder_merged(value: Tensor) -> Tensor:
    """Of the last axis, from four places (down before right) of all channels to all channels of four places."""
    places = value.unflatten(-1, (4, -1))
    return places[..., torch.tensor([0, 2, 1, 3]), :].transpose(-1, -2).flatten(-2)
