"""Clips to tokens.

Shape suffixes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.nn.conv import build_conv_layer
from intarsia.nn.norm import build_norm_layer

Triple = tuple[int, int, int]


def as_triple(value: int | Sequence[int]) -> Triple:
    """``7`` becomes ``(7, 7, 7)``; ``(t, h, w)`` stays.

    Raises:
        ValueError: It is neither.
    """
    values = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(values) != 3:
        raise ValueError(f'expected one number or (frames, height, width), not {value!r}')
    return values


class PatchEmbed3D(nn.Module):
    """A strided convolution that makes one token of every patch of some frames. State keys: ``projection``, ``norm``.

    Args:
        in_channels: Channels of the clip.
        embed_dims: Channels C of the tokens.
        conv_type: Type of the convolution.
        kernel_size: Size of a patch, ``(t, h, w)``.
        stride: Distance between patches.
        padding: Zeros on each side.
        dilation: Dilation of the convolution.
        bias: Whether it has a bias.
        norm_cfg: Config of a normalization of the tokens; None means none.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        conv_type: str = 'Conv3d',
        kernel_size: int | Sequence[int] = (2, 4, 4),
        stride: int | Sequence[int] = (2, 4, 4),
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        bias: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        shape = [as_triple(each) for each in (kernel_size, stride, padding, dilation)]
        self.projection = build_conv_layer({'type': conv_type}, in_channels, embed_dims, *shape, bias=bias)
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]

    def out_size(self, size: Triple) -> Triple:
        """Frames, rows and columns of tokens of a clip of this size."""
        conv: Any = self.projection
        sides = zip(size, conv.padding, conv.dilation, conv.kernel_size, conv.stride, strict=True)
        return as_triple(
            [(whole + 2 * pad - gap * (kernel - 1) - 1) // step + 1 for whole, pad, gap, kernel, step in sides]
        )

    def forward(self, clip_ncthw: Tensor) -> Tensor:
        """Tokens ``(N, T, H, W, C)``."""
        tokens_nthwc = self.projection(clip_ncthw).permute(0, 2, 3, 4, 1)
        return tokens_nthwc if self.norm is None else self.norm(tokens_nthwc)
