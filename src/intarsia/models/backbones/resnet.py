"""ResNet and its variants with another stem or downsampling.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.models.backbones.plugin import plugins_of_stage
from intarsia.models.backbones.residual import BasicBlock, Bottleneck, ResidualBlock, ResLayer
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import constant_init
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}


@BACKBONES.register_module()
class ResNet(Backbone):
    """Residual network.

    "Deep Residual Learning for Image Recognition" (He et al., 2015, arXiv:1512.03385).

    State keys: ``conv1``, ``bn1`` (or ``stem.I.conv``, ``stem.I.bn``), ``layer1`` ... ``layer4``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the image.
        stem_channels: Channels of the stem.
        base_channels: Channels inside the blocks of the first stage; each stage doubles them.
        expansion: Output channels of a block divided by the channels inside; by default 1 for depths 18 and 34, else 4.
        num_stages: 1 ... 4.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        out_indices: Stages to output, from 0.
        style: ``'pytorch'`` puts the stride of a bottleneck on its 3 x 3 convolution, ``'caffe'`` on the first.
        deep_stem: Three 3 x 3 convolutions in the stem, not one of 7 x 7.
        avg_down: Lower the resolution of a block's input by averaging, not by a strided convolution.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        zero_init_residual: Start with blocks that pass on their input: the last normalization of each is zero.
        multi_grid: Dilation of every block of the last stage.
        contract_dilation: Give the first block of a dilated stage half its dilation.
        drop_path_rate: Drop probability of all blocks, or one for each block of the network.
        plugins: Layers of PLUGIN_LAYERS to put into bottlenecks, ``dict(cfg=dict(type=..., postfix=...), position=...,
            stages=...)`` for each: after which convolution (``'after_conv1'`` ...), and for each stage whether it has
            the layer (by default all have). Layers at one position follow each other.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or numbers do not fit ``num_stages``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {
        'depth': {
            18: (64, 128, 256, 512),
            34: (64, 128, 256, 512),
            50: (256, 512, 1024, 2048),
            101: (256, 512, 1024, 2048),
            152: (256, 512, 1024, 2048),
        }
    }
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('base_channels', 'expansion')
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        expansion: int | None = None,
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
        zero_init_residual: bool = True,
        multi_grid: Sequence[int] | None = None,
        contract_dilation: bool = False,
        drop_path_rate: float | Sequence[float] = 0.0,
        plugins: Sequence[Mapping[str, Any]] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self._check_stages(depth, num_stages, strides, dilations, frozen_stages)
        self.block, blocks = self.arch_settings[depth]
        self.depth, self.num_stages, self.stage_blocks = depth, num_stages, blocks[:num_stages]
        self.out_indices = normalize_indices(out_indices, num_stages, type(self).__name__)
        self.stem_channels, self.base_channels = stem_channels, base_channels
        self.expansion = expansion or self.block.default_expansion
        self.deep_stem, self.avg_down, self.style, self.with_cp = deep_stem, avg_down, style, with_cp
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.zero_init_residual = zero_init_residual
        self.multi_grid, self.contract_dilation = multi_grid, contract_dilation
        self.plugins = plugins

        self._make_stem_layer(in_channels, stem_channels)
        self._make_stages(strides, dilations, drop_path_rate)
        self._freeze_stages()

    def _check_stages(
        self, depth: int, num_stages: int, strides: Sequence[int], dilations: Sequence[int], frozen_stages: int
    ) -> None:
        name = type(self).__name__
        if depth not in self.arch_settings:
            raise ValueError(f'{name}: depth must be one of {", ".join(map(str, self.arch_settings))}, not {depth}')
        if not 1 <= num_stages <= 4:
            raise ValueError(f'{name}: num_stages={num_stages} must lie in 1 ... 4')
        if not len(strides) == len(dilations) == num_stages:
            raise ValueError(f'{name}: num_stages={num_stages}, but strides={strides} and dilations={dilations}')
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'{name}: frozen_stages={frozen_stages} must lie in -1 ... {num_stages}')

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        """Make ``stem`` (if ``deep_stem``) or ``conv1``, ``norm1`` and ``relu``, and ``maxpool``."""
        if self.deep_stem:
            self.stem = self.make_deep_stem(in_channels, stem_channels)
        else:
            self.conv1 = build_conv_layer(
                self.conv_cfg, in_channels, stem_channels, kernel_size=7, stride=2, padding=3, bias=False
            )
            self.norm1_name, norm1 = build_norm_layer(self.norm_cfg, stem_channels, postfix=1)
            self.add_module(self.norm1_name, norm1)
            self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def make_deep_stem(self, in_channels: int, stem_channels: int) -> nn.Module:
        """Make three convolutions, of which the first halves the resolution."""
        widths = (in_channels, stem_channels // 2, stem_channels // 2, stem_channels)
        cfgs: dict[str, Any] = {'conv_cfg': self.conv_cfg, 'norm_cfg': self.norm_cfg}
        return nn.Sequential(
            *[ConvModule(widths[i], widths[i + 1], 3, stride=1 if i else 2, padding=1, **cfgs) for i in range(3)]
        )

    def _make_stages(
        self, strides: Sequence[int], dilations: Sequence[int], drop_path_rate: float | Sequence[float]
    ) -> None:
        """Make ``layer1`` ... and declare the outputs."""
        stride = self._stem_stride()
        in_channels = self.stem_channels
        self.res_layers: list[str] = []
        stage_channels, stage_strides = [], []
        for i, num_blocks in enumerate(self.stage_blocks):
            out_channels = self.base_channels * self.expansion * 2**i
            first = sum(self.stage_blocks[:i])
            layer = self.make_res_layer(
                block=self.block,
                num_blocks=num_blocks,
                in_channels=in_channels,
                out_channels=out_channels,
                expansion=self.expansion,
                stride=strides[i],
                dilation=dilations[i],
                style=self.style,
                avg_down=self.avg_down,
                with_cp=self.with_cp,
                multi_grid=self.multi_grid if i == self.num_stages - 1 else None,
                contract_dilation=self.contract_dilation,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                plugins=plugins_of_stage(self.plugins, i),
                drop_path_rate=(
                    drop_path_rate
                    if isinstance(drop_path_rate, (int, float))
                    else drop_path_rate[first : first + num_blocks]
                ),
            )
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], layer)
            in_channels, stride = out_channels, stride * strides[i]
            stage_channels.append(out_channels)
            stage_strides.append(stride)
        self.feat_dim = in_channels
        self.out_channels = tuple(stage_channels[i] for i in self.out_indices)
        self.strides = tuple(stage_strides[i] for i in self.out_indices)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage; see :class:`~intarsia.models.backbones.residual.ResLayer` for the arguments."""
        return ResLayer(**kwargs)

    def _stem_stride(self) -> int:
        """Stride of whatever stem was made, so that a subclass with another one need not declare it."""
        convs = [m for part in self._stem_parts() for m in part.modules() if isinstance(m, nn.modules.conv._ConvNd)]
        return math.prod(conv.stride[0] for conv in convs) * (2 if hasattr(self, 'maxpool') else 1)

    def _stem_parts(self) -> list[nn.Module]:
        names = ('stem',) if self.deep_stem else ('conv1', self.norm1_name)
        return [getattr(self, name) for name in names]

    @property
    def norm1(self) -> nn.Module:
        """Normalization of the stem's one convolution."""
        return getattr(self, self.norm1_name)

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stem and the first ``frozen_stages`` stages."""
        if self.frozen_stages < 0:
            return []
        return [*self._stem_parts(), *[getattr(self, name) for name in self.res_layers[: self.frozen_stages]]]

    def init_own_weights(self) -> None:
        """Zero the last normalization of every block, if ``zero_init_residual``."""
        if self.zero_init_residual:
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    constant_init(module.last_norm, 0)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        x_nchw = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        x_nchw = self.maxpool(x_nchw)
        outs = []
        for i, name in enumerate(self.res_layers):
            x_nchw = getattr(self, name)(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)


@BACKBONES.register_module()
class ResNetV1c(ResNet):
    """ResNet with three 3 x 3 convolutions in the stem.

    "Bag of Tricks for Image Classification with Convolutional Neural Networks" (He et al., 2018, arXiv:1812.01187).
    Arguments of :class:`ResNet` but ``deep_stem`` and ``avg_down``.
    """

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, deep_stem=True, avg_down=False, **kwargs)


@BACKBONES.register_module()
class ResNetV1d(ResNet):
    """ResNet with three 3 x 3 convolutions in the stem, and downsampling by averages (paper of :class:`ResNetV1c`).

    Arguments of :class:`ResNet` but ``deep_stem`` and ``avg_down``.
    """

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, deep_stem=True, avg_down=True, **kwargs)
