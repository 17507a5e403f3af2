"""MobileNetV3.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.inverted_residual import InvertedResidual
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN', 'eps': 0.001, 'momentum': 0.01}
HSWISH: Mapping[str, Any] = {'type': 'HSwish'}
SE: Mapping[str, Any] = {'ratio': 4, 'act_cfg': ({'type': 'ReLU'}, {'type': 'HSigmoid', 'bias': 3.0, 'divisor': 6.0})}


class Row(NamedTuple):
    """A block of the architecture table."""

    kernel_size: int
    mid_channels: int
    channels: int
    squeezes: bool
    act: str
    stride: int


def _rows(*numbers: tuple[Any, ...]) -> tuple[Row, ...]:
    return tuple(Row(*row) for row in numbers)


SMALL = _rows(
    (3, 16, 16, True, 'ReLU', 2), (3, 72, 24, False, 'ReLU', 2), (3, 88, 24, False, 'ReLU', 1),
    (5, 96, 40, True, 'HSwish', 2), (5, 240, 40, True, 'HSwish', 1), (5, 240, 40, True, 'HSwish', 1),
    (5, 120, 48, True, 'HSwish', 1), (5, 144, 48, True, 'HSwish', 1), (5, 288, 96, True, 'HSwish', 2),
    (5, 576, 96, True, 'HSwish', 1), (5, 576, 96, True, 'HSwish', 1),
)  # fmt: skip
SMALL_075 = _rows(
    (3, 16, 16, True, 'ReLU', 2), (3, 72, 24, False, 'ReLU', 2), (3, 88, 24, False, 'ReLU', 1),
    (5, 96, 32, True, 'HSwish', 2), (5, 192, 32, True, 'HSwish', 1), (5, 192, 32, True, 'HSwish', 1),
    (5, 96, 40, True, 'HSwish', 1), (5, 120, 40, True, 'HSwish', 1), (5, 240, 72, True, 'HSwish', 2),
    (5, 432, 72, True, 'HSwish', 1), (5, 432, 72, True, 'HSwish', 1),
)  # fmt: skip
SMALL_050 = _rows(
    (3, 16, 8, True, 'ReLU', 2), (3, 40, 16, False, 'ReLU', 2), (3, 56, 16, False, 'ReLU', 1),
    (5, 64, 24, True, 'HSwish', 2), (5, 144, 24, True, 'HSwish', 1), (5, 144, 24, True, 'HSwish', 1),
    (5, 72, 24, True, 'HSwish', 1), (5, 72, 24, True, 'HSwish', 1), (5, 144, 48, True, 'HSwish', 2),
    (5, 288, 48, True, 'HSwish', 1), (5, 288, 48, True, 'HSwish', 1),
)  # fmt: skip
LARGE = _rows(
    (3, 16, 16, False, 'ReLU', 1), (3, 64, 24, False, 'ReLU', 2), (3, 72, 24, False, 'ReLU', 1),
    (5, 72, 40, True, 'ReLU', 2), (5, 120, 40, True, 'ReLU', 1), (5, 120, 40, True, 'ReLU', 1),
    (3, 240, 80, False, 'HSwish', 2), (3, 200, 80, False, 'HSwish', 1), (3, 184, 80, False, 'HSwish', 1),
    (3, 184, 80, False, 'HSwish', 1), (3, 480, 112, True, 'HSwish', 1), (3, 672, 112, True, 'HSwish', 1),
    (5, 672, 160, True, 'HSwish', 2), (5, 960, 160, True, 'HSwish', 1), (5, 960, 160, True, 'HSwish', 1),
)  # fmt: skip


class MobileNetV3Layers(Backbone):
    """A stem and blocks of MobileNetV3, one after the other; the base of the variants of all tasks.

    Attributes:
        layers: Names of what may be output, in order.
    """

    layers: list[str]
    out_indices: tuple[int, ...]

    def block(self, row: Row, in_channels: int, **options: Any) -> InvertedResidual:
        """Make one block; ``options`` are further arguments of it."""
        return InvertedResidual(
            in_channels, row.channels, row.mid_channels, row.kernel_size,
            **{
                'stride': row.stride, 'se_cfg': SE if row.squeezes else None, 'act_cfg': {'type': row.act},
                'with_expand_conv': row.mid_channels != in_channels, **options,
            },
        )  # fmt: skip

    def add_layer(self, name: str, layer: nn.Module) -> None:
        """Append a layer that may be output."""
        self.add_module(name, layer)
        self.layers.append(name)

    def check_frozen_stages(self, num_stages: int) -> None:
        """Raise a ValueError for a stage that there is not."""
        if not -1 <= self.frozen_stages < num_stages:
            name = type(self).__name__
            raise ValueError(f'{name}: frozen_stages={self.frozen_stages} must lie in -1 ... {num_stages - 1}')

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The layers up to number ``frozen_stages``."""
        return [getattr(self, name) for name in self.layers[: self.frozen_stages + 1]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of the output layers, ``(N, C, H / stride, W / stride)``."""
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@BACKBONES.register_module()
class MobileNetV3(MobileNetV3Layers):
    """Network of inverted residuals with attention over channels, found by search.

    "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244).

    State keys: ``layer0`` (stem), ``layer1`` ... (blocks), and the last convolution.

    Args:
        arch: ``'small'``, ``'small_075'``, ``'small_050'`` or ``'large'``.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        out_indices: Layers to output, from 0; by default the last convolution.
        frozen_stages: Freeze the layers up to this number; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or an index lies outside of the layers.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        'small': {'rows': SMALL}, 'small_075': {'rows': SMALL_075}, 'small_050': {'rows': SMALL_050},
        'large': {'rows': LARGE},
    }  # fmt: skip
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'small': (16, 16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96, 576),
            'small_075': (16, 16, 24, 24, 32, 32, 32, 40, 40, 72, 72, 72, 432),
            'small_050': (16, 8, 16, 16, 24, 24, 24, 24, 24, 48, 48, 48, 288),
            'large': (16, 16, 24, 24, 40, 40, 40, 80, 80, 80, 80, 112, 112, 160, 160, 160, 960),
        }
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d'], 'nonlinearity': 'leaky_relu'},
        {'type': 'Normal', 'layer': ['Linear'], 'std': 0.01},
        {'type': 'Constant', 'layer': ['BatchNorm2d'], 'val': 1},
    )

    def __init__(
        self,
        arch: str = 'small',
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        rows: Sequence[Row] = choose_arch(self, arch, self.arch_settings, ('rows',))['rows']
        self.out_indices = normalize_indices(-1 if out_indices is None else out_indices, len(rows) + 2, 'MobileNetV3')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.check_frozen_stages(len(rows) + 2)
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}

        self.layers = []
        self.add_layer('layer0', ConvModule(3, 16, 3, stride=2, padding=1, act_cfg=HSWISH, **options))
        widths, strides = [16], [2]
        for i, row in enumerate(rows, start=1):
            self.add_layer(f'layer{i}', self.block(row, widths[-1], with_cp=with_cp, **options))
            widths.append(row.channels)
            strides.append(strides[-1] * row.stride)
        last = rows[-1].mid_channels
        self.add_layer(f'layer{len(rows) + 1}', ConvModule(widths[-1], last, 1, act_cfg=HSWISH, **options))
        widths.append(last)
        strides.append(strides[-1])
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()
