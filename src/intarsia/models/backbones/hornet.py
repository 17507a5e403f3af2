"""HorNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.layer_scale import LayerScale
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import LayerNorm2d

DW7: Mapping[str, Any] = {'type': 'DW', 'kernel_size': 7}
FIRST_SCALE = 1e-5


class GlobalLocalFilter(BaseModule):
    """Half of the channels through a 3 x 3 convolution of each, half through a learned filter of frequencies.

    Args:
        dim: Channels C.
        h: Rows of the filter; it is interpolated to the frequencies of the map.
        w: Columns of the filter.
    """

    def __init__(self, dim: int, h: int = 14, w: int = 8) -> None:
        super().__init__()
        self.dw = nn.Conv2d(dim // 2, dim // 2, 3, padding=1, bias=False, groups=dim // 2)
        self.complex_weight = nn.Parameter(torch.randn(dim // 2, h, w, 2) * 0.02)
        self.pre_norm, self.post_norm = LayerNorm2d(dim, eps=1e-6), LayerNorm2d(dim, eps=1e-6)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out; the halves alternate in the result."""
        near_nchw, far_nchw = self.pre_norm(x_nchw).chunk(2, dim=1)
        waves_nchw = torch.fft.rfft2(far_nchw.float(), norm='ortho')
        filtered = waves_nchw * torch.view_as_complex(self._filter(tuple(waves_nchw.shape[2:])))
        far_nchw = torch.fft.irfft2(filtered, s=tuple(x_nchw.shape[2:]), norm='ortho')
        return self.post_norm(torch.stack((self.dw(near_nchw), far_nchw), dim=2).flatten(1, 2))

    def _filter(self, size: tuple[int, ...]) -> Tensor:
        """Real and imaginary parts of the filter at a size, ``(C / 2, h, w, 2)``."""
        weight_chw2 = self.complex_weight
        if tuple(weight_chw2.shape[1:3]) == size:
            return weight_chw2
        parts_2chw = weight_chw2.permute(3, 0, 1, 2)
        resized = F.interpolate(parts_2chw, size=size, mode='bilinear', align_corners=True)
        return resized.permute(1, 2, 3, 0).contiguous()


class GatedConv(BaseModule):
    """Recursive gated convolution: parts of a filtered map, each with twice the channels, multiplied one by one.

    State keys: ``proj_in``, ``dwconv``, ``projs``, ``proj_out``.

    Args:
        dim: Channels C.
        order: Number of multiplications.
        dw_cfg: The filter: ``dict(type='DW', kernel_size=...)``, a convolution of every channel, or
            ``dict(type='GF', h=..., w=...)``, a :class:`GlobalLocalFilter`.
        scale: Factor of the filtered map.

    Raises:
        ValueError: The type of the filter is another.
    """

    def __init__(self, dim: int, order: int = 5, dw_cfg: Mapping[str, Any] = DW7, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.dims = scale, [dim // 2**i for i in reversed(range(order))]
        self.proj_in = nn.Conv2d(dim, 2 * dim, 1)
        self.dwconv = _filter_of(sum(self.dims), **dw_cfg)
        self.proj_out = nn.Conv2d(dim, dim, 1)
        self.projs = nn.ModuleList(nn.Conv2d(self.dims[i], self.dims[i + 1], 1) for i in range(order - 1))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        first_nchw, rest_nchw = self.proj_in(x_nchw).split((self.dims[0], sum(self.dims)), dim=1)
        gates = (self.dwconv(rest_nchw) * self.scale).split(self.dims, dim=1)
        out_nchw = first_nchw * gates[0]
        for project, gate_nchw in zip(self.projs, gates[1:], strict=True):
            out_nchw = project(out_nchw) * gate_nchw
        return self.proj_out(out_nchw)


def _filter_of(dim: int, type: str, **options: Any) -> nn.Module:
    if type == 'GF':
        return GlobalLocalFilter(dim, **options)
    if type != 'DW':
        raise ValueError(f"the type of a filter of HorNet is 'DW' or 'GF', not {type!r}")
    kernel_size = options['kernel_size']
    return nn.Conv2d(dim, dim, kernel_size, padding=(kernel_size - 1) // 2, bias=options.get('bias', True), groups=dim)


class HorNetBlock(BaseModule):
    """A recursive gated convolution and a two-layer network at every place, each added to its input.

    Args:
        dim: Channels C.
        order: Number of multiplications.
        dw_cfg: The filter, as :class:`GatedConv` takes it.
        scale: Factor of the filtered map.
        drop_path_rate: Probability that a sample goes without a branch.
        use_layer_scale: Scale each branch by a factor per channel.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        dim: int,
        order: int = 5,
        dw_cfg: Mapping[str, Any] = DW7,
        scale: float = 1.0,
        drop_path_rate: float = 0.0,
        use_layer_scale: bool = True,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.norm1 = LayerNorm2d(dim, eps=1e-6)
        self.gnconv = GatedConv(dim, order, dw_cfg, scale)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma1: nn.Module = LayerScale(dim, FIRST_SCALE) if use_layer_scale else nn.Identity()
        self.gamma2: nn.Module = LayerScale(dim, FIRST_SCALE) if use_layer_scale else nn.Identity()
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        if self.with_cp and x_nchw.requires_grad:
            return checkpoint(self._sum, x_nchw, use_reentrant=False)
        return self._sum(x_nchw)

    def _sum(self, x_nchw: Tensor) -> Tensor:
        gated_nhwc = self.gnconv(self.norm1(x_nchw)).permute(0, 2, 3, 1)
        x_nhwc = x_nchw.permute(0, 2, 3, 1) + self.drop_path(self.gamma1(gated_nhwc))
        inside_nhwc = self.pwconv2(self.act(self.pwconv1(self.norm2(x_nhwc))))
        return (x_nhwc + self.drop_path(self.gamma2(inside_nhwc))).permute(0, 3, 1, 2)


def _arch(base_dim: int, *filters: tuple[int, int]) -> dict[str, Any]:
    """Numbers of an architecture; ``filters`` are rows and columns of the global filters of its last stages."""
    last = tuple({'type': 'GF', 'h': rows, 'w': columns} for rows, columns in filters)
    dw_cfg = (*(DW7,) * (4 - len(last)), *last)
    return {'base_dim': base_dim, 'depths': (2, 3, 18, 2), 'orders': (2, 3, 4, 5), 'dw_cfg': dw_cfg}


OF_224 = ((14, 8), (7, 4))
OF_384 = ((24, 12), (13, 7))


@BACKBONES.register_module()
class HorNet(Backbone):
    """Convolutional network whose blocks multiply filtered maps, again and again.

    "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions" (Rao et al., 2022,
    arXiv:2207.14284).

    State keys: ``downsample_layers``, ``stages``, ``norm{i}`` for every output i.

    Args:
        arch: Name of an architecture, or a dict with ``base_dim``, and ``depths``, ``orders`` and ``dw_cfg`` (see
            :class:`GatedConv`) of the stages.
        in_channels: Channels of the image.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        scale: Factor of filtered maps.
        use_layer_scale: Scale each branch by a factor per channel.
        out_indices: Stages to output, from 0; negative ones count from the end.
        frozen_stages: Freeze the stages up to this one, from 0, each with the downsampling before it; -1 freezes
            nothing.
        with_cp: Compute activations again in the backward pass, to save memory.
        gap_before_final_norm: Average the map before its last normalization: outputs are vectors.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **dict.fromkeys(('t', 'tiny'), _arch(64)),
        **dict.fromkeys(('t-gf', 'tiny-gf'), _arch(64, *OF_224)),
        **dict.fromkeys(('s', 'small'), _arch(96)),
        **dict.fromkeys(('s-gf', 'small-gf'), _arch(96, *OF_224)),
        **dict.fromkeys(('b', 'base'), _arch(128)),
        **dict.fromkeys(('b-gf', 'base-gf'), _arch(128, *OF_224)),
        **dict.fromkeys(('b-gf384', 'base-gf384'), _arch(128, *OF_384)),
        **dict.fromkeys(('l', 'large'), _arch(192)),
        **dict.fromkeys(('l-gf', 'large-gf'), _arch(192, *OF_224)),
        **dict.fromkeys(('l-gf384', 'large-gf384'), _arch(192, *OF_384)),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            't': (64, 128, 256, 512), 'tiny': (64, 128, 256, 512), 't-gf': (64, 128, 256, 512),
            'tiny-gf': (64, 128, 256, 512), 's': (96, 192, 384, 768), 'small': (96, 192, 384, 768),
            's-gf': (96, 192, 384, 768), 'small-gf': (96, 192, 384, 768), 'b': (128, 256, 512, 1024),
            'base': (128, 256, 512, 1024), 'b-gf': (128, 256, 512, 1024), 'base-gf': (128, 256, 512, 1024),
            'b-gf384': (128, 256, 512, 1024), 'base-gf384': (128, 256, 512, 1024), 'l': (192, 384, 768, 1536),
            'large': (192, 384, 768, 1536), 'l-gf': (192, 384, 768, 1536), 'large-gf': (192, 384, 768, 1536),
            'l-gf384': (192, 384, 768, 1536), 'large-gf384': (192, 384, 768, 1536),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        scale: float = 1 / 3,
        use_layer_scale: bool = True,
        out_indices: int | Sequence[int] = (3,),
        frozen_stages: int = -1,
        with_cp: bool = False,
        gap_before_final_norm: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ('base_dim', 'depths', 'orders', 'dw_cfg'))
        depths = settings['depths']
        self.out_indices = normalize_indices(out_indices, len(depths), 'HorNet')
        self.frozen_stages, self.gap_before_final_norm = frozen_stages, gap_before_final_norm
        widths = [settings['base_dim'] * 2**i for i in range(len(depths))]
        rates = iter(decay_rule(drop_path_rate, sum(depths)))
        stem = nn.Sequential(nn.Conv2d(in_channels, widths[0], 4, stride=4), LayerNorm2d(widths[0], eps=1e-6))
        self.downsample_layers, self.stages = nn.ModuleList([stem]), nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if i:
                halve = nn.Conv2d(widths[i - 1], width, 2, stride=2)
                self.downsample_layers.append(nn.Sequential(LayerNorm2d(widths[i - 1], eps=1e-6), halve))
            kind = (width, settings['orders'][i], settings['dw_cfg'][i], scale)
            blocks = [HorNetBlock(*kind, next(rates), use_layer_scale, with_cp) for _ in range(depth)]
            self.stages.append(nn.Sequential(*blocks))
            if i in self.out_indices:
                self.add_module(f'norm{i}', LayerNorm2d(width, eps=1e-6))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(0 if gap_before_final_norm else 4 * 2**i for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stages up to ``frozen_stages``, the downsampling before and the normalization after each."""
        num = self.frozen_stages + 1
        norms = [getattr(self, f'norm{i}') for i in self.out_indices if i < num]
        return [*self.downsample_layers[:num], *self.stages[:num], *norms]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the output stages.

        Args:
            x: ``(N, in_channels, H, W)``.

        Returns:
            ``(N, C)`` for each output, or ``(N, C, H / stride, W / stride)`` without ``gap_before_final_norm``.
        """
        outs = []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}')
                if self.gap_before_final_norm:
                    outs.append(norm(x.mean((-2, -1), keepdim=True)).flatten(1))
                else:
                    outs.append(norm(x))
        return tuple(outs)
