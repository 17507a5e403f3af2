"""Convolution whose padding follows from the size of the map.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core.registries import CONV_LAYERS
from intarsia.nn.padding import AdaptivePadding
from intarsia.nn.pair import Pair


@CONV_LAYERS.register_module()
class Conv2dAdaptivePadding(nn.Conv2d):
    """Convolution that pads so that its kernel covers all of the map, as TensorFlow's ``'SAME'`` does.

    With a stride of 2 the zeros may be one more below and to the right; a stride of 1 keeps the size.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the kernel.
        stride: Stride.
        padding: Of no account; the zeros follow from the map.
        dilation: Dilation.
        groups: Groups of channels.
        bias: Whether there is a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)  # type: ignore[arg-type]
        self._cover = AdaptivePadding(kernel_size, stride, dilation, padding='same')

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``, rounded up."""
        return super().forward(self._cover(x_nchw))
