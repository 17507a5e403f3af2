"""EVA-02.

Shape suffixes: n samples, l tokens, c channels, h heads, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.vision_transformer import ARCH_KEYS, VisionTransformer
from intarsia.nn.attention import split_heads
from intarsia.nn.drop import path_or_identity
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
TABLES = ('freqs_cos', 'freqs_sin')


class RotaryEmbedding(BaseModule):
    """Rotate pairs of channels by angles that grow with row and column.

    "RoFormer: Enhanced Transformer with Rotary Position Embedding" (Su et al., 2021, arXiv:2104.09864). Angles are
    measured in shares of the grid, so that they do not depend on its size.

    State keys: ``freqs_cos``, ``freqs_sin``, tables for the usual grid.

    Args:
        embed_dims: Channels D of a head, a multiple of 4.
        grid: Usual rows and columns.
        theta: Ratio of the fastest and the slowest rotation.
    """

    def __init__(self, embed_dims: int, grid: tuple[int, int], theta: float = 10000.0) -> None:
        super().__init__()
        self.half_dim, self.grid, self.theta = embed_dims // 2, grid, theta
        cos_ld, sin_ld = self.tables(grid)
        self.register_buffer('freqs_cos', cos_ld)
        self.register_buffer('freqs_sin', sin_ld)
        self.freqs_cos: Tensor
        self.freqs_sin: Tensor

    def tables(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the angles at the places of a grid, ``(L, D)`` each."""
        rate_c = self.theta ** -(torch.arange(0, self.half_dim, 2).float() / self.half_dim)
        rows, columns = (torch.arange(size) / size * self.half_dim for size in grid)
        row_rd, column_rd = (torch.outer(place, rate_c).repeat(1, 2) for place in (rows, columns))
        shape = (*grid, self.half_dim)
        angle_ld = torch.cat((row_rd[:, None].expand(shape), column_rd[None].expand(shape)), dim=-1).flatten(0, 1)
        return angle_ld.cos(), angle_ld.sin()

    def forward(self, x_nhld: Tensor, grid: tuple[int, int]) -> Tensor:
        """Queries or keys ``(N, heads, L, D)`` of a grid of L places, in and out."""
        cos_ld, sin_ld = self.freqs_cos, self.freqs_sin
        if grid != self.grid:
            cos_ld, sin_ld = (table.to(x_nhld.device) for table in self.tables(grid))
        first, second = x_nhld.unflatten(-1, (-1, 2)).unbind(-1)
        turned_nhld = torch.stack((-second, first), dim=-1).flatten(-2)
        return (x_nhld * cos_ld + turned_nhld * sin_ld).to(x_nhld.dtype)


class AttentionWithRoPE(BaseModule):
    """Self-attention whose queries and keys are rotated by their positions; a class token is not.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; ``head_dims ** -0.5`` if not given.
        proj_bias: Whether the output projection has a bias.
        num_extra_tokens: How many first tokens are not rotated.
    """

    rope: nn.Module | None

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        proj_bias: bool = True,
        num_extra_tokens: int = 1,
    ) -> None:
        super().__init__()
        self.num_heads, self.attn_drop, self.qk_scale = num_heads, attn_drop, qk_scale
        self.num_extra_tokens, self.rope = num_extra_tokens, None
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims, bias=proj_bias)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, tokens_nlc: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens ``(N, extra + rows * columns, C)``, in and out."""
        query, key, value = split_heads(self.qkv(tokens_nlc), self.num_heads)
        query, key = self._rotated(query, grid), self._rotated(key, grid)
        drop = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop, scale=self.qk_scale)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))

    def _rotated(self, x_nhld: Tensor, grid: tuple[int, int]) -> Tensor:
        if self.rope is None:
            return x_nhld
        extra = self.num_extra_tokens
        return torch.cat((x_nhld[:, :, :extra], self.rope(x_nhld[:, :, extra:], grid)), dim=2)


class NormedSwiGLU(BaseModule):
    """Feed-forward network with a gate, and a normalization of what is inside.

    Args:
        embed_dims: Channels C.
        feedforward_channels: Channels inside.
        drop_rate: Dropout of the result.
        norm_cfg: Config of the normalization; None means none.
    """

    def __init__(
        self, embed_dims: int, feedforward_channels: int, drop_rate: float, norm_cfg: Mapping[str, Any] | None
    ) -> None:
        super().__init__()
        self.w12 = nn.Linear(embed_dims, 2 * feedforward_channels)
        self.norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, feedforward_channels)[1]
        self.w3 = nn.Linear(feedforward_channels, embed_dims)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        gate_nlc, value_nlc = self.w12(tokens_nlc).chunk(2, dim=-1)
        return self.drop(self.w3(self.norm(F.silu(gate_nlc) * value_nlc)))


class EVA02EncoderLayer(BaseModule):
    """Self-attention with rotated queries and keys, then a gated network, each on normalized tokens and added.

    State keys: ``norm1``, ``attn``, ``norm2``, ``mlp``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the gated network.
        sub_ln: Normalize inside the gated network.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection of the attention.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; ``head_dims ** -0.5`` if not given.
        proj_bias: Whether the output projection has a bias.
        with_cls_token: Whether the first token is a class token.
        drop_rate: Dropout after the gated network.
        drop_path_rate: Probability that a sample goes without a branch.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        sub_ln: bool = False,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        proj_bias: bool = True,
        with_cls_token: bool = True,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = AttentionWithRoPE(
            embed_dims, num_heads, attn_drop, proj_drop, qkv_bias, qk_scale, proj_bias, int(with_cls_token)
        )
        self.drop_path = path_or_identity(drop_path_rate)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.mlp = NormedSwiGLU(embed_dims, feedforward_channels, drop_rate, norm_cfg if sub_ln else None)

    def forward(self, tokens_nlc: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens ``(N, extra + rows * columns, C)``, in and out."""
        tokens_nlc = tokens_nlc + self.drop_path(self.attn(self.norm1(tokens_nlc), grid))
        return tokens_nlc + self.drop_path(self.mlp(self.norm2(tokens_nlc)))


def _arch(embed_dims: int, num_layers: int, num_heads: int) -> dict[str, int]:
    return dict(zip(ARCH_KEYS, (embed_dims, num_layers, num_heads, int(embed_dims * 4 * 2 / 3)), strict=True))


@BACKBONES.register_module()
class ViTEVA02(VisionTransformer):
    """Vision transformer with rotary positions and gated networks.

    "EVA-02: A Visual Representation for Neon Genesis" (Fang et al., 2023, arXiv:2303.11331).

    Args:
        arch: Name of an architecture, or its numbers.
        sub_ln: Normalize inside the gated networks.
        drop_rate: Dropout of tokens and after the gated networks.
        attn_drop_rate: Dropout of the attention weights.
        proj_drop_rate: Dropout after the output projections of the attention.
        norm_cfg: Config of the normalizations.
        out_type: What an output is.
        with_cls_token: Whether the layers see a class token.
        layer_cfgs: Further arguments of the layers, :class:`EVA02EncoderLayer`.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.vision_transformer.VisionTransformer`.
    """

    arch_zoo: ClassVar[dict[str, dict[str, int]]] = {
        **dict.fromkeys(('t', 'ti', 'tiny'), _arch(192, 12, 3)),
        **dict.fromkeys(('s', 'small'), _arch(384, 12, 6)),
        **dict.fromkeys(('b', 'base'), _arch(768, 12, 12)),
        **dict.fromkeys(('l', 'large'), _arch(1024, 24, 16)),
    }
    layer_class: ClassVar[type[nn.Module]] = EVA02EncoderLayer
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            't': (192,), 'ti': (192,), 'tiny': (192,), 's': (384,), 'small': (384,), 'b': (768,), 'base': (768,),
            'l': (1024,), 'large': (1024,),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'tiny',
        *,
        sub_ln: bool = False,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
        out_type: Literal['raw', 'cls_token', 'featmap', 'avg_featmap'] | None = 'cls_token',
        with_cls_token: bool = True,
        layer_cfgs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        own = {
            'sub_ln': sub_ln, 'attn_drop': attn_drop_rate, 'proj_drop': proj_drop_rate,
            'with_cls_token': with_cls_token, **(layer_cfgs or {}),
        }  # fmt: skip
        super().__init__(
            arch, drop_rate=drop_rate, norm_cfg=norm_cfg, out_type=out_type, with_cls_token=with_cls_token,
            layer_cfgs=own, **kwargs,
        )  # fmt: skip
        layers: Any = self.layers
        self.rope = RotaryEmbedding(self.embed_dims // layers[0].attn.num_heads, self.patch_resolution)
        for layer in layers:
            layer.attn.rope = self.rope
        self.register_load_state_dict_pre_hook(_keep_own_tables)

    def _through(self, layer: nn.Module, tokens_nlc: Tensor, grid: tuple[int, int]) -> Tensor:
        return layer(tokens_nlc, grid)


def _keep_own_tables(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: tables of angles are those of this network's usual grid."""
    for name, table in module.named_buffers(remove_duplicate=False):
        if name.endswith(TABLES) and prefix + name in state:
            state[prefix + name] = table
