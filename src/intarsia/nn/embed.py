"""Images to tokens, tokens to fewer tokens, and position embeddings.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.conv import build_conv_layer
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.padding import AdaptivePadding
from intarsia.nn.pair import Pair, as_pair

LAYER_NORM: Mapping[str, Any] = {'type': 'LN'}
CoveringPadding = Pair | Literal['same', 'corner']
"""Zeros on each side, or the word for as many as the kernel needs to cover the map."""


class PatchEmbed(BaseModule):
    """A strided convolution that makes one token of every patch.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        conv_type: Type of the convolution.
        kernel_size: Size of a patch.
        stride: Distance between patches; ``kernel_size`` if None.
        padding: Zeros on each side, or ``'corner'`` or ``'same'`` to cover images of any size.
        dilation: Dilation of the convolution.
        bias: Whether it has a bias.
        norm_cfg: Config of a normalization of the tokens; None means none.
        input_size: Usual size of the image; fixes ``init_out_size``.
        init_cfg: How weights are initialized.

    Attributes:
        init_out_size: Rows and columns of tokens for an image of ``input_size``, or None.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = 'Conv2d',
        kernel_size: Pair = 16,
        stride: Pair | None = 16,
        padding: CoveringPadding = 'corner',
        dilation: Pair = 1,
        bias: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
        input_size: Pair | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        kernel, stride = as_pair(kernel_size), as_pair(kernel_size if stride is None else stride)
        self.adaptive_padding, pads = _covering(padding, kernel, stride, as_pair(dilation))
        self.projection = build_conv_layer(
            {'type': conv_type}, in_channels, embed_dims, kernel, stride, pads, as_pair(dilation), bias=bias
        )
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.init_input_size = None if input_size is None else as_pair(input_size)
        self.init_out_size = None if self.init_input_size is None else self.out_size(self.init_input_size)

    def out_size(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of tokens for an image of this size."""
        return _slid(self.projection, _padded(self.adaptive_padding, input_size))

    def forward(self, image_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """``(N, in_channels, H, W)`` to tokens ``(N, L, C)`` and their (rows, columns)."""
        if self.adaptive_padding is not None:
            image_nchw = self.adaptive_padding(image_nchw)
        x_nchw = self.projection(image_nchw)
        tokens_nlc = x_nchw.flatten(2).transpose(1, 2)
        if self.norm is not None:
            tokens_nlc = self.norm(tokens_nlc)
        return tokens_nlc, (x_nchw.shape[2], x_nchw.shape[3])


class PatchMerging(BaseModule):
    """One token from every neighbourhood of tokens: the channels of all, normalized, then a linear layer.

    The channels are ordered channel first, place second, as ``nn.Unfold`` gives them.

    Args:
        in_channels: Channels of the tokens.
        out_channels: Channels of the merged tokens.
        kernel_size: Size of a neighbourhood.
        stride: Distance between them; ``kernel_size`` if None.
        padding: As in :class:`PatchEmbed`.
        dilation: Distance between the places of one neighbourhood.
        bias: Whether the linear layer has a bias.
        norm_cfg: Config of the normalization; None means none.
        is_post_norm: Normalize what the linear layer gives, not what it is given.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair = 2,
        stride: Pair | None = None,
        padding: CoveringPadding = 'corner',
        dilation: Pair = 1,
        bias: bool = False,
        norm_cfg: Mapping[str, Any] | None = LAYER_NORM,
        is_post_norm: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.is_post_norm = is_post_norm
        kernel, steps = as_pair(kernel_size), as_pair(kernel_size if stride is None else stride)
        self.adaptive_padding, pads = _covering(padding, kernel, steps, as_pair(dilation))
        self.stride = steps
        self.sampler = nn.Unfold(kernel, as_pair(dilation), pads, steps)
        merged = kernel[0] * kernel[1] * in_channels
        normed = out_channels if is_post_norm else merged
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, normed)[1]
        self.reduction = nn.Linear(merged, out_channels, bias=bias)

    def forward(self, tokens_nlc: Tensor, input_size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Tokens ``(N, H * W, in_channels)`` of a map (H, W) to ``(N, L, out_channels)`` and their (rows, columns)."""
        x_nchw = tokens_nlc.transpose(1, 2).unflatten(2, input_size)
        if self.adaptive_padding is not None:
            x_nchw = self.adaptive_padding(x_nchw)
        out_size = _slid(self.sampler, (x_nchw.shape[2], x_nchw.shape[3]))
        merged_nlc = self.sampler(x_nchw).transpose(1, 2)
        if self.norm is not None and not self.is_post_norm:
            merged_nlc = self.norm(merged_nlc)
        merged_nlc = self.reduction(merged_nlc)
        if self.norm is not None and self.is_post_norm:
            merged_nlc = self.norm(merged_nlc)
        return merged_nlc, out_size


def _covering(
    padding: CoveringPadding, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[AdaptivePadding | None, tuple[int, int]]:
    """A layer that pads as the word says and no further zeros, or no layer and the zeros."""
    if isinstance(padding, str):
        return AdaptivePadding(kernel, stride, dilation, padding), (0, 0)
    return None, as_pair(padding)


def _padded(padding: AdaptivePadding | None, size: tuple[int, int]) -> tuple[int, int]:
    pad_h, pad_w = (0, 0) if padding is None else padding.get_pad_shape(size)
    return size[0] + pad_h, size[1] + pad_w


def _slid(kernel: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that a sliding kernel (convolution or unfold) gives for a map of this size."""
    rows, columns = (
        (size[i] + 2 * kernel.padding[i] - kernel.dilation[i] * (kernel.kernel_size[i] - 1) - 1) // kernel.stride[i] + 1
        for i in range(2)
    )
    return rows, columns


# ---------------------------------------------------------------------- position embeddings


def resize_pos_embed(
    pos_embed_1lc: Tensor,
    src_shape: tuple[int, int],
    dst_shape: tuple[int, int],
    mode: str = 'bicubic',
    num_extra_tokens: int = 1,
) -> Tensor:
    """Interpolate the embeddings of a grid of patches to another grid.

    Args:
        pos_embed_1lc: ``(1, extra + H * W, C)``; the extra tokens come first and are kept.
        src_shape: (H, W) of the grid it was made for.
        dst_shape: (H, W) of the grid it is wanted for.
        mode: How ``F.interpolate`` does it.
        num_extra_tokens: How many tokens belong to no patch.

    Returns:
        ``(1, extra + H' * W', C)``.

    Raises:
        ValueError: The number of tokens does not belong to ``src_shape``.
    """
    if tuple(src_shape) == tuple(dst_shape):
        return pos_embed_1lc
    num_tokens = pos_embed_1lc.shape[1]
    if num_tokens != src_shape[0] * src_shape[1] + num_extra_tokens:
        raise ValueError(
            f'a position embedding of {num_tokens} tokens does not belong to a grid {src_shape[0]} x {src_shape[1]} '
            f'with {num_extra_tokens} extra tokens; is img_size right?'
        )
    extra_1lc, patches_1lc = pos_embed_1lc[:, :num_extra_tokens], pos_embed_1lc[:, num_extra_tokens:]
    grid_1chw = patches_1lc.transpose(1, 2).unflatten(2, tuple(src_shape))
    # Cubic interpolation exists in float32 only on some devices.
    resized_1chw = F.interpolate(grid_1chw.float(), size=tuple(dst_shape), mode=mode, align_corners=False)
    return torch.cat((extra_1lc, resized_1chw.flatten(2).transpose(1, 2).to(pos_embed_1lc.dtype)), dim=1)


def fit_pos_embed(
    loaded_1lc: Tensor, dst_shape: tuple[int, int], num_extra_tokens: int, mode: str = 'bicubic'
) -> Tensor:
    """The position embedding of a checkpoint that was trained on square images, for a grid ``dst_shape``.

    A class token in the checkpoint that the model has no place for is left out.

    Returns:
        ``(1, extra + H' * W', C)``, or ``loaded_1lc`` itself if it is of no square grid.
    """
    num_patches = loaded_1lc.shape[1] - num_extra_tokens
    if loaded_1lc.shape[1] == dst_shape[0] * dst_shape[1] + num_extra_tokens:
        return loaded_1lc
    if num_extra_tokens == 0 and num_patches == dst_shape[0] * dst_shape[1] + 1:
        return loaded_1lc[:, 1:]
    side = int(max(num_patches, 0) ** 0.5)
    if side * side != num_patches:
        return loaded_1lc
    return resize_pos_embed(loaded_1lc, (side, side), dst_shape, mode, num_extra_tokens)


def resize_relative_position_bias_table(table_lh: Tensor, side: int) -> Tensor:
    """Interpolate the bias table of one window size to another, bicubically.

    Args:
        table_lh: ``((2 * old - 1) ** 2, heads)`` for windows of ``old`` x ``old``.
        side: Side of the table wanted, ``2 * new - 1``.

    Returns:
        ``(side ** 2, heads)``.
    """
    old = int(len(table_lh) ** 0.5)
    grid_1hyx = table_lh.float().T.unflatten(1, (old, old)).unsqueeze(0)
    resized = F.interpolate(grid_1hyx, size=(side, side), mode='bicubic', align_corners=False)
    return resized[0].flatten(1).T.to(table_lh.dtype)
