"""C2D: a residual network of frames that pools over time once.

Shapes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.tasks.action.backbones.resnet import ResNet


@BACKBONES.register_module()
class C2D(ResNet):
    """:class:`~intarsia.tasks.action.backbones.resnet.ResNet` of clips: the first stage's frames are pooled in pairs.

    The baseline of "Non-local Neural Networks" (Wang et al., 2017, arXiv:1711.07971), as its authors released it: the
    pooling of the stem has no borders, and no other layer reaches over time.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_indices: Stages to output, from 0.
        **kwargs: Arguments of the network of frames.
    """

    def __init__(self, depth: int, out_indices: Sequence[int] = (3,), **kwargs: Any) -> None:
        super().__init__(depth, out_indices=out_indices, **kwargs)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features ``(N, C', T / 2, H', W')`` of clips ``(N, C, T, H, W)``, one tensor for each of ``out_indices``."""
        n, x = len(x), x.transpose(1, 2).flatten(0, 1)
        x = self.maxpool(self.conv1(x))
        outputs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i == 0:
                x = F.max_pool3d(_as_clips(x, n), (2, 1, 1)).transpose(1, 2).flatten(0, 1)
            if i in self.out_indices:
                outputs.append(_as_clips(x, n))
        return tuple(outputs)


def _as_clips(frames: Tensor, n: int) -> Tensor:
    """``(N * T, C, H, W)`` -> ``(N, C, T, H, W)``."""
    return frames.unflatten(0, (n, -1)).transpose(1, 2)
