"""Convolutions around a disentangled non-local block.

Shapes: n images, c channels, h rows, w columns, l pixels.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.non_local import NonLocal2d
from intarsia.tasks.segmentation.heads.fcn_head import FCNHead


class DisentangledNonLocal2d(NonLocal2d):
    """A non-local block whose attention is the sum of two: one between pairs of pixels, and one all pixels share.

    Queries and keys lose their mean, so that the first says nothing that the second could say.

    Args:
        temperature: The scores of pairs are divided by it, with ``mode='embedded_gaussian'``.
        in_channels: Channels of the map.
        **kwargs: Arguments of :class:`~intarsia.nn.non_local.NonLocalNd`.
    """

    def __init__(self, in_channels: int, temperature: float = 0.05, **kwargs: Any) -> None:
        super().__init__(in_channels, **kwargs)
        if self.mode == 'embedded_gaussian':
            self.scale /= temperature
        self.conv_mask = nn.Conv2d(in_channels, 1, 1)

    def queries_and_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of every pixel, without their mean over the map."""
        query_nlc, key_nlc = super().queries_and_keys(x)
        return query_nlc - query_nlc.mean(1, keepdim=True), key_nlc - key_nlc.mean(1, keepdim=True)

    def gather(self, x: Tensor, value_nmc: Tensor) -> Tensor:
        """What every pixel gets from the values, ``(N, L, inter_channels)``."""
        shared_n1l = self.conv_mask(x).flatten(2).softmax(2)
        return super().gather(x, value_nmc) + shared_n1l @ value_nmc


@HEADS.register_module()
class DNLHead(FCNHead):
    """Two convolutions, and between them a disentangled non-local block.

    "Disentangled Non-Local Neural Networks" (Yin et al., 2020, arXiv:2006.06668).

    Args:
        reduction: By how much the block reduces the channels.
        use_scale: Divide the scores by the square root of its channels.
        mode: How it compares pixels; see :class:`~intarsia.nn.non_local.NonLocalNd`.
        temperature: The scores of pairs are divided by it.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`, without ``num_convs``.
    """

    def __init__(
        self,
        reduction: int = 2,
        use_scale: bool = True,
        mode: Literal['gaussian', 'embedded_gaussian', 'dot_product', 'concatenation'] = 'embedded_gaussian',
        temperature: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_convs=2, **kwargs)
        self.dnl_block = DisentangledNonLocal2d(
            self.channels, temperature, reduction=reduction, use_scale=use_scale, mode=mode, conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
        )  # fmt: skip

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions around the block."""
        before, after = self.convs
        return after(self.dnl_block(before(x_nchw)))
