"""Masks as products of class tokens and patches.

Shapes: n images, c channels, k classes, h rows, w columns, l patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.drop import decay_rule
from intarsia.nn.init import constant_init, trunc_normal_, trunc_normal_init
from intarsia.nn.norm import build_norm_layer
from intarsia.tasks.segmentation.backbones.vision_transformer import TransformerEncoderLayer
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead

GELU: Mapping[str, Any] = {'type': 'GELU'}
LN: Mapping[str, Any] = {'type': 'LN'}


@HEADS.register_module()
class SegmenterMaskTransformerHead(BaseDecodeHead):
    """A learned token for each class goes through a transformer with the patches; a mask is their cosine likeness.

    "Segmenter: Transformer for Semantic Segmentation" (Strudel et al., 2021, arXiv:2105.05633).

    Args:
        in_channels: Channels of the map of patches.
        num_layers: Number of layers.
        num_heads: Number of attention heads.
        embed_dims: Channels C of the tokens.
        mlp_ratio: Channels inside the feed-forward networks divided by C.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        num_fcs: Number of linear layers of the feed-forward networks.
        qkv_bias: Whether the linear layers of the attention have a bias.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        init_std: Standard deviation of the first weights.
        init_cfg: Initializers that run before those.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``channels`` and
            ``dropout_ratio`` are not used.
    """

    def __init__(
        self,
        in_channels: int,
        num_layers: int,
        num_heads: int,
        embed_dims: int,
        mlp_ratio: int = 4,
        drop_path_rate: float = 0.1,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        num_fcs: int = 2,
        qkv_bias: bool = True,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        init_std: float = 0.02,
        init_cfg: Any = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels=in_channels, init_cfg=init_cfg, **kwargs)
        del self.conv_seg
        self.init_std = init_std
        self.layers = nn.ModuleList(
            TransformerEncoderLayer(
                embed_dims, num_heads, mlp_ratio * embed_dims, drop_rate, attn_drop_rate, rate, num_fcs, qkv_bias,
                act_cfg, norm_cfg,
            )
            for rate in decay_rule(drop_path_rate, num_layers)
        )  # fmt: skip
        self.dec_proj = nn.Linear(in_channels, embed_dims)
        self.cls_emb = nn.Parameter(torch.randn(1, self.num_classes, embed_dims))
        self.patch_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.classes_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.decoder_norm = build_norm_layer(norm_cfg, embed_dims)[1]
        self.mask_norm = build_norm_layer(norm_cfg, self.num_classes)[1]

    def init_own_weights(self) -> None:
        """Truncated normal class tokens and linear layers."""
        trunc_normal_(self.cls_emb, std=self.init_std)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                trunc_normal_init(layer, std=self.init_std)
            elif isinstance(layer, nn.LayerNorm):
                constant_init(layer, 1)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        x_nchw = self._transform_inputs(feats)
        patch_nlc = self.dec_proj(x_nchw.flatten(2).transpose(1, 2))
        tokens_nlc = torch.cat([patch_nlc, self.cls_emb.expand(len(x_nchw), -1, -1)], 1)
        for layer in self.layers:
            tokens_nlc = layer(tokens_nlc)
        patch_nlc, class_nkc = self.decoder_norm(tokens_nlc).split([patch_nlc.shape[1], self.num_classes], 1)
        patch_nlc = F.normalize(self.patch_proj(patch_nlc), dim=2)
        class_nkc = F.normalize(self.classes_proj(class_nkc), dim=2)
        mask_nlk = self.mask_norm(patch_nlc @ class_nkc.transpose(1, 2))
        return mask_nlk.transpose(1, 2).unflatten(2, x_nchw.shape[2:])
