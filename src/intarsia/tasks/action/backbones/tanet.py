"""The residual network of frames with kernels over time that follow from the clip.

Shapes: x clips, t frames of each, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.tasks.action.backbones.inflate import accept_plain_keys
from intarsia.tasks.action.backbones.resnet import Bottleneck, ResNet


class TAM(nn.Module):
    """Weighs the frames of each channel, then convolves them over time with a kernel of their own.

    State keys: ``G`` makes the kernels, from all frames of a channel; ``L`` makes the weights, from neighbouring frames
    of all channels.

    Args:
        in_channels: C.
        num_segments: T.
        alpha: Hidden units of ``G`` per frame.
        adaptive_kernel_size: Length of the kernels.
        beta: ``L`` has C / beta hidden channels.
        conv1d_kernel_size: Frames that ``L`` sees at once.
        adaptive_convolution_stride: Stride of the kernels over time.
        adaptive_convolution_padding: Zeros before and after the clip.
        init_std: Accepted, but without effect: linear layers begin as PyTorch makes them.

    Raises:
        ValueError: ``alpha`` or ``beta`` is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        num_segments: int,
        alpha: int = 2,
        adaptive_kernel_size: int = 3,
        beta: int = 4,
        conv1d_kernel_size: int = 3,
        adaptive_convolution_stride: int = 1,
        adaptive_convolution_padding: int = 1,
        init_std: float = 0.001,
    ) -> None:
        super().__init__()
        if alpha <= 0 or beta <= 0:
            raise ValueError(f'TAM: alpha={alpha} and beta={beta} must be positive')
        self.num_segments = num_segments
        self.stride, self.padding = adaptive_convolution_stride, adaptive_convolution_padding
        hidden, narrow = num_segments * alpha, in_channels // beta
        self.G = nn.Sequential(
            nn.Linear(num_segments, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, adaptive_kernel_size, bias=False),
            nn.Softmax(-1),
        )
        self.L = nn.Sequential(
            nn.Conv1d(in_channels, narrow, conv1d_kernel_size, padding=conv1d_kernel_size // 2, bias=False),
            nn.BatchNorm1d(narrow),
            nn.ReLU(inplace=True),
            nn.Conv1d(narrow, in_channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(X * T, C, H, W)`` in and out."""
        clip_xcthw = x.unflatten(0, (-1, self.num_segments)).transpose(1, 2)
        num, channels, frames, height, width = clip_xcthw.shape
        mean_xct = clip_xcthw.mean(dim=(3, 4))
        kernels = self.G(mean_xct.flatten(0, 1))[:, None, :, None]  # one for each clip and channel
        weighted = clip_xcthw * self.L(mean_xct)[..., None, None]
        flat = weighted.reshape(1, num * channels, frames, height * width)
        out = F.conv2d(flat, kernels, None, (self.stride, 1), (self.padding, 0), groups=num * channels)
        return out.view(num, channels, -1, height, width).transpose(1, 2).flatten(0, 1)


class TABlock(nn.Module):
    """A bottleneck with a :class:`TAM` after its first convolution. State keys: ``block``, ``tam``.

    Args:
        block: The bottleneck.
        num_segments: Frames of a clip.
        tam_cfg: Arguments of the :class:`TAM`.
    """

    def __init__(self, block: Bottleneck, num_segments: int, tam_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        self.block = block
        first: Any = block.conv1
        self.tam = TAM(first.out_channels, num_segments, **tam_cfg)

    def _added(self, x: Tensor) -> Tensor:
        block = self.block
        residual = block.conv3(block.conv2(self.tam(block.conv1(x))))
        return residual + (x if block.downsample is None else block.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        """``(X * T, C, H, W)`` in and out."""
        uses_cp = self.block.with_cp and x.requires_grad
        return self.block.relu(checkpoint(self._added, x, use_reentrant=False) if uses_cp else self._added(x))


@BACKBONES.register_module()
class TANet(ResNet):
    """:class:`~intarsia.tasks.action.backbones.resnet.ResNet` with temporal adaptive modules.

    "TAM: Temporal Adaptive Module for Video Recognition" (Liu et al., 2020, arXiv:2005.06803).

    State keys: those of the network without them, with ``block`` before the name of what is in a block, and ``tam``.

    Args:
        depth: 50, 101 or 152.
        num_segments: Frames of a clip, at least 3.
        tam_cfg: Arguments of the :class:`TAM`.
        **kwargs: Arguments of :class:`~intarsia.tasks.action.backbones.resnet.ResNet`.

    Raises:
        ValueError: The blocks of this depth are no bottlenecks, or there are too few frames.
    """

    def __init__(self, depth: int, num_segments: int, tam_cfg: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(depth, **kwargs)
        if num_segments < 3:
            raise ValueError(f'TANet: a clip needs three frames, not num_segments={num_segments}')
        if not issubclass(self.block, Bottleneck):
            raise ValueError(f'TANet: depth is 50, 101 or 152, whose blocks are bottlenecks, not {depth}')
        self.num_segments = num_segments
        self.register_load_state_dict_pre_hook(accept_plain_keys)
        for name in self.res_layers:
            stage = getattr(self, name)
            for i, block in enumerate(stage):
                stage[i] = TABlock(block, num_segments, tam_cfg or {})
