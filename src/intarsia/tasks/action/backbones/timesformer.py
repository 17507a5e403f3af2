"""TimeSformer: a vision transformer of clips.

Shape suffixes: n clips, c channels, p patches of a frame, t frames, l tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.init import kaiming_init, trunc_normal_
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.timesformer_layer import TimeSformerLayer

LN_EPS6: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
ATTENTIONS = ('divided_space_time', 'space_only', 'joint_space_time')
DROP_PATH_RATE = 0.1


@BACKBONES.register_module()
class TimeSformer(Backbone):
    """Transformer over the patches of the frames of a clip.

    "Is Space-Time Attention All You Need for Video Understanding?" (Bertasius et al., 2021, arXiv:2102.05095). State
    keys: ``cls_token``, ``pos_embed``, ``time_embed``, ``patch_embed``, ``transformer_layers.layers``, ``norm``.

    Args:
        num_frames: T.
        img_size: Size of a frame in pixels, (height, width); a multiple of the patch.
        patch_size: Size of a patch in pixels.
        pretrained: Weights to start from: those of a vision transformer of images, whose attention then serves for time
            as well.
        embed_dims: Channels C of the tokens.
        num_heads: Number of heads.
        num_transformer_layers: Number of layers.
        in_channels: Channels of the clip.
        dropout_ratio: Dropout of tokens after their places, and their times, are added.
        transformer_layers: None: what the layers are follows from ``attention_type``.
        attention_type: What a token attends to: ``'divided_space_time'`` first those at its place in all frames, then
            those of its frame; ``'joint_space_time'`` all; ``'space_only'`` those of its frame.
        norm_cfg: Config of the normalization after the last layer.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The kind of attention is unknown, frames are no multiple of the patch, or layers are given.
    """

    def __init__(
        self,
        num_frames: int,
        img_size: Pair,
        patch_size: Pair,
        pretrained: str | None = None,
        embed_dims: int = 768,
        num_heads: int = 12,
        num_transformer_layers: int = 12,
        in_channels: int = 3,
        dropout_ratio: float = 0.0,
        transformer_layers: None = None,
        attention_type: Literal['divided_space_time', 'space_only', 'joint_space_time'] = 'divided_space_time',
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if attention_type not in ATTENTIONS:
            raise ValueError(f'TimeSformer: attention_type is one of {", ".join(ATTENTIONS)}, not {attention_type!r}')
        if transformer_layers is not None:
            raise ValueError('TimeSformer: transformer_layers must be None; attention_type says what the layers are')
        size, patch = as_pair(img_size), as_pair(patch_size)
        if size[0] % patch[0] or size[1] % patch[1]:
            raise ValueError(f'TimeSformer: img_size={img_size} is no multiple of patch_size={patch_size}')
        self.num_frames, self.pretrained, self.attention_type = num_frames, pretrained, attention_type
        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch, stride=patch, padding=0)
        num_patches = size[0] // patch[0] * (size[1] // patch[1])
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, num_patches + 1, embed_dims))
        self.drop_after_pos = nn.Dropout(dropout_ratio)
        if attention_type != 'space_only':
            self.time_embed = nn.Parameter(torch.zeros(1, num_frames, embed_dims))
            self.drop_after_time = nn.Dropout(dropout_ratio)
        divided = attention_type == 'divided_space_time'
        layers = [
            TimeSformerLayer(embed_dims, num_heads, num_frames, divided, rate)
            for rate in decay_rule(DROP_PATH_RATE, num_transformer_layers)
        ]
        self.transformer_layers = nn.ModuleDict({'layers': nn.ModuleList(layers)})
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1]
        self.out_channels, self.strides = (embed_dims,), (0,)

    def init_own_weights(self) -> None:
        """Truncated normal embeddings of places; what patches become keeps their variance."""
        trunc_normal_(self.pos_embed, std=0.02)
        trunc_normal_(self.cls_token, std=0.02)
        kaiming_init(self.patch_embed.projection, mode='fan_in', nonlinearity='linear')

    def init_weights(self) -> None:
        """From ``pretrained``, or as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is not None:
            state = read_state_dict(find_weights(self.pretrained))
            divided = self.attention_type == 'divided_space_time'
            load_state_dict(self, with_attention_for_time(state) if divided else state, strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The class token ``(N, C)`` of each clip ``(N, in_channels, T, H, W)``."""
        n, frames = len(x), x.transpose(1, 2).flatten(0, 1)
        patches_xpc, _ = self.patch_embed(frames)
        tokens = torch.cat((self.cls_token.expand(len(frames), -1, -1), patches_xpc), dim=1)
        tokens = self.drop_after_pos(tokens + self.pos_embed)
        if self.attention_type != 'space_only':
            places_nptc = tokens[:, 1:].unflatten(0, (n, -1)).transpose(1, 2)
            timed_nptc = self.drop_after_time(places_nptc + self.time_embed)
            tokens = torch.cat((tokens[:n, :1], timed_nptc.flatten(1, 2)), dim=1)
        for layer in self.transformer_layers['layers']:  # type: ignore[attr-defined]
            tokens = layer(tokens)
        if self.attention_type == 'space_only':
            tokens = tokens.unflatten(0, (n, -1)).mean(1)
        return (self.norm(tokens)[:, 0],)


def with_attention_for_time(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of layers with one attention, for layers with two: both start from it, and have its normalization."""
    renamed = {
        key.replace('norms.0', 'attentions.0.norm').replace('norms.1', 'ffns.0.norm'): value
        for key, value in state.items()
    }
    twice = {key.replace('attentions.0', 'attentions.1'): value for key, value in renamed.items()}
    return {**twice, **renamed}
