"""XCiT.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.models.backbones.mit import to_map
from intarsia.models.backbones.vision_transformer import OUT_TYPES
from intarsia.models.backbones.xcit_layer import (
    BN,
    GELU,
    LN_EPS6,
    ClassAttentionBlock,
    ConvPatchEmbed,
    PositionalEncodingFourier,
    XCABlock,
)
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair


@BACKBONES.register_module()
class XCiT(Backbone):
    """Transformer with attention between channels, whose cost grows with the number of patches and not with its square.

    "XCiT: Cross-Covariance Image Transformers" (El-Nouby et al., 2021, arXiv:2106.09681).

    State keys: ``cls_token``, ``patch_embed``, ``pos_embed``, ``xca_layers``, ``ca_layers``, ``norm``.

    Args:
        img_size: Usual size of the image in pixels, (height, width); a multiple of the patch.
        patch_size: Size of a patch in pixels, 8 or 16.
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        depth: Number of layers without a class token.
        cls_attn_layers: Number of layers after them, of the class token.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward networks divided by C.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_rate: Dropout of tokens and after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the branches of all layers without a class token.
        use_pos_embed: Add sines and cosines of rows and columns to the tokens.
        layer_scale_init_value: First value of a factor per channel of each branch.
        tokens_norm: Normalize all tokens in the layers of the class token.
        out_type: What an output is: ``'cls_token'`` and ``'avg_featmap'`` (mean of the patches) ``(N, C)``,
            ``'featmap'`` ``(N, C, H, W)``, ``'raw'`` all tokens ``(N, L, C)``.
        out_indices: Layers to output, of both kinds, from 0; negative ones count from the end.
        final_norm: Normalize the tokens after the last layer.
        frozen_stages: Freeze the embeddings and so many layers; -1 freezes nothing.
        bn_norm_cfg: Config of the normalizations of convolutions.
        norm_cfg: Config of the normalizations of tokens.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``img_size`` is no multiple of the patch, an index or ``frozen_stages`` lies outside of the layers,
            the type of output is unknown, or a class token is to be output by a layer without one.
    """

    default_init: ClassVar[InitCfg] = {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02}

    def __init__(
        self,
        img_size: Pair = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        cls_attn_layers: int = 2,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        use_pos_embed: bool = True,
        layer_scale_init_value: float = 1.0,
        tokens_norm: bool = False,
        out_type: Literal['raw', 'cls_token', 'featmap', 'avg_featmap'] = 'cls_token',
        out_indices: int | Sequence[int] = (-1,),
        final_norm: bool = True,
        frozen_stages: int = -1,
        bn_norm_cfg: Mapping[str, Any] = BN,
        norm_cfg: Mapping[str, Any] = LN_EPS6,
        act_cfg: Mapping[str, Any] = GELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if any(side % patch_size for side in as_pair(img_size)):
            raise ValueError(f'XCiT: img_size={img_size} is no multiple of patch_size={patch_size}')
        self.num_layers, self.out_type, self.frozen_stages = depth + cls_attn_layers, out_type, frozen_stages
        self.out_indices = normalize_indices(out_indices, self.num_layers, 'XCiT')
        self._check(depth)
        self.patch_embed = ConvPatchEmbed(patch_size, in_channels, embed_dims, bn_norm_cfg, act_cfg)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = PositionalEncodingFourier(embed_dims) if use_pos_embed else None
        self.pos_drop = nn.Dropout(drop_rate)
        shared: dict[str, Any] = {
            'dim': embed_dims, 'num_heads': num_heads, 'mlp_ratio': mlp_ratio, 'qkv_bias': qkv_bias, 'drop': drop_rate,
            'attn_drop': attn_drop_rate, 'layer_scale_init_value': layer_scale_init_value, 'norm_cfg': norm_cfg,
            'act_cfg': act_cfg,
        }  # fmt: skip
        own: dict[str, Any] = {'drop_path': drop_path_rate, 'bn_norm_cfg': bn_norm_cfg}
        self.xca_layers = nn.ModuleList(XCABlock(**shared, **own) for _ in range(depth))
        self.ca_layers = nn.ModuleList(
            ClassAttentionBlock(**shared, tokens_norm=tokens_norm) for _ in range(cls_attn_layers)
        )
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1] if final_norm else nn.Identity()
        self.out_channels = (embed_dims,) * len(self.out_indices)
        self.strides = (patch_size if out_type == 'featmap' else 0,) * len(self.out_indices)
        self._freeze_stages()

    def _check(self, depth: int) -> None:
        if self.out_type not in OUT_TYPES:
            raise ValueError(f'XCiT: out_type must be one of {", ".join(OUT_TYPES)}, not {self.out_type!r}')
        if self.out_type == 'cls_token' and min(self.out_indices) < depth:
            raise ValueError(f'XCiT: the first {depth} layers have no class token to output; out_indices names one')
        if self.frozen_stages > self.num_layers:
            raise ValueError(f'XCiT has {self.num_layers} layers, but frozen_stages={self.frozen_stages}')

    def init_own_weights(self) -> None:
        """Truncated normal class token."""
        trunc_normal_(self.cls_token, std=0.02)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The embeddings and the first ``frozen_stages`` layers; with layers of the class token also that token."""
        if self.frozen_stages < 0:
            return []
        parts: list[nn.Module | nn.Parameter] = [self.patch_embed, self.pos_drop]
        if self.pos_embed is not None:
            parts.append(self.pos_embed)
        if self.frozen_stages > len(self.xca_layers):
            parts.append(self.cls_token)
        parts += [*self.xca_layers, *self.ca_layers][: self.frozen_stages]
        return [*parts, self.norm] if self.frozen_stages == self.num_layers else parts

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the output layers.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            For each output what ``out_type`` says.
        """
        tokens_nlc, grid = self.patch_embed(x)
        if self.pos_embed is not None:
            tokens_nlc = tokens_nlc + self.pos_embed(grid)
        tokens_nlc = self.pos_drop(tokens_nlc)
        outs = []
        for i, layer in enumerate(self.xca_layers):
            tokens_nlc = layer(tokens_nlc, grid)
            if i in self.out_indices:
                outs.append(self._output(tokens_nlc, grid, num_extra_tokens=0))
        tokens_nlc = torch.cat((self.cls_token.expand(len(x), -1, -1), tokens_nlc), dim=1)
        for i, layer in enumerate(self.ca_layers, len(self.xca_layers)):
            tokens_nlc = layer(tokens_nlc)
            if i == self.num_layers - 1:
                tokens_nlc = self.norm(tokens_nlc)
            if i in self.out_indices:
                outs.append(self._output(tokens_nlc, grid, num_extra_tokens=1))
        return tuple(outs)

    def _output(self, tokens_nlc: Tensor, grid: tuple[int, int], num_extra_tokens: int) -> Tensor:
        if self.out_type == 'raw':
            return tokens_nlc
        if self.out_type == 'cls_token':
            return tokens_nlc[:, 0]
        patches_nlc = tokens_nlc[:, num_extra_tokens:]
        return patches_nlc.mean(dim=1) if self.out_type == 'avg_featmap' else to_map(patches_nlc, grid)
