"""The ResNet that ViPNAS found.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.residual import ResidualBlock, ResLayer
from intarsia.models.backbones.resnet import ResNet
from intarsia.models.backbones.small_normal import SMALL_NORMAL
from intarsia.nn.context_block import ContextBlock
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}


class ViPNASBottleneck(ResidualBlock):
    """Bottleneck with any kernel, with groups, and with a context block at the end of its branch.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the middle kernel.
        groups: Groups of the middle convolution.
        attention: Whether there is a context block.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.residual.ResidualBlock`.
    """

    conv3: nn.Module
    norm3_name: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        groups: int = 1,
        attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        first, second = (1, self.stride) if self.style == 'pytorch' else (self.stride, 1)
        mid = self.mid_channels
        self.add_conv(1, in_channels, mid, 1, stride=first)
        self.add_conv(
            2, mid, mid, kernel_size, stride=second, padding=kernel_size // 2, dilation=self.dilation, groups=groups
        )
        self.add_conv(3, mid, out_channels, 1)
        ratio = max(1 / 16, 16 / out_channels)  # a sixteenth, but 16 channels at least
        self.attention = ContextBlock(out_channels, ratio) if attention else nn.Identity()

    @property
    def norm3(self) -> nn.Module:
        """Normalization of the third convolution."""
        return getattr(self, self.norm3_name)

    @property
    def last_norm(self) -> nn.Module:
        """Normalization of the third convolution."""
        return self.norm3

    def branch(self, x_nchw: Tensor) -> Tensor:
        """Three convolutions with activations in between, then the context of all places."""
        x_nchw = self.relu(self.norm1(self.conv1(x_nchw)))
        x_nchw = self.relu(self.norm2(self.conv2(x_nchw)))
        return self.attention(self.norm3(self.conv3(x_nchw)))


@BACKBONES.register_module(name='ViPNAS_ResNet')
class ViPNASResNet(ResNet):
    """ResNet whose numbers were found by a search for pose estimation in videos.

    "ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search" (Xu et al., 2021, arXiv:2105.10154).

    The last six arguments are lists with an entry for the stem and one for each stage; those that a stem does not have
    are None.

    Args:
        depth: 50.
        in_channels: Channels of the image.
        num_stages: 1 ... 4.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        out_indices: Stages to output, from 0.
        style: ``'pytorch'`` puts the stride of a bottleneck on its middle convolution, ``'caffe'`` on the first.
        deep_stem: Three 3 x 3 convolutions in the stem, not a single one.
        avg_down: Lower the resolution of a block's input by averaging, not by a strided convolution.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        zero_init_residual: Start with blocks that pass on their input: the last normalization of each is zero.
        wid: Channels inside.
        expan: Output channels divided by the channels inside.
        dep: Number of blocks.
        ks: Kernel sizes.
        group: Groups of the middle convolutions.
        att: Whether blocks have a context block.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or numbers do not fit ``num_stages``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        50: (ViPNASBottleneck, (4, 6, 7, 3)),
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {'depth': {50: (80, 160, 304, 608)}}
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('wid', 'expan', 'num_stages')
    default_init: ClassVar[InitCfg] = SMALL_NORMAL

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (3,),
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = False,
        wid: Sequence[int] = (48, 80, 160, 304, 608),
        expan: Sequence[int | None] = (None, 1, 1, 1, 1),
        dep: Sequence[int | None] = (None, 4, 6, 7, 3),
        ks: Sequence[int] = (7, 3, 5, 5, 5),
        group: Sequence[int | None] = (None, 16, 16, 16, 16),
        att: Sequence[bool | None] = (None, True, False, True, True),
        init_cfg: InitCfg = None,
    ) -> None:
        for name, numbers in {'wid': wid, 'expan': expan, 'dep': dep, 'ks': ks, 'group': group, 'att': att}.items():
            if len(numbers) <= num_stages:
                raise ValueError(f'ViPNAS_ResNet: num_stages={num_stages}, but {name}={numbers!r}')
        self.wid, self.expan, self.dep, self.ks, self.group, self.att = wid, expan, dep, ks, group, att
        super().__init__(
            depth, in_channels, stem_channels=wid[0], num_stages=num_stages, strides=strides, dilations=dilations,
            out_indices=out_indices, style=style, deep_stem=deep_stem, avg_down=avg_down, frozen_stages=frozen_stages,
            conv_cfg=conv_cfg, norm_cfg=norm_cfg, norm_eval=norm_eval, with_cp=with_cp,
            zero_init_residual=zero_init_residual, init_cfg=init_cfg,
        )  # fmt: skip

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        if not self.deep_stem:
            self.conv1 = build_conv_layer(
                self.conv_cfg, in_channels, stem_channels, self.ks[0], stride=2, padding=self.ks[0] // 2, bias=False
            )

    def _make_stages(
        self, strides: Sequence[int], dilations: Sequence[int], drop_path_rate: float | Sequence[float]
    ) -> None:
        """Make ``layer1`` ... and declare the outputs."""
        before, widths = self.stem_channels, []
        self.res_layers: list[str] = []
        for i in range(self.num_stages):
            expansion = self.expan[i + 1] or 1
            widths.append(self.wid[i + 1] * expansion)
            layer = ResLayer(
                ViPNASBottleneck, self.dep[i + 1] or 0, before, widths[-1], expansion, strides[i], dilations[i],
                self.avg_down, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, style=self.style, with_cp=self.with_cp,
                kernel_size=self.ks[i + 1], groups=self.group[i + 1], attention=self.att[i + 1],
            )  # fmt: skip
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], layer)
            before = widths[-1]
        self.feat_dim = before
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(self._stem_stride() * math.prod(strides[: i + 1]) for i in self.out_indices)
