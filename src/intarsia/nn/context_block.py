"""The global context block: one summary of the map changes every place of it.

Shape suffixes: n samples, c channels, h height, w width, l places.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from intarsia.core.registries import PLUGIN_LAYERS
from intarsia.nn.init import constant_init, kaiming_init


@PLUGIN_LAYERS.register_module()
class ContextBlock(nn.Module):
    """Summarize a map in one vector, transform it, and add it to every place, or multiply by it.

    "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond" (Cao et al., 2019, arXiv:1904.11492). Starts
    as the identity, or with 0.5 as the factor.

    Args:
        in_channels: Channels C of input and output.
        ratio: Channels inside, as a share of C.
        pooling_type: ``'att'`` weights the places by attention, ``'avg'`` takes their mean.
        fusion_types: ``'channel_add'``, ``'channel_mul'`` or both.

    Raises:
        ValueError: Another pooling or fusion.
    """

    _abbr_ = 'context_block'

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: str = 'att',
        fusion_types: Sequence[str] = ('channel_add',),
    ) -> None:
        super().__init__()
        if pooling_type not in ('att', 'avg'):
            raise ValueError(f"ContextBlock: pooling_type is 'att' or 'avg', not {pooling_type!r}")
        if not fusion_types or not set(fusion_types) <= {'channel_add', 'channel_mul'}:
            raise ValueError(f"ContextBlock: fusion_types holds 'channel_add', 'channel_mul', not {fusion_types!r}")
        inner = int(in_channels * ratio)
        self.conv_mask = nn.Conv2d(in_channels, 1, 1) if pooling_type == 'att' else None
        self.channel_add_conv = _transform(in_channels, inner) if 'channel_add' in fusion_types else None
        self.channel_mul_conv = _transform(in_channels, inner) if 'channel_mul' in fusion_types else None
        self.init_weights()

    def init_weights(self) -> None:
        """He initialization of the attention, zeros in the last layers."""
        if self.conv_mask is not None:
            kaiming_init(self.conv_mask, mode='fan_in')
        for transform in (self.channel_add_conv, self.channel_mul_conv):
            if transform is not None:
                constant_init(transform[-1], 0)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        context_nc11 = self._context(x_nchw)
        out_nchw = x_nchw
        if self.channel_mul_conv is not None:
            out_nchw = out_nchw * self.channel_mul_conv(context_nc11).sigmoid()
        if self.channel_add_conv is not None:
            out_nchw = out_nchw + self.channel_add_conv(context_nc11)
        return out_nchw

    def _context(self, x_nchw: Tensor) -> Tensor:
        if self.conv_mask is None:
            return x_nchw.mean((2, 3), keepdim=True)
        weight_nl1 = self.conv_mask(x_nchw).flatten(2).softmax(2).transpose(1, 2)
        return (x_nchw.flatten(2) @ weight_nl1).unsqueeze(3)


def _transform(channels: int, inner: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1),
        nn.LayerNorm([inner, 1, 1]),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, channels, 1),
    )
