"""Residual networks of clips whose spatiotemporal convolutions see each channel alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.data.transforms.image_transform import require_choice
from intarsia.nn.norm import BatchNorm
from intarsia.tasks.action.backbones.residual3d import Bottleneck3d
from intarsia.tasks.action.backbones.residual_block import BlockOptions, ResidualBlock
from intarsia.tasks.action.backbones.resnet3d import ResNet3d

BN: Mapping[str, Any] = {'type': 'BN3d', 'requires_grad': True, 'eps': 1e-3}


class ReducedBottleneck3d(Bottleneck3d):
    """A bottleneck whose middle convolution sees each channel alone.

    State keys: as of :class:`~intarsia.tasks.action.backbones.residual3d.Bottleneck3d`, but the middle convolution is
    the last of ``conv2.I``. Arguments as there.
    """

    def _make_convs(
        self,
        in_channels: int,
        channels: int,
        options: BlockOptions,
        stride: Any,
        dilation: int,
        inflate: bool,
    ) -> None:
        super()._make_convs(in_channels, channels, options, stride, dilation, inflate)
        whole = self.conv2.conv
        shape: dict[str, Any] = {name: getattr(whole, name) for name in ('stride', 'padding', 'dilation')}
        apart = options.conv(channels, channels, whole.kernel_size, groups=channels, **shape)
        self.conv2: Any = nn.Sequential(*self._mixing(channels, options), apart)

    def _mixing(self, channels: int, options: BlockOptions) -> list[nn.Module]:
        """What joins the channels before the middle convolution."""
        return []


class PreservedBottleneck3d(ReducedBottleneck3d):
    """A bottleneck with a 1 x 1 x 1 convolution before the one that sees each channel alone."""

    def _mixing(self, channels: int, options: BlockOptions) -> list[nn.Module]:
        return [options.conv(channels, channels, 1, False)]


@BACKBONES.register_module()
class ResNet3dCSN(ResNet3d):
    """Residual network of bottlenecks with channels apart: ip-CSN and ir-CSN.

    "Video Classification with Channel-Separated Convolutional Networks" (Tran et al., 2019, arXiv:1904.02811).

    Args:
        depth: 50, 101 or 152.
        pretrained: Weights to start from.
        temporal_strides: Stride in time of each stage.
        conv1_kernel: Kernel of the stem, ``(t, h, w)``.
        conv1_stride_t: Stride of the stem in time.
        pool1_stride_t: Stride in time of the pooling after the stem.
        norm_cfg: Config of the normalizations.
        inflate_style: As of :class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d`.
        bottleneck_mode: ``'ip'`` keeps the interaction of channels, by a further 1 x 1 x 1 convolution, ``'ir'`` does
            not.
        bn_frozen: With ``norm_eval``, batch norms have no gradients either.
        kwargs: Further arguments of ``ResNet3d``.

    Raises:
        ValueError: ``bottleneck_mode`` is neither, or as of ``ResNet3d``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        50: (ReducedBottleneck3d, (3, 4, 6, 3)),
        101: (ReducedBottleneck3d, (3, 4, 23, 3)),
        152: (ReducedBottleneck3d, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        temporal_strides: Sequence[int] = (1, 2, 2, 2),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_t: int = 1,
        pool1_stride_t: int = 1,
        norm_cfg: Mapping[str, Any] = BN,
        inflate_style: Literal['3x1x1', '3x3x3'] = '3x3x3',
        bottleneck_mode: Literal['ip', 'ir'] = 'ir',
        bn_frozen: bool = False,
        **kwargs: Any,
    ) -> None:
        require_choice('bottleneck_mode', bottleneck_mode, ('ip', 'ir'))
        self.bottleneck_mode, self.bn_frozen = bottleneck_mode, bn_frozen
        super().__init__(
            depth, pretrained, temporal_strides=temporal_strides, conv1_kernel=conv1_kernel,
            conv1_stride_t=conv1_stride_t, pool1_stride_t=pool1_stride_t, norm_cfg=norm_cfg,
            inflate_style=inflate_style, **kwargs,
        )  # fmt: skip

    def _arch(self, depth: int) -> tuple[type[ResidualBlock], tuple[int, ...]]:
        block, blocks = super()._arch(depth)
        return (PreservedBottleneck3d if self.bottleneck_mode == 'ip' else block), blocks

    def train(self, mode: bool = True) -> ResNet3dCSN:
        """Switch to training, except for what is frozen, or to evaluation."""
        super().train(mode)
        if mode and self.norm_eval and self.bn_frozen:
            for module in self.modules():
                if isinstance(module, BatchNorm):
                    module.requires_grad_(False)
        return self
