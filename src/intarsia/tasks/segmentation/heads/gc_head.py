"""Convolutions around a global context block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.nn.context_block import ContextBlock
from intarsia.tasks.segmentation.heads.fcn_head import FCNHead


@HEADS.register_module()
class GCHead(FCNHead):
    """Two convolutions, and between them a summary of the image changes every pixel.

    "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond" (Cao et al., 2019, arXiv:1904.11492).

    Args:
        ratio: Channels inside the block, as a share of ``channels``.
        pooling_type: How the image is summarized: ``'att'`` or ``'avg'``.
        fusion_types: How the summary changes pixels: ``'channel_add'``, ``'channel_mul'`` or both.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`, without ``num_convs``.
    """

    def __init__(
        self,
        ratio: float = 0.25,
        pooling_type: Literal['att', 'avg'] = 'att',
        fusion_types: Sequence[str] = ('channel_add',),
        **kwargs: Any,
    ) -> None:
        super().__init__(num_convs=2, **kwargs)
        self.gc_block = ContextBlock(self.channels, ratio, pooling_type, fusion_types)

    def convolve(self, x_nchw: Tensor) -> Tensor:
        """The convolutions around the block."""
        before, after = self.convs
        return after(self.gc_block(before(x_nchw)))
