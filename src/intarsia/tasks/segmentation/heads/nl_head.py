"""Convolutions around a non-local block."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.nn.non_local import NonLocal2d
from intarsia.tasks.segmentation.heads.fcn_head import FCNHead


@HEADS.register_module()
class NLHead(FCNHead):
    """Two convolutions, and between them every pixel gathers from all others.

    "Non-local Neural Networks" (Wang et al., 2018, arXiv:1711.07971).

    Args:
        reduction: By how much the block reduces the channels.
        use_scale: Divide the scores by the square root of its channels.
        mode: How it compares pixels; see :class:`~intarsia.nn.non_local.NonLocalNd`.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`, without ``num_convs``.
    """

    def __init__(
        self,
        reduction: int = 2,
        use_scale: bool = True,
        mode: Literal['gaussian', 'embedded_gaussian', 'dot_product', 'concatenation'] = 'embedded_gaussian',
        **kwargs: Any,
    ) -> None:
        super().__init__(num_convs=2, **kwargs)
        self.nl_block = NonLocal2d(
            self.channels, reduction=reduction, use_scale=use_scale, mode=mode, conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
        )  # fmt: skip

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions around the block."""
        before, after = self.convs
        return after(self.nl_block(before(x_nchw)))
