"""EfficientNetV2.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import choose_arch, normalize_indices
from intarsia.models.backbones.edge_residual import EdgeResidual
from intarsia.models.backbones.efficientnet import ADAPTIVE, BN, SQUEEZE, SWISH, StackedStages, squeeze
from intarsia.models.backbones.inverted_residual import InvertedResidual
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import InitCfg


class Stage(NamedTuple):
    """Blocks of one kind; their kernels are of 3 x 3, the first one has the stride."""

    kind: str
    """``'plain'``, ``'edge'`` or ``'inverted'``."""
    num_blocks: int
    stride: int
    expand_ratio: int
    channels: int


def _arch(depths: Sequence[int], widths: Sequence[int], stem: int, last: int) -> dict[str, Any]:
    """An architecture: one stage of plain convolutions, two of edge blocks, three or four of inverted residuals."""
    kinds = ('plain', 'edge', 'edge', *['inverted'] * 4)
    strides, ratios = (1, 2, 2, 2, 1, 2, 1), (1, 4, 4, 4, 6, 6, 6)
    stages = [Stage(*numbers) for numbers in zip(kinds, depths, strides, ratios, widths, strict=False)]
    return {'stem': stem, 'stages': stages, 'last': last}


SMALL = _arch((2, 4, 4, 6, 9, 15), (24, 48, 64, 128, 160, 256), 24, 1280)
MEDIUM = _arch((3, 5, 5, 7, 14, 18, 5), (24, 48, 80, 160, 176, 304, 512), 24, 1280)
LARGE = _arch((4, 7, 7, 10, 19, 25, 7), (32, 64, 96, 192, 224, 384, 640), 32, 1280)


class SkippingConv(ConvModule):
    """A convolution with normalization and activation, added to its input.

    Args:
        channels: Channels C in and out.
        drop_path_rate: Probability that a sample goes without the branch.
        **kwargs: Arguments of :class:`~intarsia.nn.conv_module.ConvModule`.
    """

    def __init__(self, channels: int, drop_path_rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(channels, channels, **kwargs)
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """``(N, C, H, W)`` in and out; arguments of the base class."""
        return self.drop_path(super().forward(x, activate, norm)) + x


@BACKBONES.register_module()
class EfficientNetV2(StackedStages):
    """EfficientNet with full convolutions in its first stages.

    "EfficientNetV2: Smaller Models and Faster Training" (Tan & Le, 2021, arXiv:2104.00298).

    State keys: ``layers.0`` (stem), ``layers.1`` ... (stages), and the last convolution.

    Args:
        arch: ``'s'``, ``'m'``, ``'l'`` (or in words), ``'xl'``, or ``'b0'`` ... ``'b3'``.
        in_channels: Channels of the image.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        out_indices: Stages to output: 0 is the stem, the last one is the last convolution; negative ones count from
            the end.
        frozen_stages: Freeze so many stages.
        conv_cfg: Config of stem, last convolution, and blocks that halve the resolution.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        's': SMALL, 'small': SMALL, 'm': MEDIUM, 'medium': MEDIUM, 'l': LARGE, 'large': LARGE,
        'xl': _arch((4, 8, 8, 16, 24, 32, 8), (32, 64, 96, 192, 256, 512, 640), 32, 1280),
        'b0': _arch((1, 2, 2, 3, 5, 8), (16, 32, 48, 96, 112, 192), 32, 1280),
        'b1': _arch((2, 3, 3, 4, 6, 9), (16, 32, 48, 96, 112, 192), 32, 1280),
        'b2': _arch((2, 3, 3, 4, 6, 10), (16, 32, 56, 104, 120, 208), 32, 1408),
        'b3': _arch((2, 3, 3, 5, 7, 12), (16, 40, 56, 112, 136, 232), 40, 1536),
    }  # fmt: skip
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            's': (24, 24, 48, 64, 128, 160, 256, 1280), 'small': (24, 24, 48, 64, 128, 160, 256, 1280),
            'm': (24, 24, 48, 80, 160, 176, 304, 512, 1280), 'medium': (24, 24, 48, 80, 160, 176, 304, 512, 1280),
            'l': (32, 32, 64, 96, 192, 224, 384, 640, 1280), 'large': (32, 32, 64, 96, 192, 224, 384, 640, 1280),
            'xl': (32, 32, 64, 96, 192, 256, 512, 640, 1280), 'b0': (32, 16, 32, 48, 96, 112, 192, 1280),
            'b1': (32, 16, 32, 48, 96, 112, 192, 1280), 'b2': (32, 16, 32, 56, 104, 120, 208, 1408),
            'b3': (40, 16, 40, 56, 112, 136, 232, 1536),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str = 's',
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (-1,),
        frozen_stages: int = 0,
        conv_cfg: Mapping[str, Any] | None = ADAPTIVE,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SWISH,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('stem', 'stages', 'last'))
        self.frozen_stages, self.norm_eval, self.with_cp = frozen_stages, norm_eval, with_cp
        self.conv_cfg = conv_cfg
        self._cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        stages: Sequence[Stage] = settings['stages']
        rates = iter(decay_rule(drop_path_rate, sum(stage.num_blocks for stage in stages)))
        widths, strides = [settings['stem']], [2]
        self.layers = nn.ModuleList([ConvModule(in_channels, widths[0], 3, stride=2, conv_cfg=conv_cfg, **self._cfgs)])
        for stage in stages:
            before = [widths[-1], *[stage.channels] * (stage.num_blocks - 1)]
            blocks = [
                self._block(stage, width, 1 if i else stage.stride, next(rates)) for i, width in enumerate(before)
            ]
            self.layers.append(nn.Sequential(*blocks))
            widths.append(stage.channels)
            strides.append(strides[-1] * stage.stride)
        self.layers.append(ConvModule(widths[-1], settings['last'], 1, conv_cfg=conv_cfg, **self._cfgs))
        widths.append(settings['last'])
        strides.append(strides[-1])
        self.out_indices = normalize_indices(out_indices, len(widths), 'EfficientNetV2')
        self.check_frozen_stages(frozen_stages, len(widths))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()

    def _block(self, stage: Stage, in_channels: int, stride: int, drop_path_rate: float) -> nn.Module:
        mid_channels = in_channels * stage.expand_ratio
        if stage.kind == 'plain':
            options = {'kernel_size': 3, 'stride': stride, 'padding': 1, **self._cfgs}
            if stride == 1 and in_channels == stage.channels:
                return SkippingConv(in_channels, drop_path_rate, **options)
            return ConvModule(in_channels, stage.channels, **options)
        options = {
            'stride': stride, 'conv_cfg': self.conv_cfg if stride == 2 else None, 'drop_path_rate': drop_path_rate,
            'with_cp': self.with_cp, **self._cfgs,
        }  # fmt: skip
        if stage.kind == 'edge':
            return EdgeResidual(in_channels, stage.channels, mid_channels, stride_at='expand', **options)
        se_cfg = squeeze(stage.expand_ratio * SQUEEZE, self._cfgs['act_cfg'])
        return InvertedResidual(in_channels, stage.channels, mid_channels, se_cfg=se_cfg, **options)
