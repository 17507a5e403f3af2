"""Path aggregation over the maps of CSPNeXt.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.models.backbones.csp_layer import BN, CSPLayer, conv_class
from intarsia.models.backbones.cspnext import KAIMING_UNIFORM
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize

SWISH: Mapping[str, Any] = {'type': 'Swish'}
TWICE: Mapping[str, Any] = {'scale_factor': 2, 'mode': 'nearest'}


@NECKS.register_module()
class CSPNeXtPAFPN(BaseModule):
    """Carry what coarse maps know to the fine ones, then back, with a cross-stage partial layer at each step.

    "Path Aggregation Network for Instance Segmentation" (Liu et al., 2018, arXiv:1803.01534), with the layers of
    "RTMDet: An Empirical Study of Designing Real-Time Object Detectors" (Lyu et al., 2022, arXiv:2212.07784).

    State keys: ``reduce_layers``, ``top_down_blocks``, ``downsamples``, ``bottom_up_blocks``, ``out_convs``.

    Args:
        in_channels: Channels of each map of the backbone, from the finest.
        out_channels: Channels of the outputs; None leaves the maps as wide as they came.
        out_indices: Which maps are output, from the finest.
        num_csp_blocks: Blocks of each layer.
        use_depthwise: Make all spatial convolutions depthwise separable.
        expand_ratio: Channels inside a layer divided by its output channels.
        upsample_cfg: How coarser maps are enlarged, as :func:`~intarsia.nn.resize.resize` takes it.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = KAIMING_UNIFORM

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int | None,
        out_indices: Sequence[int] = (0, 1, 2),
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        upsample_cfg: Mapping[str, Any] = TWICE,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = SWISH,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_indices, self.upsample_cfg = tuple(in_channels), tuple(out_indices), upsample_cfg
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        spatial = conv_class(use_depthwise)

        def layer(before: int, after: int) -> CSPLayer:
            return CSPLayer(before, after, expand_ratio, num_csp_blocks, False, use_depthwise, **cfgs)

        steps = list(zip(self.in_channels[:-1], self.in_channels[1:], strict=True))
        self.reduce_layers = nn.ModuleList(ConvModule(coarse, fine, 1, **cfgs) for fine, coarse in steps[::-1])
        self.top_down_blocks = nn.ModuleList(layer(2 * fine, fine) for fine, _ in steps[::-1])
        self.downsamples = nn.ModuleList(spatial(fine, fine, 3, stride=2, padding=1, **cfgs) for fine, _ in steps)
        self.bottom_up_blocks = nn.ModuleList(layer(2 * fine, coarse) for fine, coarse in steps)
        self.out_convs = nn.ModuleList(
            nn.Identity() if out_channels is None else spatial(channels, out_channels, 3, padding=1, **cfgs)
            for channels in self.in_channels
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps ``(N, in_channels[i], H_i, W_i)``, each half as large as the one before, to those of ``out_indices``.

        Raises:
            ValueError: There are more or fewer maps than ``in_channels``.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'CSPNeXtPAFPN got {len(inputs)} maps, but in_channels has {len(self.in_channels)}')
        merged_nchw, passed = inputs[-1], []
        for reduce, block, fine_nchw in zip(self.reduce_layers, self.top_down_blocks, inputs[-2::-1], strict=True):
            passed.append(reduce(merged_nchw))
            merged_nchw = block(torch.cat((resize(passed[-1], **self.upsample_cfg), fine_nchw), dim=1))
        outs = [merged_nchw]
        for downsample, block, coarse_nchw in zip(self.downsamples, self.bottom_up_blocks, passed[::-1], strict=True):
            outs.append(block(torch.cat((downsample(outs[-1]), coarse_nchw), dim=1)))
        return tuple(self.out_convs[i](outs[i]) for i in self.out_indices)
