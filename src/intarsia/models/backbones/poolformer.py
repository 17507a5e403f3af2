"""PoolFormer.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.metaformer import MetaFormer, MetaFormerBlock


class Pooling(nn.Module):
    """The mean of a neighbourhood without the place itself: the block adds the input again.

    Args:
        pool_size: Side of the neighbourhood.
    """

    def __init__(self, pool_size: int = 3) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(pool_size, stride=1, padding=pool_size // 2, count_include_pad=False)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.pool(x_nchw) - x_nchw


@BACKBONES.register_module()
class PoolFormer(MetaFormer):
    """A transformer whose attention is a mean of neighbours.

    "MetaFormer Is Actually What You Need for Vision" (Yu et al., 2021, arXiv:2111.11418).

    Args:
        arch: Name of an architecture, or its numbers.
        pool_size: Side of the neighbourhood.
        frozen_stages: Freeze the patches of the image and so many positions of the network. So 0, the default, freezes
            the patches alone, as the published configs were trained; -1 freezes nothing.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.metaformer.MetaFormer`.
    """

    def __init__(
        self, arch: str | Mapping[str, Any] = 's12', pool_size: int = 3, frozen_stages: int = 0, **kwargs: Any
    ) -> None:
        self.pool_size = pool_size  # the base class builds the blocks
        super().__init__(arch, frozen_stages=frozen_stages, **kwargs)

    def _block(self, dim: int, **options: Any) -> MetaFormerBlock:
        return MetaFormerBlock(dim, Pooling(self.pool_size), **options)

    def _num_frozen(self) -> int:
        return self.frozen_stages
