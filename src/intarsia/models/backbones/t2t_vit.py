"""Tokens-to-token vision transformer.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.models.backbones.mit import to_map
from intarsia.models.backbones.vision_transformer import EMPTY, OUT_TYPES
from intarsia.nn.attention import MultiheadAttention
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import fit_pos_embed, resize_pos_embed
from intarsia.nn.ffn import FFN
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import as_pair

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class T2TTransformerLayer(BaseModule):
    """Self-attention, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        embed_dims: Channels C of the result.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        input_dims: Channels of the tokens if they are others: then values are added to the attention, not the tokens.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Probability that a sample goes without a branch.
        num_fcs: Number of linear layers of the feed-forward network.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; ``(input_dims // num_heads) ** -0.5`` if not given.
        act_cfg: Config of the activation.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        input_dims: int | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        num_fcs: int = 2,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        self.v_shortcut = input_dims is not None
        dims = input_dims or embed_dims
        drop_path = {'type': 'DropPath', 'drop_prob': drop_path_rate} if drop_path_rate > 0 else None
        self.ln1 = build_norm_layer(norm_cfg, dims)[1]
        self.attn = MultiheadAttention(
            embed_dims, num_heads, dims, attn_drop_rate, drop_rate, drop_path, qkv_bias,
            qk_scale or (dims // num_heads) ** -0.5, v_shortcut=self.v_shortcut,
        )  # fmt: skip
        self.ln2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, feedforward_channels, num_fcs, act_cfg, drop_rate, drop_path)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, input_dims)`` to ``(N, L, C)``."""
        attended_nlc = self.attn(self.ln1(tokens_nlc))
        tokens_nlc = attended_nlc if self.v_shortcut else tokens_nlc + attended_nlc
        return self.ffn(self.ln2(tokens_nlc), identity=tokens_nlc)


class T2TModule(BaseModule):
    """Overlapping neighbourhoods become tokens, three times, with a layer after each of the first two.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        token_dims: Channels of the tokens in between.
        use_performer: Attention of linear cost; there is none.

    Raises:
        NotImplementedError: ``use_performer`` is set.
    """

    def __init__(
        self, in_channels: int = 3, embed_dims: int = 384, token_dims: int = 64, use_performer: bool = False
    ) -> None:
        super().__init__()
        if use_performer:
            raise NotImplementedError('T2T_ViT has no layers of the Performer: leave use_performer=False')
        self.soft_split0 = nn.Unfold(7, stride=4, padding=2)
        self.soft_split1 = nn.Unfold(3, stride=2, padding=1)
        self.soft_split2 = nn.Unfold(3, stride=2, padding=1)
        self.attention1 = T2TTransformerLayer(token_dims, 1, token_dims, input_dims=in_channels * 7 * 7)
        self.attention2 = T2TTransformerLayer(token_dims, 1, token_dims, input_dims=token_dims * 3 * 3)
        self.project = nn.Linear(token_dims * 3 * 3, embed_dims)

    def forward(self, x_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """``(N, in_channels, H, W)`` to tokens ``(N, L, C)`` and their (rows, columns)."""
        steps = ((self.soft_split0, self.attention1), (self.soft_split1, self.attention2))
        for split, attention in steps:
            grid = _grid(split, x_nchw)
            x_nchw = to_map(attention(split(x_nchw).transpose(1, 2)), grid)
        grid = _grid(self.soft_split2, x_nchw)
        return self.project(self.soft_split2(x_nchw).transpose(1, 2)), grid


def _grid(split: nn.Unfold, x_nchw: Tensor) -> tuple[int, int]:
    """Rows and columns of the neighbourhoods of a map."""
    padding, kernel, stride = (as_pair(value)[0] for value in (split.padding, split.kernel_size, split.stride))
    rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in x_nchw.shape[2:])
    return rows, columns


def sinusoid_encoding(num_positions: int, embed_dims: int) -> Tensor:
    """Sines and cosines of positions in turn, float32 ``(1, num_positions, embed_dims)``."""
    channel = torch.arange(embed_dims, dtype=torch.float64)
    rates = torch.pow(10000, -(channel - channel % 2) / embed_dims)
    angle_lc = torch.arange(num_positions, dtype=torch.float64)[:, None] * rates
    table_lc = torch.where(channel % 2 == 0, angle_lc.sin(), angle_lc.cos())
    return table_lc.float().unsqueeze(0)


@BACKBONES.register_module()
class T2T_ViT(Backbone):  # noqa: N801 - its name in config files
    """Vision transformer whose tokens are made of overlapping neighbourhoods, step by step.

    "Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet" (Yuan et al., 2021, arXiv:2101.11986).

    State keys: ``tokens_to_token``, ``cls_token``, ``pos_embed``, ``encoder``, ``norm``.

    Args:
        img_size: Usual side of the image in pixels.
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        num_layers: Number of layers.
        out_indices: Layers to output, from 0; negative ones count from the end.
        drop_rate: Dropout of the tokens.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        norm_cfg: Config of the normalizations.
        final_norm: Normalize the tokens after the last layer.
        with_cls_token: Whether the layers see a class token.
        output_cls_token: Without ``out_type``, an output is ``[featmap, class token]``, or if False the map alone.
        out_type: What an output is: ``'cls_token'`` and ``'avg_featmap'`` (mean of the patches) ``(N, C)``,
            ``'featmap'`` ``(N, C, H, W)``, ``'raw'`` all tokens ``(N, L, C)``. None: as ``output_cls_token`` says.
        interpolate_mode: How position embeddings are interpolated.
        t2t_cfg: Further arguments of :class:`T2TModule`.
        layer_cfgs: Further arguments of the layers: one dict, or one for each.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The type of output is unknown, or a class token is to be output without one.
    """

    def __init__(
        self,
        img_size: int = 224,
        in_channels: int = 3,
        embed_dims: int = 384,
        num_layers: int = 14,
        out_indices: int | Sequence[int] = -1,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
        final_norm: bool = True,
        with_cls_token: bool = True,
        output_cls_token: bool = True,
        out_type: Literal['raw', 'cls_token', 'featmap', 'avg_featmap'] | None = None,
        interpolate_mode: str = 'bicubic',
        t2t_cfg: Mapping[str, Any] = EMPTY,
        layer_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self._set_outputs(out_type, with_cls_token, output_cls_token)
        self.out_indices = normalize_indices(out_indices, num_layers, 'T2T_ViT')
        self.interpolate_mode = interpolate_mode
        self.tokens_to_token = T2TModule(in_channels, embed_dims, **t2t_cfg)
        self.patch_resolution = (img_size // 16, img_size // 16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims)) if self.num_extra_tokens else None
        num_patches = self.patch_resolution[0] * self.patch_resolution[1]
        self.register_buffer('pos_embed', sinusoid_encoding(num_patches + self.num_extra_tokens, embed_dims))
        self.pos_embed: Tensor
        self.register_load_state_dict_pre_hook(_fit_loaded_pos_embed)
        self.drop_after_pos = nn.Dropout(drop_rate)
        rates = decay_rule(drop_path_rate, num_layers)
        own = [layer_cfgs] * num_layers if isinstance(layer_cfgs, Mapping) else layer_cfgs
        defaults: dict[str, Any] = {
            'embed_dims': embed_dims, 'num_heads': 6, 'feedforward_channels': 3 * embed_dims, 'norm_cfg': norm_cfg
        }  # fmt: skip
        self.encoder = ModuleList(
            T2TTransformerLayer(**{**defaults, 'drop_path_rate': rate, **cfg})
            for rate, cfg in zip(rates, own, strict=True)
        )
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1] if final_norm else nn.Identity()
        self.out_channels = (embed_dims,) * len(self.out_indices)
        self.strides = (16 if self.out_type in ('pair', 'featmap') else 0,) * len(self.out_indices)

    def _set_outputs(self, out_type: str | None, with_cls_token: bool, output_cls_token: bool) -> None:
        if out_type not in (None, *OUT_TYPES):
            raise ValueError(f'T2T_ViT: out_type must be one of {", ".join(OUT_TYPES)}, not {out_type!r}')
        # Without out_type a class token that the layers do not see has a place in checkpoints nevertheless.
        self.num_extra_tokens = 1 if out_type is None else int(with_cls_token)
        self.out_type = out_type or ('pair' if output_cls_token else 'featmap')
        self.with_cls_token = with_cls_token
        if not with_cls_token and self.out_type in ('pair', 'cls_token'):
            raise ValueError('T2T_ViT: with_cls_token=False, so there is no class token to output')

    def init_own_weights(self) -> None:
        """Truncated normal class token."""
        if self.cls_token is not None:
            trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        """Features of the output layers.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            For each output what ``out_type`` or ``output_cls_token`` says.
        """
        tokens_nlc, grid = self.tokens_to_token(x)
        if self.cls_token is not None:
            tokens_nlc = torch.cat((self.cls_token.expand(len(x), -1, -1), tokens_nlc), dim=1)
        tokens_nlc = tokens_nlc + resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, self.interpolate_mode, self.num_extra_tokens
        )
        tokens_nlc = self.drop_after_pos(tokens_nlc)
        if self.num_extra_tokens and not self.with_cls_token:
            tokens_nlc = tokens_nlc[:, 1:]
        outs = []
        for i, layer in enumerate(self.encoder):
            tokens_nlc = layer(tokens_nlc)
            if i == len(self.encoder) - 1:
                tokens_nlc = self.norm(tokens_nlc)
            if i in self.out_indices:
                outs.append(self._output(tokens_nlc, grid))
        return tuple(outs)

    def _output(self, tokens_nlc: Tensor, grid: tuple[int, int]) -> Any:
        if self.out_type == 'raw':
            return tokens_nlc
        if self.out_type == 'cls_token':
            return tokens_nlc[:, 0]
        patches_nlc = tokens_nlc[:, 1:] if self.with_cls_token else tokens_nlc
        if self.out_type == 'avg_featmap':
            return patches_nlc.mean(dim=1)
        map_nchw = to_map(patches_nlc, grid)
        return [map_nchw, tokens_nlc[:, 0]] if self.out_type == 'pair' else map_nchw


def _fit_loaded_pos_embed(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: interpolate position embeddings that were trained with another size of image."""
    assert isinstance(module, T2T_ViT)
    key = f'{prefix}pos_embed'
    if key in state:
        grid = module.patch_resolution
        state[key] = fit_pos_embed(state[key], grid, module.num_extra_tokens, module.interpolate_mode)
