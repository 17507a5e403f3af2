"""MobileNetV3 with dilated last stages, for dense maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import choose_arch, init_from, normalize_indices
from intarsia.models.backbones.mobilenet_v3 import HSWISH, LARGE, SMALL, MobileNetV3Layers, Row
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

ADAPTIVE: Mapping[str, Any] = {'type': 'Conv2dAdaptivePadding'}
BN: Mapping[str, Any] = {'type': 'BN'}


@BACKBONES.register_module()
class MobileNetV3(MobileNetV3Layers):
    """Network of inverted residuals with attention over channels, whose last two stages dilate, not stride.

    "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244).

    State keys: ``layer0`` (stem), ``layer1`` ... (blocks), and the last convolution.

    Args:
        arch: ``'small'`` or ``'large'``.
        conv_cfg: Config of the convolutions; those that halve the resolution pad by the size of their map instead.
        norm_cfg: Config of the normalizations.
        out_indices: Layers to output, from 0.
        frozen_stages: Freeze the layers up to this number; -1 freezes nothing.
        reduction_factor: By how much the channels of the last stage are divided.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the layers.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        'small': {'rows': SMALL, 'dilated': (4, 9)},
        'large': {'rows': LARGE, 'dilated': (7, 13)},
    }
    """Blocks, and the layers from which on dilations are 2 and 4."""
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('reduction_factor',)
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'small': (16, 16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96, 576),
            'large': (16, 16, 24, 24, 40, 40, 40, 80, 80, 80, 80, 112, 112, 160, 160, 160, 960),
        }
    }
    STATIC_OUT_INDICES: ClassVar[tuple[int, ...]] = (0, 1, 12)
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        arch: str = 'small',
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        out_indices: Sequence[int] = (0, 1, 12),
        frozen_stages: int = -1,
        reduction_factor: int = 1,
        norm_eval: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        settings = choose_arch(self, arch, self.arch_settings, ('rows', 'dilated'))
        rows: Sequence[Row] = settings['rows']
        self.out_indices = normalize_indices(out_indices, len(rows) + 2, 'MobileNetV3')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.check_frozen_stages(len(rows) + 2)

        self.layers = []
        stem = ConvModule(3, 16, 3, stride=2, padding=1, conv_cfg=ADAPTIVE, norm_cfg=norm_cfg, act_cfg=HSWISH)
        self.add_layer('layer0', stem)
        widths, strides = [16], [2]
        for i, row in enumerate(rows, start=1):
            if i >= settings['dilated'][1]:
                row = row._replace(
                    mid_channels=row.mid_channels // reduction_factor, channels=row.channels // reduction_factor
                )
            if i in settings['dilated']:
                row = row._replace(stride=1)
            dilation = 2 ** sum(i >= first for first in settings['dilated'])
            kind = ADAPTIVE if row.stride == 2 else conv_cfg
            block = self.block(row, widths[-1], dilation=dilation, conv_cfg=kind, norm_cfg=norm_cfg, with_cp=with_cp)
            # Where the stride went, the input is not added, even if reduced channels would allow it.
            block.with_res_shortcut &= i not in settings['dilated']
            self.add_layer(f'layer{i}', block)
            widths.append(row.channels)
            strides.append(strides[-1] * row.stride)
        last = rows[-1].mid_channels
        head = ConvModule(widths[-1], last, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=HSWISH)
        self.add_layer(f'layer{len(rows) + 1}', head)
        widths.append(last)
        strides.append(strides[-1])
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()
