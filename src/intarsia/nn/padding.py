"""Padding layers by config, and padding that fits a kernel.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import PADDING_LAYERS
from intarsia.nn.pair import Pair, as_pair

PADDING_LAYERS.register_module(name='zero', module=nn.ZeroPad2d)
PADDING_LAYERS.register_module(name='reflect', module=nn.ReflectionPad2d)
PADDING_LAYERS.register_module(name='replicate', module=nn.ReplicationPad2d)


def build_padding_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Build a padding layer; further arguments are those of the layer.

    Raises:
        RegistryError: ``type`` is not in PADDING_LAYERS.
    """
    options = dict(cfg)
    return PADDING_LAYERS.get(options.pop('type'))(*args, **kwargs, **options)


class AdaptivePadding(nn.Module):
    """Pad a map with zeros so that a strided kernel covers all of it.

    Args:
        kernel_size: Size of the kernel.
        stride: Its stride.
        dilation: Its dilation.
        padding: ``'corner'`` pads below and to the right, ``'same'`` on all sides alike.
    """

    def __init__(
        self,
        kernel_size: Pair = 1,
        stride: Pair = 1,
        dilation: Pair = 1,
        padding: Literal['same', 'corner'] = 'corner',
    ) -> None:
        super().__init__()
        if padding not in ('same', 'corner'):
            raise ValueError(f"padding must be 'same' or 'corner', not {padding!r}")
        self.padding = padding
        self.kernel_size, self.stride, self.dilation = as_pair(kernel_size), as_pair(stride), as_pair(dilation)

    def get_pad_shape(self, input_shape: tuple[int, int]) -> tuple[int, int]:
        """Zeros to add to the height and to the width of a map of this size."""
        pads = []
        for size, kernel, stride, dilation in zip(
            input_shape, self.kernel_size, self.stride, self.dilation, strict=True
        ):
            steps = -(-size // stride) - 1
            pads.append(max(steps * stride + (kernel - 1) * dilation + 1 - size, 0))
        return pads[0], pads[1]

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, H + pad, W + pad)``."""
        pad_h, pad_w = self.get_pad_shape((x_nchw.shape[-2], x_nchw.shape[-1]))
        if not (pad_h or pad_w):
            return x_nchw
        top, left = (pad_h // 2, pad_w // 2) if self.padding == 'same' else (0, 0)
        return F.pad(x_nchw, (left, pad_w - left, top, pad_h - top))
