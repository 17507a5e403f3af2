"""Blocks and stages of DaViT.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.models.backbones.mit import to_map, to_tokens
from intarsia.models.backbones.swin_block import EMPTY, LN
from intarsia.models.backbones.twins_layer import ConditionalPositionEncoding
from intarsia.nn.attention import MultiheadAttention, ShiftWindowMSA
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer


class WindowAttention(MultiheadAttention):
    """Self-attention within a window, without position biases.

    Args:
        embed_dims: Channels C.
        window_size: Side of the window; it has no part in the result.
        num_heads: Number of heads.
        **kwargs: Further arguments of :class:`~intarsia.nn.attention.MultiheadAttention`.
    """

    def __init__(self, embed_dims: int, window_size: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(embed_dims, num_heads, **kwargs)
        self.window_size = window_size

    def forward(self, windows_nlc: Tensor, mask_mll: Tensor | None = None) -> Tensor:
        """``(N * M, L, C)`` in and out.

        Raises:
            ValueError: A mask is given; these windows are never shifted.
        """
        if mask_mll is not None:
            raise ValueError('WindowAttention takes no mask: its windows are not shifted')
        return super().forward(windows_nlc)


class UnshiftedWindowMSA(ShiftWindowMSA):
    """:class:`~intarsia.nn.attention.ShiftWindowMSA` of :class:`WindowAttention`."""

    window_class: ClassVar[type[Any]] = WindowAttention


class ChannelAttention(BaseModule):
    """Attention between channels: every channel is a mix of channels, the same at all places.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads; channels of different heads do not meet.
        qkv_bias: Whether queries, keys and values have a bias.
    """

    def __init__(self, embed_dims: int, num_heads: int = 8, qkv_bias: bool = False) -> None:
        super().__init__()
        self.num_heads, self.scale = num_heads, (embed_dims // num_heads) ** -0.5
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        qkv = self.qkv(tokens_nlc).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 4, 1)
        query, key, value = qkv.unbind(0)
        out = F.scaled_dot_product_attention(key, value, query, scale=self.scale)
        return self.proj(out.permute(0, 3, 1, 2).flatten(2))


class DaViTHalfBlock(BaseModule):
    """Positions, attention, positions, a feed-forward network; each is added to the tokens.

    State keys: ``cpe1``, ``norm1``, ``attn``, ``cpe2``, ``norm2``, ``ffn``.

    Args:
        attn: The attention.
        embed_dims: Channels C.
        ffn_ratio: Channels inside the feed-forward network divided by C.
        drop_path: Probability that a sample goes without the feed-forward network.
        ffn_cfgs: Further arguments of :class:`~intarsia.nn.ffn.FFN`.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        attn: nn.Module,
        embed_dims: int,
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        ffn_cfgs: Mapping[str, Any] = EMPTY,
        norm_cfg: Mapping[str, Any] = LN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        feed_forward = {
            'feedforward_channels': int(embed_dims * ffn_ratio), 'act_cfg': {'type': 'GELU'},
            'dropout_layer': drop_path_cfg(drop_path), **ffn_cfgs,
        }  # fmt: skip
        self.cpe1 = ConditionalPositionEncoding(embed_dims)
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = attn
        self.cpe2 = ConditionalPositionEncoding(embed_dims)
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, **feed_forward)

    def attended(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """The attention of tokens ``(N, H * W, C)`` of a map (H, W)."""
        return self.attn(tokens_nlc)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        if self.with_cp and tokens_nlc.requires_grad:
            return checkpoint(self._sum, tokens_nlc, hw_shape, use_reentrant=False)
        return self._sum(tokens_nlc, hw_shape)

    def _sum(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        tokens_nlc = self.cpe1(tokens_nlc, hw_shape)
        tokens_nlc = tokens_nlc + self.attended(self.norm1(tokens_nlc), hw_shape)
        tokens_nlc = self.cpe2(tokens_nlc, hw_shape)
        return self.ffn(self.norm2(tokens_nlc), identity=tokens_nlc)


class SpatialBlock(DaViTHalfBlock):
    """A half block whose attention needs to know the map."""

    def attended(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """The attention of tokens ``(N, H * W, C)`` of a map (H, W)."""
        return self.attn(tokens_nlc, hw_shape)


def drop_path_cfg(rate: float) -> Mapping[str, Any] | None:
    """Config of a drop path, or None where nothing can be dropped."""
    return {'type': 'DropPath', 'drop_prob': rate} if rate > 0 else None


class DaViTBlock(BaseModule):
    """Attention within windows, then attention between channels.

    State keys: ``spatial_block``, ``channel_block``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        window_size: Side of a window.
        ffn_ratio: Channels inside the feed-forward networks divided by C.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_path: Probability that a sample goes without a branch.
        pad_small_map: Pad maps smaller than a window.
        attn_cfgs: Further arguments of the attention within windows.
        ffn_cfgs: Further arguments of :class:`~intarsia.nn.ffn.FFN`.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations of the first half again in the backward pass, to save memory.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int = 7,
        ffn_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_path: float = 0.0,
        pad_small_map: bool = False,
        attn_cfgs: Mapping[str, Any] = EMPTY,
        ffn_cfgs: Mapping[str, Any] = EMPTY,
        norm_cfg: Mapping[str, Any] = LN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        attention = {
            'window_size': window_size, 'dropout_layer': drop_path_cfg(drop_path), 'qkv_bias': qkv_bias,
            'pad_small_map': pad_small_map, **attn_cfgs,
        }  # fmt: skip
        shared: dict[str, Any] = {
            'ffn_ratio': ffn_ratio, 'drop_path': drop_path, 'ffn_cfgs': ffn_cfgs, 'norm_cfg': norm_cfg
        }  # fmt: skip
        windows = UnshiftedWindowMSA(embed_dims, num_heads, **attention)
        self.spatial_block = SpatialBlock(windows, embed_dims, with_cp=with_cp, **shared)
        channels = ChannelAttention(embed_dims, num_heads, qkv_bias)
        self.channel_block = DaViTHalfBlock(channels, embed_dims, **shared)

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W), in and out."""
        return self.channel_block(self.spatial_block(tokens_nlc, hw_shape), hw_shape)


class DaViTDownSample(BaseModule):
    """Normalized tokens of a neighbourhood become one, by a strided convolution.

    Args:
        in_channels: Channels of the tokens.
        out_channels: Channels C of the tokens after.
        kernel_size: Side of a neighbourhood.
        stride: Distance between neighbourhoods.
        bias: Whether the convolution has a bias.
        norm_cfg: Config of the normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 2,
        stride: int = 2,
        bias: bool = True,
        norm_cfg: Mapping[str, Any] = LN,
    ) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride
        self.projection = nn.Conv2d(in_channels, out_channels, kernel_size, stride, bias=bias)
        self.norm = build_norm_layer(norm_cfg, in_channels)[1]

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Tokens ``(N, H * W, in_channels)`` of a map (H, W) to ``(N, L, C)`` and their (rows, columns)."""
        x_nchw = self.projection(to_map(self.norm(tokens_nlc), hw_shape))
        return to_tokens(x_nchw), (x_nchw.shape[2], x_nchw.shape[3])


class DaViTBlockSequence(BaseModule):
    """A stage: blocks, and the downsampling after them.

    Args:
        embed_dims: Channels C.
        depth: Number of blocks.
        num_heads: Number of heads.
        downsample: Whether a downsampling follows.
        downsample_cfg: Further arguments of :class:`DaViTDownSample`.
        drop_paths: Drop probability of all blocks, or one for each.
        block_cfgs: Further arguments of the blocks: one dict, or one for each.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of all blocks.
    """

    def __init__(
        self,
        embed_dims: int,
        depth: int,
        num_heads: int,
        downsample: bool = False,
        downsample_cfg: Mapping[str, Any] = EMPTY,
        drop_paths: float | Sequence[float] = 0.0,
        block_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        rates = drop_paths if isinstance(drop_paths, Sequence) else [drop_paths] * depth
        own = [block_cfgs] * depth if isinstance(block_cfgs, Mapping) else block_cfgs
        self.blocks = ModuleList(
            DaViTBlock(embed_dims, num_heads, **{**kwargs, 'drop_path': rates[i], **own[i]}) for i in range(depth)
        )
        merging = {'in_channels': embed_dims, 'out_channels': 2 * embed_dims, **downsample_cfg}
        self.downsample = DaViTDownSample(**merging) if downsample else None
        self.out_channels = embed_dims if self.downsample is None else self.downsample.out_channels
        self.downsample_stride = 1 if self.downsample is None else self.downsample.stride

    def forward(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """Tokens ``(N, H * W, C)`` of a map (H, W) through the blocks, without the downsampling."""
        for block in self.blocks:
            tokens_nlc = block(tokens_nlc, hw_shape)
        return tokens_nlc
