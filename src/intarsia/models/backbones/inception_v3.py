"""InceptionV3.

Shape suffixes: n samples, c channels or classes, h height, w width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.pair import Pair, as_pair


class BasicConv2d(nn.Sequential):
    """A convolution with batch norm and rectifier.

    State keys: ``conv``, ``bn``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the kernel.
        stride: Stride.
        pads: Whether the map is padded by half the kernel.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Pair, stride: int = 1, pads: bool = True
    ) -> None:
        height, width = as_pair(kernel_size)
        padding = (height // 2, width // 2) if pads else 0
        conv = nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=False)
        norm = nn.BatchNorm2d(out_channels, eps=0.001)
        super().__init__(OrderedDict(conv=conv, bn=norm, relu=nn.ReLU(inplace=True)))


Chain = Sequence[tuple[str, int, Pair]]
"""Name, channels and kernel of each convolution."""


class Branches(BaseModule):
    """Chains of convolutions beside each other; their outputs follow each other as channels.

    Args:
        in_channels: Channels of the map.
        chains: Convolutions that follow each other.
        pooled: Channels of a convolution ``branch_pool`` behind an average of 3 x 3 places; 0 if the chain is a maximum
            alone.
        halves: Whether the last convolution of each chain, and the maximum, halve the resolution, without padding.
    """

    def __init__(self, in_channels: int, chains: Sequence[Chain], pooled: int, halves: bool = False) -> None:
        super().__init__()
        self.chains = [[name for name, _, _ in chain] for chain in chains]
        for chain in chains:
            before = in_channels
            for name, channels, kernel in chain:
                at_end = halves and name == chain[-1][0]
                self.add_module(name, BasicConv2d(before, channels, kernel, 2 if at_end else 1, pads=not at_end))
                before = channels
        self.pool = nn.MaxPool2d(3, stride=2) if halves else nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = BasicConv2d(in_channels, pooled, 1) if pooled else nn.Identity()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, C, H', W')``, with the channels of all chains."""
        outs = [self.along(names, x_nchw) for names in self.chains]
        return torch.cat((*outs, self.branch_pool(self.pool(x_nchw))), dim=1)

    def along(self, names: Sequence[str], x_nchw: Tensor) -> Tensor:
        """What a chain makes of a map."""
        for name in names:
            x_nchw = getattr(self, name)(x_nchw)
        return x_nchw


class InceptionA(Branches):
    """Chains with 1 x 1, 5 x 5, and twice 3 x 3 places.

    Args:
        in_channels: Input channels.
        pool_features: Channels of the convolution behind the average.
    """

    def __init__(self, in_channels: int, pool_features: int) -> None:
        small = [('branch3x3dbl_1', 64, 1), ('branch3x3dbl_2', 96, 3), ('branch3x3dbl_3', 96, 3)]
        large = [('branch5x5_1', 48, 1), ('branch5x5_2', 64, 5)]
        super().__init__(in_channels, [[('branch1x1', 64, 1)], large, small], pool_features)


class InceptionB(Branches):
    """Chains that halve the resolution, with 3 x 3 places once and twice. Argument: input channels."""

    def __init__(self, in_channels: int) -> None:
        twice = [('branch3x3dbl_1', 64, 1), ('branch3x3dbl_2', 96, 3), ('branch3x3dbl_3', 96, 3)]
        super().__init__(in_channels, [[('branch3x3', 384, 3)], twice], pooled=0, halves=True)


class InceptionC(Branches):
    """Chains with rows and columns of 7 places.

    Args:
        in_channels: Input channels.
        channels_7x7: Channels inside the chains.
    """

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        c = channels_7x7
        once: Chain = [('branch7x7_1', c, 1), ('branch7x7_2', c, (1, 7)), ('branch7x7_3', 192, (7, 1))]
        twice: Chain = [
            ('branch7x7dbl_1', c, 1), ('branch7x7dbl_2', c, (7, 1)), ('branch7x7dbl_3', c, (1, 7)),
            ('branch7x7dbl_4', c, (7, 1)), ('branch7x7dbl_5', 192, (1, 7)),
        ]  # fmt: skip
        super().__init__(in_channels, [[('branch1x1', 192, 1)], once, twice], pooled=192)


class InceptionD(Branches):
    """Chains that halve the resolution, with 3 x 3 places, and with rows and columns of 7. Argument: input channels."""

    def __init__(self, in_channels: int) -> None:
        long: Chain = [
            ('branch7x7x3_1', 192, 1), ('branch7x7x3_2', 192, (1, 7)), ('branch7x7x3_3', 192, (7, 1)),
            ('branch7x7x3_4', 192, 3),
        ]  # fmt: skip
        super().__init__(in_channels, [[('branch3x3_1', 192, 1), ('branch3x3_2', 320, 3)], long], 0, halves=True)


class InceptionE(Branches):
    """Chains that end in rows and columns of 3 places beside each other. Argument: input channels."""

    def __init__(self, in_channels: int) -> None:
        twice = [('branch3x3dbl_1', 448, 1), ('branch3x3dbl_2', 384, 3)]
        super().__init__(in_channels, [[('branch1x1', 320, 1)], [('branch3x3_1', 384, 1)], twice], pooled=192)
        for end in ('branch3x3_2', 'branch3x3dbl_3'):
            self.add_module(f'{end}a', BasicConv2d(384, 384, (1, 3)))
            self.add_module(f'{end}b', BasicConv2d(384, 384, (3, 1)))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, 2048, H, W)``."""
        single_nchw, short_nchw, long_nchw = (self.along(names, x_nchw) for names in self.chains)
        ends = [
            getattr(self, f'{end}{side}')(middle)
            for end, middle in (('branch3x3_2', short_nchw), ('branch3x3dbl_3', long_nchw))
            for side in 'ab'
        ]
        return torch.cat((single_nchw, *ends, self.branch_pool(self.pool(x_nchw))), dim=1)


class InceptionAux(BaseModule):
    """A classifier of the maps in the middle, to train with.

    State keys: ``conv0``, ``conv1``, ``fc``.

    Args:
        in_channels: Channels of the map.
        num_classes: Number of classes C.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': 'Conv2d', 'std': 0.01},
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.001},
    )

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.downsample = nn.AvgPool2d(5, stride=3)
        self.conv0 = BasicConv2d(in_channels, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5, pads=False)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to logits ``(N, C)``."""
        return self.fc(self.conv1(self.conv0(self.downsample(x_nchw))).mean((2, 3)))


@BACKBONES.register_module()
class InceptionV3(Backbone):
    """Network of chains with kernels of several shapes, with its classifier.

    "Rethinking the Inception Architecture for Computer Vision" (Szegedy et al., 2015, arXiv:1512.00567).

    State keys: ``Conv2d_1a_3x3`` ... ``Conv2d_4a_3x3``, ``Mixed_5b`` ... ``Mixed_7c``, ``AuxLogits``, ``fc``.

    Args:
        num_classes: Number of classes C.
        aux_logits: Classify the maps in the middle as well, in training.
        dropout: Dropout before the classifier.
        init_cfg: How weights are initialized.
    """

    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {'num_classes': {1000: (1000,)}}
    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': ['Conv2d', 'Linear'], 'std': 0.1},
        {'type': 'Constant', 'layer': 'BatchNorm2d', 'val': 1},
    )

    def __init__(
        self, num_classes: int = 1000, aux_logits: bool = False, dropout: float = 0.5, init_cfg: InitCfg = None
    ) -> None:
        super().__init__(init_cfg)
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2, pads=False)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3, pads=False)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3, pads=False)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = InceptionA(192, 32), InceptionA(256, 64), InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        for name, channels in zip('bcde', (128, 160, 160, 192), strict=True):
            self.add_module(f'Mixed_6{name}', InceptionC(768, channels))
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = InceptionD(768), InceptionE(1280), InceptionE(2048)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        self.out_channels, self.strides = (num_classes,), (0,)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)``, of 75 x 75 pixels or more, to logits ``(N, C)``.

        Returns:
            The logits; with ``aux_logits`` in training those of the maps in the middle before them.
        """
        outs: list[Tensor] = []
        for name in STEM:
            x = getattr(self, name)(x)
        for name in MIDDLE:
            x = getattr(self, name)(x)
        if self.AuxLogits is not None and self.training:
            outs.append(self.AuxLogits(x))
        for name in END:
            x = getattr(self, name)(x)
        return (*outs, self.fc(self.dropout(x.mean((2, 3)))))


STEM = (
    'Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3', 'maxpool1', 'Conv2d_3b_1x1', 'Conv2d_4a_3x3', 'maxpool2',
)  # fmt: skip
MIDDLE = (*(f'Mixed_5{name}' for name in 'bcd'), *(f'Mixed_6{name}' for name in 'abcde'))
END = ('Mixed_7a', 'Mixed_7b', 'Mixed_7c')
