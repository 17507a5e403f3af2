"""What residual blocks of frames and of clips have in common.

Shapes: n frames or clips, c channels, then (t frames,) h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.non_local import NonLocal3d


@dataclass(frozen=True)
class BlockOptions:
    """What all blocks of a network have in common.

    Attributes:
        style: ``'pytorch'`` puts the strides of a bottleneck on its second convolution, ``'caffe'`` on the first.
        inflate_style: Where an inflated bottleneck reaches over time: ``'3x1x1'`` in its first convolution, ``'3x3x3'``
            in its second.
        non_local_cfg: Arguments of the non-local blocks.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    style: Literal['pytorch', 'caffe']
    inflate_style: Literal['3x1x1', '3x3x3']
    non_local_cfg: Mapping[str, Any]
    conv_cfg: Mapping[str, Any] | None
    norm_cfg: Mapping[str, Any] | None
    act_cfg: Mapping[str, Any]
    with_cp: bool

    def conv(self, in_channels: int, out_channels: int, kernel: Any, act: bool = True, **options: Any) -> ConvModule:
        """A convolution without a bias, its normalization, and perhaps its activation."""
        cfgs: dict[str, Any] = {
            'conv_cfg': self.conv_cfg,
            'norm_cfg': self.norm_cfg,
            'act_cfg': self.act_cfg if act else None,
        }
        return ConvModule(in_channels, out_channels, kernel, bias=False, **cfgs, **options)


class ResidualBlock(nn.Module):
    """Base of the blocks: a subclass makes its convolutions.

    State keys: ``conv1``, ``conv2`` (``conv3``), each with ``conv`` and ``bn``; ``downsample``; ``non_local_block``.

    Args:
        in_channels: Channels of the input.
        channels: Channels inside; the output has :attr:`expansion` times as many.
        options: What all blocks share.
        stride: One number, or ``(t, h, w)``.
        dilation: Dilation in space.
        inflate: Whether the block reaches over time.
        non_local: Whether a non-local block follows.
        downsamples: Whether the input has to be brought to the shape of the output.
    """

    expansion: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: Any = 1,
        dilation: int = 1,
        inflate: bool = False,
        non_local: bool = False,
        downsamples: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = options.with_cp
        self._make_convs(in_channels, channels, options, stride, dilation, inflate)
        out_channels = channels * self.expansion
        self.downsample = options.conv(in_channels, out_channels, 1, False, stride=stride) if downsamples else None
        self.relu = build_activation_layer(options.act_cfg)
        self.non_local_block = NonLocal3d(out_channels, **options.non_local_cfg) if non_local else None

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: Any,
        dilation: int,
        inflate: bool,
    ) -> None:
        raise NotImplementedError(f'{type(self).__name__} has no _make_convs')

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        raise NotImplementedError(f'{type(self).__name__} has no residual')

    def _added(self, x: Tensor) -> Tensor:
        return self.residual(x) + (x if self.downsample is None else self.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, ...)`` in and out."""
        uses_cp = self.with_cp and x.requires_grad
        out = self.relu(checkpoint(self._added, x, use_reentrant=False) if uses_cp else self._added(x))
        return out if self.non_local_block is None else self.non_local_block(out)

    @property
    def last_norm(self) -> Any:
        """The normalization that the residual ends with."""
        raise NotImplementedError(f'{type(self).__name__} has no last_norm')
