"""Blocks and stages of the Swin transformer, version 2.

Shape suffixes: n samples, l tokens, c channels, h heads, m windows, y rows of the bias table, x columns of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.models.backbones.swin_block import EMPTY, LN
from intarsia.nn.attention import ShiftWindowMSA, attend_in_windows, relative_position_index, split_heads
from intarsia.nn.embed import PatchMerging
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair

MAX_LOGIT_SCALE = math.log(100.0)
LARGEST_COORDINATE = 8


class WindowMSAV2(BaseModule):
    """Self-attention within a window by cosines, with biases that a small network makes of relative positions.

    State keys: ``qkv``, ``q_bias``, ``v_bias``, ``proj``, ``cpb_mlp``, ``logit_scale``, and the tables
    ``relative_coords_table`` and ``relative_position_index``.

    Args:
        embed_dims: Channels C.
        window_size: Height and width of the window.
        num_heads: Number of heads.
        qkv_bias: Whether queries and values have a bias.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout after the output projection.
        cpb_mlp_hidden_dims: Channels inside the small network.
        pretrained_window_size: Height and width of the window that relative positions are measured by; 0 means
            ``window_size``.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        window_size: Pair,
        num_heads: int,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        cpb_mlp_hidden_dims: int = 512,
        pretrained_window_size: Pair = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_heads, self.attn_drop = num_heads, attn_drop
        window = as_pair(window_size)
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, cpb_mlp_hidden_dims),
            nn.ReLU(inplace=True),
            nn.Linear(cpb_mlp_hidden_dims, num_heads, bias=False),
        )
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), 10.0).log())
        reference = as_pair(pretrained_window_size)
        table = relative_coordinates(window, reference if reference[0] > 0 else window)
        self.register_buffer('relative_coords_table', table)
        self.register_buffer('relative_position_index', relative_position_index(*window))
        self.relative_coords_table: Tensor
        self.relative_position_index: Tensor
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)

    def bias_hll(self) -> Tensor:
        """The bias of every pair of places in the window, 0 ... 16, ``(heads, L, L)``."""
        table_lh = self.cpb_mlp(self.relative_coords_table).flatten(0, 2)
        return 16 * torch.sigmoid(table_lh[self.relative_position_index].permute(2, 0, 1))

    def forward(self, windows_nlc: Tensor, mask_mll: Tensor | None = None) -> Tensor:
        """Attend within each window.

        Args:
            windows_nlc: The windows of all samples, those of one sample together, ``(N * M, L, C)``.
            mask_mll: Added to the scores of each window, ``(M, L, L)``.

        Returns:
            A tensor of the shape of ``windows_nlc``.
        """
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        query, key, value = split_heads(F.linear(windows_nlc, self.qkv.weight, bias), self.num_heads)
        query = F.normalize(query, dim=-1) * self.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()
        drop = self.attn_drop if self.training else 0.0
        qkv = (query, F.normalize(key, dim=-1), value)
        return self.proj_drop(self.proj(attend_in_windows(qkv, self.bias_hll(), mask_mll, drop, scale=1.0)))


def relative_coordinates(window: tuple[int, int], reference: tuple[int, int]) -> Tensor:
    """Relative positions in a window on a logarithmic scale, -1 ... 1 for ``reference``; ``(1, Y, X, 2)``."""
    axes = []
    for side, reference_side in zip(window, reference, strict=True):
        place = torch.arange(-(side - 1), side, dtype=torch.float32)
        axes.append(place / (reference_side - 1) * LARGEST_COORDINATE)
    table_1yx2 = torch.stack(torch.meshgrid(*axes, indexing='ij'), dim=-1).unsqueeze(0)
    return table_1yx2.sign() * torch.log2(table_1yx2.abs() + 1.0) / math.log2(LARGEST_COORDINATE)


class ShiftWindowMSAV2(ShiftWindowMSA):
    """:class:`~intarsia.nn.attention.ShiftWindowMSA` of :class:`WindowMSAV2`."""

    window_class: ClassVar[type[Any]] = WindowMSAV2


class SwinBlockV2(BaseModule):
    """Attention within windows, then a feed-forward network; the result of each is normalized and added.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        shift: Whether the windows are shifted by half their side.
        extra_norm: Normalize the sum as well.
        ffn_ratio: Channels inside the feed-forward network divided by C.
        drop_path: Probability that a sample goes without a branch.
        pad_small_map: Pad maps smaller than a window.
        attn_cfgs: Further arguments of the attention.
        ffn_cfgs: Further arguments of :class:`~intarsia.nn.ffn.FFN`.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
        pretrained_window_size: Side of the window that relative positions are measured by; 0 means ``window_size``.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int = 8,
        shift: bool = False,
        extra_norm: bool = False,
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        pad_small_map: bool = False,
        attn_cfgs: Mapping[str, Any] = EMPTY,
        ffn_cfgs: Mapping[str, Any] = EMPTY,
        norm_cfg: Mapping[str, Any] = LN,
        with_cp: bool = False,
        pretrained_window_size: int = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        dropout = {'type': 'DropPath', 'drop_prob': drop_path} if drop_path > 0 else None
        attention = {
            'window_size': window_size, 'shift_size': window_size // 2 if shift else 0, 'dropout_layer': dropout,
            'pad_small_map': pad_small_map, 'pretrained_window_size': pretrained_window_size, **attn_cfgs,
        }  # fmt: skip
        feed_forward = {
            'feedforward_channels': int(embed_dims * ffn_ratio), 'act_cfg': {'type': 'GELU'},
            'dropout_layer': dropout, 'add_identity': False, **ffn_cfgs,
        }  # fmt: skip
        self.attn = ShiftWindowMSAV2(embed_dims, num_heads, **attention)
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, **feed_forward)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.extra_norm = extra_norm
        if extra_norm:
            self.norm3 = build_norm_layer(norm_cfg, embed_dims)[1]

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        if self.with_cp and tokens_nlc.requires_grad:
            return checkpoint(self._sum, tokens_nlc, hw_shape, use_reentrant=False)
        return self._sum(tokens_nlc, hw_shape)

    def _sum(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        tokens_nlc = tokens_nlc + self.norm1(self.attn(tokens_nlc, hw_shape))
        tokens_nlc = tokens_nlc + self.norm2(self.ffn(tokens_nlc))
        return self.norm3(tokens_nlc) if self.extra_norm else tokens_nlc


class SwinBlockV2Sequence(BaseModule):
    """A stage: the downsampling before it, and blocks with and without shift in turn.

    Args:
        embed_dims: Channels before the stage.
        depth: Number of blocks.
        num_heads: Number of heads.
        window_size: Side of a window.
        downsample: Whether a downsampling comes first.
        downsample_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchMerging`; ``use_post_norm`` is the newer
            word for ``is_post_norm``.
        drop_paths: Drop probability of all blocks, or one for each.
        block_cfgs: Further arguments of the blocks: one dict, or one for each.
        with_cp: Compute activations again in the backward pass, to save memory.
        pad_small_map: Pad maps smaller than a window.
        extra_norm_every_n_blocks: Every so many blocks the sum is normalized as well; 0 means never.
        pretrained_window_size: Side of the window that relative positions are measured by; 0 means ``window_size``.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        depth: int,
        num_heads: int,
        window_size: int = 8,
        downsample: bool = False,
        downsample_cfg: Mapping[str, Any] = EMPTY,
        drop_paths: float | Sequence[float] = 0.0,
        block_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        with_cp: bool = False,
        pad_small_map: bool = False,
        extra_norm_every_n_blocks: int = 0,
        pretrained_window_size: int = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        rates = drop_paths if isinstance(drop_paths, Sequence) else [drop_paths] * depth
        own = [block_cfgs] * depth if isinstance(block_cfgs, Mapping) else block_cfgs
        merging = {'is_post_norm': True, **downsample_cfg}
        merging['is_post_norm'] = merging.pop('use_post_norm', merging['is_post_norm'])
        widened = {'in_channels': embed_dims, 'out_channels': 2 * embed_dims, **merging}
        self.downsample = PatchMerging(**widened) if downsample else None
        self.out_channels = embed_dims if self.downsample is None else self.downsample.out_channels
        self.stride = 1 if self.downsample is None else self.downsample.stride[0]
        shared = {
            'window_size': window_size, 'with_cp': with_cp, 'pad_small_map': pad_small_map,
            'pretrained_window_size': pretrained_window_size,
        }  # fmt: skip
        every = extra_norm_every_n_blocks
        self.blocks = ModuleList()
        for i in range(depth):
            changing = {'shift': i % 2 == 1, 'drop_path': rates[i], 'extra_norm': bool(every) and (i + 1) % every == 0}
            self.blocks.append(SwinBlockV2(self.out_channels, num_heads, **{**shared, **changing, **own[i]}))

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Tokens ``(N, H * W, embed_dims)`` of a map (H, W) to those of the stage and the size of their map."""
        if self.downsample is not None:
            tokens_nlc, hw_shape = self.downsample(tokens_nlc, hw_shape)
        for block in self.blocks:
            tokens_nlc = block(tokens_nlc, hw_shape)
        return tokens_nlc, hw_shape
