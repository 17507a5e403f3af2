"""ConvMixer.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class Residual(nn.Module):
    """Add the input to what a module makes of it.

    Args:
        fn: The module.
    """

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return self.fn(x) + x


@BACKBONES.register_module()
class ConvMixer(Backbone):
    """Patches mixed by large depthwise convolutions, at one resolution.

    "Patches Are All You Need?" (Trockman & Kolter, 2022, arXiv:2201.09792).

    State keys: ``stem``, ``stages``.

    Args:
        arch: ``'768/32'``, ``'1024/20'``, ``'1536/20'``, or a dict with ``embed_dims``, ``depth``, ``patch_size`` and
            ``kernel_size``.
        in_channels: Channels of the image.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        out_indices: Layers to output, from 0; negative ones count from the end.
        frozen_stages: Freeze so many layers.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the layers.
    """

    arch_settings: ClassVar[dict[str, dict[str, int]]] = {
        '768/32': {'embed_dims': 768, 'depth': 32, 'patch_size': 7, 'kernel_size': 7},
        '1024/20': {'embed_dims': 1024, 'depth': 20, 'patch_size': 14, 'kernel_size': 9},
        '1536/20': {'embed_dims': 1536, 'depth': 20, 'patch_size': 7, 'kernel_size': 9},
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {'768/32': (768,), '1024/20': (1024,), '1536/20': (1536,)}
    }

    def __init__(
        self,
        arch: str | Mapping[str, int] = '768/32',
        in_channels: int = 3,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = GELU,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        keys = ('embed_dims', 'depth', 'patch_size', 'kernel_size')
        width, depth, patch, kernel = (choose_arch(self, arch, self.arch_settings, keys)[key] for key in keys)
        self.out_indices = normalize_indices(out_indices, depth, 'ConvMixer')
        if not 0 <= frozen_stages <= depth:
            raise ValueError(f'ConvMixer: frozen_stages={frozen_stages} must lie in 0 ... {depth}')
        self.frozen_stages = frozen_stages

        def activated(conv: nn.Module) -> list[nn.Module]:
            return [conv, build_activation_layer(act_cfg), build_norm_layer(norm_cfg, width)[1]]

        self.stem = nn.Sequential(*activated(nn.Conv2d(in_channels, width, patch, stride=patch)))
        self.stages = nn.Sequential()
        for _ in range(depth):
            depthwise = nn.Conv2d(width, width, kernel, groups=width, padding='same')
            pointwise = nn.Conv2d(width, width, 1)
            self.stages.append(nn.Sequential(Residual(nn.Sequential(*activated(depthwise))), *activated(pointwise)))
        self.out_channels = (width,) * len(self.out_indices)
        self.strides = (patch,) * len(self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` layers."""
        return list(self.stages)[: self.frozen_stages]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output layers, ``(N, C, H // patch, W // patch)``."""
        x_nchw = self.stem(x)
        outs = []
        for i, stage in enumerate(self.stages):
            x_nchw = stage(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)
