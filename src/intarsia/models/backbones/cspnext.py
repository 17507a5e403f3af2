"""CSPNeXt.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.models.backbones.csp_layer import BN, SILU, CSPLayer, SPPBottleneck, conv_class
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

KAIMING_UNIFORM: Mapping[str, Any] = {
    'type': 'Kaiming', 'layer': 'Conv2d', 'a': math.sqrt(5), 'distribution': 'uniform', 'mode': 'fan_in',
    'nonlinearity': 'leaky_relu',
}  # fmt: skip


class Stage(NamedTuple):
    """A row of the architecture table."""

    in_channels: int
    out_channels: int
    num_blocks: int
    add_identity: bool
    use_spp: bool


@BACKBONES.register_module()
class CSPNeXt(Backbone):
    """Network of cross-stage partial layers with large depthwise kernels and attention over channels.

    "RTMDet: An Empirical Study of Designing Real-Time Object Detectors" (Lyu et al., 2022, arXiv:2212.07784).

    State keys: ``stem``, ``stage1`` ... ``stage4`` (``stage5`` for P6).

    Args:
        arch: ``'P5'`` or ``'P6'``, of no account if ``arch_ovewrite`` is given.
        deepen_factor: Factor of all numbers of blocks.
        widen_factor: Factor of all channel counts.
        out_indices: Stages to output; 0 is the stem.
        frozen_stages: Freeze the stem and the stages up to this one, 0 for the stem alone; -1 freezes nothing.
        use_depthwise: Make all spatial convolutions depthwise separable.
        expand_ratio: Channels inside a layer divided by its output channels.
        arch_ovewrite: An architecture of one's own: input and output channels, number of blocks, whether they add
            their input, and whether a spatial pyramid pooling goes before, of each stage. (So spelled in checkpoints'
            config files.)
        spp_kernel_sizes: Windows of the spatial pyramid pooling.
        channel_attention: Weigh channels at the end of each layer.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, tuple[Stage, ...]]] = {
        'P5': (
            Stage(64, 128, 3, True, False),
            Stage(128, 256, 6, True, False),
            Stage(256, 512, 6, True, False),
            Stage(512, 1024, 3, False, True),
        ),
        'P6': (
            Stage(64, 128, 3, True, False),
            Stage(128, 256, 6, True, False),
            Stage(256, 512, 6, True, False),
            Stage(512, 768, 3, True, False),
            Stage(768, 1024, 3, False, True),
        ),
    }
    default_init: ClassVar[InitCfg] = KAIMING_UNIFORM

    def __init__(
        self,
        arch: str = 'P5',
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        arch_ovewrite: Sequence[Sequence[Any]] | None = None,
        spp_kernel_sizes: Sequence[int] = (5, 9, 13),
        channel_attention: bool = True,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SILU,
        norm_eval: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if not arch_ovewrite and arch not in self.arch_settings:
            raise ValueError(f'CSPNeXt: arch is one of {", ".join(self.arch_settings)}, not {arch!r}')
        rows = [Stage(*row) for row in arch_ovewrite or self.arch_settings[arch]]
        if not -1 <= frozen_stages <= len(rows):
            raise ValueError(f'CSPNeXt: frozen_stages={frozen_stages} must lie in -1 ... {len(rows)}')
        self.out_indices = normalize_indices(out_indices, len(rows) + 1, 'CSPNeXt')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        norm_act: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        cfgs = {'conv_cfg': conv_cfg, **norm_act}

        widths = [int(rows[0].in_channels * widen_factor)]
        half = int(rows[0].in_channels * widen_factor // 2)
        self.stem = nn.Sequential(
            ConvModule(3, half, 3, stride=2, padding=1, **norm_act),
            ConvModule(half, half, 3, padding=1, **norm_act),
            ConvModule(half, widths[0], 3, padding=1, **norm_act),
        )
        self.layers = ['stem']
        for i, row in enumerate(rows, start=1):
            width = int(row.out_channels * widen_factor)
            layers: list[nn.Module] = [
                conv_class(use_depthwise)(int(row.in_channels * widen_factor), width, 3, stride=2, padding=1, **cfgs)
            ]
            if row.use_spp:
                layers.append(SPPBottleneck(width, width, spp_kernel_sizes, **cfgs))
            num_blocks = max(round(row.num_blocks * deepen_factor), 1)
            layers.append(
                CSPLayer(
                    width, width, expand_ratio, num_blocks, row.add_identity, use_depthwise, channel_attention, **cfgs
                )
            )
            self.layers.append(f'stage{i}')
            self.add_module(self.layers[-1], nn.Sequential(*layers))
            widths.append(width)
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(2 ** (i + 1) for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stem and the stages up to ``frozen_stages``."""
        return [getattr(self, name) for name in self.layers[: self.frozen_stages + 1]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
