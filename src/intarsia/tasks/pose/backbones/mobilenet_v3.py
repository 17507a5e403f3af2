"""MobileNetV3 of pose estimation, whose blocks differ in details from the shared one's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import choose_arch, normalize_indices
from intarsia.models.backbones.mobilenet_v3 import HSWISH, LARGE, SMALL, MobileNetV3Layers, Row
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN'}
SE: Mapping[str, Any] = {
    'ratio': 4, 'divisor': 1, 'act_cfg': ({'type': 'ReLU'}, {'type': 'HSigmoid', 'bias': 1.0, 'divisor': 2.0}),
}  # fmt: skip
BIG = (*LARGE[:12], Row(5, 672, 160, True, 'HSwish', 1), Row(5, 672, 160, True, 'HSwish', 2), LARGE[14])


@BACKBONES.register_module()
class MobileNetV3(MobileNetV3Layers):
    """Network of inverted residuals with attention over channels, without the last convolution of classifiers.

    "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244).

    State keys: ``conv1``, ``layer1`` ... of all blocks.

    Args:
        arch: ``'small'`` or ``'big'``.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        out_indices: Blocks to output, from 0; negative ones count from the end.
        frozen_stages: Freeze ``conv1`` (0) and so many blocks; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the blocks.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {'small': {'rows': SMALL}, 'big': {'rows': BIG}}
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'small': (16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96),
            'big': (16, 24, 24, 40, 40, 40, 80, 80, 80, 80, 112, 112, 160, 160, 160),
        }
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )

    def __init__(
        self,
        arch: str = 'small',
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        rows: Sequence[Row] = choose_arch(self, arch, self.arch_settings, ('rows',))['rows']
        self.out_indices = normalize_indices(out_indices, len(rows), 'MobileNetV3')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.check_frozen_stages(len(rows))
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}

        self.conv1 = ConvModule(3, 16, 3, stride=2, padding=1, act_cfg=HSWISH, **options)
        self.layers = []
        widths, strides = [16], [2]
        for i, row in enumerate(rows, start=1):
            attention = SE if row.squeezes else None
            block = self.block(row, widths[-1], se_cfg=attention, with_expand_conv=True, with_cp=with_cp, **options)
            self.add_layer(f'layer{i}', block)
            widths.append(row.channels)
            strides.append(strides[-1] * row.stride)
        self.out_channels = tuple(widths[i + 1] for i in self.out_indices)
        self.strides = tuple(strides[i + 1] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """``conv1`` and the first ``frozen_stages`` blocks."""
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *[getattr(self, name) for name in self.layers[: self.frozen_stages]]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of the output blocks, ``(N, C, H / stride, W / stride)``."""
        return super().forward(self.conv1(x))
