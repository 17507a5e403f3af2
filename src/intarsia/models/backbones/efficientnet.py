"""EfficientNet, and its relatives for edge devices.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.edge_residual import EdgeResidual
from intarsia.models.backbones.inverted_residual import InvertedResidual
from intarsia.nn.channels import make_divisible
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import decay_rule
from intarsia.nn.module import InitCfg

ADAPTIVE: Mapping[str, Any] = {'type': 'Conv2dAdaptivePadding'}
BN: Mapping[str, Any] = {'type': 'BN', 'eps': 1e-3}
SWISH: Mapping[str, Any] = {'type': 'Swish'}


class Run(NamedTuple):
    """Blocks of one kind, before scaling. A run that keeps the resolution continues the stage before it."""

    kernel_size: int
    channels: int
    stride: int
    expand_ratio: int
    num_blocks: int
    is_edge: bool = False
    squeezes: bool = True


RUNS_B = (
    Run(3, 16, 1, 1, 1), Run(3, 24, 2, 6, 2), Run(5, 40, 2, 6, 2), Run(3, 80, 2, 6, 3), Run(5, 112, 1, 6, 3),
    Run(5, 192, 2, 6, 4), Run(3, 320, 1, 6, 1),
)  # fmt: skip
RUNS_EDGE = (
    Run(3, 24, 1, 3, 1, is_edge=True), Run(3, 32, 2, 8, 2, is_edge=True), Run(3, 48, 2, 8, 4, is_edge=True),
    Run(5, 96, 2, 8, 5, squeezes=False), Run(5, 144, 1, 8, 4, squeezes=False), Run(5, 192, 2, 8, 2, squeezes=False),
)  # fmt: skip
SQUEEZE = 4
"""By how much attention over channels squeezes the input channels of a block."""


class StackedStages(Backbone):
    """A backbone that is a list of stages; the base of the EfficientNets."""

    layers: nn.ModuleList
    out_indices: tuple[int, ...]
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'layer': ['_BatchNorm', 'GroupNorm'], 'val': 1},
    )

    def check_frozen_stages(self, frozen_stages: int, num_stages: int) -> None:
        """Raise a ValueError for a number of stages that there is not."""
        if not 0 <= frozen_stages <= num_stages:
            raise ValueError(f'{type(self).__name__}: frozen_stages={frozen_stages} must lie in 0 ... {num_stages}')

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages."""
        return list(self.layers)[: self.frozen_stages]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@BACKBONES.register_module()
class EfficientNet(StackedStages):
    """Network whose width, depth and resolution grow together.

    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (Tan & Le, 2019, arXiv:1905.11946);
    ``es``, ``em`` and ``el``: "Accelerator-aware Neural Network Design using AutoML" (Gupta & Akin, 2020,
    arXiv:2003.02838).

    State keys: ``layers.0`` (stem) ... ``layers.6`` (last convolution).

    Args:
        arch: ``'b0'`` ... ``'b8'``, ``'l2'``, ``'es'``, ``'em'`` or ``'el'``.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        out_indices: Stages to output: 0 is the stem, 1 ... 5 are those of blocks, 6 is the last convolution.
        frozen_stages: Freeze so many stages.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        edge_stride: Which convolution of a block of ``es``, ``em`` and ``el`` halves the resolution: ``'project'``, the
            narrowing one, or ``'expand'``, as in releases since 1.0.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        'b0': {'width': 1.0, 'depth': 1.0, 'runs': RUNS_B},
        'b1': {'width': 1.0, 'depth': 1.1, 'runs': RUNS_B},
        'b2': {'width': 1.1, 'depth': 1.2, 'runs': RUNS_B},
        'b3': {'width': 1.2, 'depth': 1.4, 'runs': RUNS_B},
        'b4': {'width': 1.4, 'depth': 1.8, 'runs': RUNS_B},
        'b5': {'width': 1.6, 'depth': 2.2, 'runs': RUNS_B},
        'b6': {'width': 1.8, 'depth': 2.6, 'runs': RUNS_B},
        'b7': {'width': 2.0, 'depth': 3.1, 'runs': RUNS_B},
        'b8': {'width': 2.2, 'depth': 3.6, 'runs': RUNS_B},
        'l2': {'width': 4.3, 'depth': 5.3, 'runs': RUNS_B},
        'es': {'width': 1.0, 'depth': 1.0, 'runs': RUNS_EDGE},
        'em': {'width': 1.0, 'depth': 1.1, 'runs': RUNS_EDGE},
        'el': {'width': 1.2, 'depth': 1.4, 'runs': RUNS_EDGE},
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'b0': (32, 16, 24, 40, 112, 320, 1280), 'b1': (32, 16, 24, 40, 112, 320, 1280),
            'b2': (32, 16, 24, 48, 120, 352, 1408), 'b3': (40, 24, 32, 48, 136, 384, 1536),
            'b4': (48, 24, 32, 56, 160, 448, 1792), 'b5': (48, 24, 40, 64, 176, 512, 2048),
            'b6': (56, 32, 40, 72, 200, 576, 2304), 'b7': (64, 32, 48, 80, 224, 640, 2560),
            'b8': (72, 32, 56, 88, 248, 704, 2816), 'l2': (136, 72, 104, 176, 480, 1376, 5504),
            'es': (32, 24, 32, 48, 144, 192, 1280), 'em': (32, 24, 32, 48, 144, 192, 1280),
            'el': (40, 32, 40, 56, 176, 232, 1536),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str = 'b0',
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (6,),
        frozen_stages: int = 0,
        conv_cfg: Mapping[str, Any] | None = ADAPTIVE,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SWISH,
        norm_eval: bool = False,
        with_cp: bool = False,
        edge_stride: Literal['project', 'expand'] = 'project',
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('width', 'depth', 'runs'))
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.act_cfg, self.edge_stride = act_cfg, edge_stride
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        runs = [_scaled(run, settings['width'], settings['depth']) for run in settings['runs']]
        rates = iter(decay_rule(drop_path_rate, sum(run.num_blocks for run in runs)))
        stem, last = (make_divisible(channels * settings['width'], 8) for channels in (32, 1280))
        self.layers = nn.ModuleList([ConvModule(3, stem, 3, stride=2, padding=1, **cfgs)])
        widths, strides = [stem], [2]
        for i, run in enumerate(runs):
            if run.stride > 1 or i == 0:
                self.layers.append(nn.Sequential())
                widths.append(widths[-1])
                strides.append(strides[-1] * run.stride)
            stage = self.layers[-1]
            assert isinstance(stage, nn.Sequential)
            for j in range(run.num_blocks):
                options = {'drop_path_rate': next(rates), 'with_cp': with_cp, **cfgs}
                stage.append(self._block(run, widths[-1], is_first=j == 0, **options))
                widths[-1] = run.channels
        self.layers.append(ConvModule(widths[-1], last, 1, **cfgs))
        widths.append(last)
        strides.append(strides[-1])
        self.out_indices = normalize_indices(out_indices, len(widths), 'EfficientNet')
        self.check_frozen_stages(frozen_stages, len(widths))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()

    def _block(self, run: Run, in_channels: int, is_first: bool, **options: Any) -> nn.Module:
        stride = run.stride if is_first else 1
        if run.is_edge:
            # In the stage that widens least, all blocks but the first widen more, and add no input.
            differs = not is_first and run.expand_ratio == 3
            mid_channels = in_channels * (4 if differs else run.expand_ratio)
            return EdgeResidual(
                in_channels, run.channels, mid_channels, run.kernel_size, stride, with_residual=not differs,
                stride_at=self.edge_stride, **options,
            )  # fmt: skip
        mid_channels = in_channels * run.expand_ratio
        return InvertedResidual(
            in_channels, run.channels, mid_channels, run.kernel_size, stride=stride,
            se_cfg=squeeze(run.expand_ratio * SQUEEZE, self.act_cfg) if run.squeezes else None,
            with_expand_conv=mid_channels != in_channels, **options,
        )  # fmt: skip


def squeeze(ratio: float, act_cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Config of attention over channels that divides the wide channels of a block by ``ratio``."""
    return {'ratio': ratio, 'divisor': 1, 'act_cfg': (act_cfg, {'type': 'Sigmoid'})}


def _scaled(run: Run, width: float, depth: float) -> Run:
    num_blocks = math.ceil(depth * run.num_blocks)
    return run._replace(channels=make_divisible(run.channels * width, 8), num_blocks=num_blocks)
