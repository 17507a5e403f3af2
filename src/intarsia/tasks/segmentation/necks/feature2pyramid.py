"""The maps of a plain vision transformer, brought to several resolutions.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.nn.norm import build_norm_layer

SYNC_BN: Mapping[str, Any] = {'type': 'SyncBN', 'requires_grad': True}
WITH_4X = ('upsample_4x', 'upsample_2x', 'identity', 'downsample_2x')
WITHOUT_4X = ('upsample_2x', 'identity', 'downsample_2x', 'downsample_4x')


@NECKS.register_module()
class Feature2Pyramid(nn.Module):
    """Enlarge maps by transposed convolutions, and reduce them by maxima.

    State keys: ``upsample_4x``, ``upsample_2x``.

    Args:
        embed_dim: Channels of each map and each output.
        rescales: Size of each output divided by that of its map: of 4, 2, 1, 0.5 and 0.25 those that begin with the
            first, in this order.
        norm_cfg: Config of the normalization between two enlargements.

    Raises:
        ValueError: Other factors.
    """

    def __init__(
        self,
        embed_dim: int,
        rescales: Sequence[float] = (4, 2, 1, 0.5),
        norm_cfg: Mapping[str, Any] = SYNC_BN,
    ) -> None:
        super().__init__()
        names = WITH_4X if 4 in rescales else WITHOUT_4X
        self.rescales, self.layer_names = tuple(rescales), names[: len(rescales)]
        for scale in rescales:
            if scale == 4:
                self.upsample_4x = nn.Sequential(
                    _doubling(embed_dim), build_norm_layer(norm_cfg, embed_dim)[1], nn.GELU(), _doubling(embed_dim)
                )
            elif scale == 2:
                self.upsample_2x = nn.Sequential(_doubling(embed_dim))
            elif scale == 1:
                self.identity = nn.Identity()
            elif scale == 0.5:
                self.downsample_2x = nn.MaxPool2d(2)
            elif scale == 0.25:
                self.downsample_4x = nn.MaxPool2d(4)
            else:
                raise ValueError(f'Feature2Pyramid: rescales are 4, 2, 1, 0.5 or 0.25, not {scale}')
        if not all(hasattr(self, name) for name in self.layer_names):
            raise ValueError(f'Feature2Pyramid: rescales={self.rescales} must be a row from {(4, 2, 1, 0.5, 0.25)}')

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps ``(N, C, H, W)`` to ``(N, C, H * rescales[i], W * rescales[i])``.

        Raises:
            ValueError: There are more or fewer maps than ``rescales``.
        """
        if len(inputs) != len(self.rescales):
            raise ValueError(f'Feature2Pyramid got {len(inputs)} maps, but rescales has {len(self.rescales)}')
        return tuple(getattr(self, name)(x_nchw) for name, x_nchw in zip(self.layer_names, inputs, strict=True))


def _doubling(channels: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2)
