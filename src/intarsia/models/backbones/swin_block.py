"""Blocks and stages of the Swin transformer.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from intarsia.nn.attention import ShiftWindowMSA
from intarsia.nn.embed import PatchMerging
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
EMPTY: Mapping[str, Any] = {}


class SwinBlock(BaseModule):
    """Attention within windows, then a feed-forward network, each on normalized tokens and added to them.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        shift: Whether the windows are shifted by half their side.
        ffn_ratio: Channels inside the feed-forward network divided by C.
        drop_path: Probability that a sample goes without a branch.
        pad_small_map: Pad maps smaller than a window.
        attn_cfgs: Further arguments of :class:`~intarsia.nn.attention.ShiftWindowMSA`.
        ffn_cfgs: Further arguments of :class:`~intarsia.nn.ffn.FFN`.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int = 7,
        shift: bool = False,
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        pad_small_map: bool = False,
        attn_cfgs: Mapping[str, Any] = EMPTY,
        ffn_cfgs: Mapping[str, Any] = EMPTY,
        norm_cfg: Mapping[str, Any] = LN,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        dropout = {'type': 'DropPath', 'drop_prob': drop_path} if drop_path > 0 else None
        attention = {
            'window_size': window_size, 'shift_size': window_size // 2 if shift else 0, 'dropout_layer': dropout,
            'pad_small_map': pad_small_map, **attn_cfgs,
        }  # fmt: skip
        feed_forward = {
            'feedforward_channels': int(embed_dims * ffn_ratio), 'act_cfg': {'type': 'GELU'},
            'dropout_layer': dropout, **ffn_cfgs,
        }  # fmt: skip
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = ShiftWindowMSA(embed_dims, num_heads, **attention)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, **feed_forward)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        if self.with_cp and tokens_nlc.requires_grad:
            return checkpoint(self._sum, tokens_nlc, hw_shape, use_reentrant=False)
        return self._sum(tokens_nlc, hw_shape)

    def _sum(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        tokens_nlc = tokens_nlc + self.attn(self.norm1(tokens_nlc), hw_shape)
        return self.ffn(self.norm2(tokens_nlc), identity=tokens_nlc)


class SwinBlockSequence(BaseModule):
    """A stage: blocks with and without shift in turn, and the downsampling after them.

    Args:
        embed_dims: Channels C.
        depth: Number of blocks.
        num_heads: Number of heads.
        window_size: Side of a window.
        downsample: Whether a downsampling follows.
        downsample_cfg: Further arguments of :class:`~intarsia.nn.embed.PatchMerging`.
        drop_paths: Drop probability of all blocks, or one for each.
        block_cfgs: Further arguments of the blocks: one dict, or one for each.
        with_cp: Compute activations again in the backward pass, to save memory.
        pad_small_map: Pad maps smaller than a window.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        embed_dims: int,
        depth: int,
        num_heads: int,
        window_size: int = 7,
        downsample: bool = False,
        downsample_cfg: Mapping[str, Any] = EMPTY,
        drop_paths: float | Sequence[float] = 0.0,
        block_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        with_cp: bool = False,
        pad_small_map: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        rates = drop_paths if isinstance(drop_paths, Sequence) else [drop_paths] * depth
        own = [block_cfgs] * depth if isinstance(block_cfgs, Mapping) else block_cfgs
        shared = {'window_size': window_size, 'with_cp': with_cp, 'pad_small_map': pad_small_map}
        self.blocks = ModuleList(
            SwinBlock(embed_dims, num_heads, **{**shared, 'shift': i % 2 == 1, 'drop_path': rates[i], **own[i]})
            for i in range(depth)
        )
        merging = {'in_channels': embed_dims, 'out_channels': 2 * embed_dims, **downsample_cfg}
        self.downsample = PatchMerging(**merging) if downsample else None
        self.out_channels = embed_dims if self.downsample is None else self.downsample.out_channels
        self.downsample_stride = 1 if self.downsample is None else self.downsample.stride[0]

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W) through the blocks, without the downsampling."""
        for block in self.blocks:
            tokens_nlc = block(tokens_nlc, hw_shape)
        return tokens_nlc
