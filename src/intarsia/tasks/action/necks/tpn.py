"""The temporal pyramid: stages of a backbone, seen at several speeds, joined.

Shapes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import NECKS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.models.parts import build_part
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import constant_init, normal_init, xavier_init
from intarsia.nn.module import BaseModule

CONV3D: Mapping[str, Any] = {'type': 'Conv3d'}
BN3D: Mapping[str, Any] = {'type': 'BN3d', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}
CROSS_ENTROPY: Mapping[str, Any] = {'type': 'action.CrossEntropyLoss'}
GROUPS = 32
OUT_CHANNELS = 2048
Scale = int | Sequence[int]


def _size(value: Any) -> Any:
    return value if isinstance(value, int) else tuple(value)


def _conv(in_channels: int, out_channels: int, kernel: Any, **options: Any) -> ConvModule:
    """A convolution without a bias, batch norm, ReLU."""
    cfgs: dict[str, Any] = {'conv_cfg': CONV3D, 'norm_cfg': BN3D, 'act_cfg': RELU, **options}
    return ConvModule(in_channels, out_channels, kernel, bias=False, **cfgs)


class DownSample(nn.Module):
    """A convolution, and the maximum of blocks. State keys: ``conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: As in :class:`~intarsia.nn.conv_module.ConvModule`, like all that are not explained here.
        downsample_position: Whether the maximum is taken ``'before'`` or ``'after'`` the convolution.
        downsample_scale: Size of the blocks, ``(t, h, w)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Scale = (3, 1, 1),
        stride: Scale = (1, 1, 1),
        padding: Scale = (1, 0, 0),
        groups: int = 1,
        bias: bool = False,
        conv_cfg: Mapping[str, Any] = CONV3D,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        downsample_position: Literal['before', 'after'] = 'after',
        downsample_scale: Scale = (1, 2, 2),
    ) -> None:
        super().__init__()
        require_choice('TPN: downsample_position', downsample_position, ('before', 'after'))
        kernel, steps, zeros = _size(kernel_size), _size(stride), _size(padding)
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv = ConvModule(in_channels, out_channels, kernel, steps, zeros, groups=groups, bias=bias, **cfgs)
        self.pool = nn.MaxPool3d(_size(downsample_scale), ceil_mode=True)
        self.pools_first = downsample_position == 'before'

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """``(N, C, T, H, W)`` in and out."""
        return self.conv(self.pool(x_ncthw)) if self.pools_first else self.pool(self.conv(x_ncthw))


class LevelFusion(nn.Module):
    """Joins the levels of a pyramid. State keys: ``downsamples``, ``fusion_conv``.

    Args:
        in_channels: Channels of each level.
        mid_channels: Channels to which each is brought.
        out_channels: Channels of all together.
        downsample_scales: Blocks ``(t, h, w)`` of each level whose maximum is taken.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        mid_channels: Sequence[int],
        out_channels: int,
        downsample_scales: Sequence[Scale] = ((1, 1, 1), (1, 1, 1)),
    ) -> None:
        super().__init__()
        self.downsamples = nn.ModuleList(
            DownSample(
                channels, mid, 1, 1, 0, GROUPS, norm_cfg=BN3D, act_cfg=RELU, downsample_position='before',
                downsample_scale=scale,
            )
            for channels, mid, scale in zip(in_channels, mid_channels, downsample_scales, strict=True)
        )  # fmt: skip
        self.fusion_conv = _conv(sum(mid_channels), out_channels, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """``(N, C', T, H, W)`` of all levels."""
        return self.fusion_conv(torch.cat([down(x) for down, x in zip(self.downsamples, levels, strict=True)], dim=1))


class SpatialModulation(nn.Module):
    """Brings all levels to the size of the last: with each doubling of the channels half the rows and columns.

    Args:
        in_channels: Channels of each level.
        out_channels: Channels of the last.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.spatial_modulation = nn.ModuleList()
        for channels in in_channels:
            widths = [channels * 2**i for i in range((out_channels // channels).bit_length())]
            pairs = itertools.pairwise(widths)
            convs = [_conv(a, b, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)) for a, b in pairs]
            self.spatial_modulation.append(nn.Sequential(*convs))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """One tensor for each level, all of the same shape."""
        return [convs(x) for convs, x in zip(self.spatial_modulation, levels, strict=True)]


class TemporalModulation(nn.Module):
    """Gives a level its speed: the maximum of so many frames. State keys: ``conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        downsample_scale: Frames whose maximum is taken.
    """

    def __init__(self, in_channels: int, out_channels: int, downsample_scale: int = 8) -> None:
        super().__init__()
        self.conv = _conv(
            in_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), groups=GROUPS, norm_cfg=None, act_cfg=None
        )
        self.pool = nn.MaxPool3d((downsample_scale, 1, 1), ceil_mode=True)

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """``(N, C, T, H, W)`` in and out."""
        return self.pool(self.conv(x_ncthw))


class AuxHead(nn.Module):
    """Scores of a level, for a loss of its own. State keys: ``conv``, ``fc``.

    Args:
        in_channels: Channels of the level.
        out_channels: Classes.
        loss_weight: Weight of the loss.
        loss_cls: Config of the loss.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        loss_weight: float = 0.5,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
    ) -> None:
        super().__init__()
        self.conv = _conv(in_channels, in_channels * 2, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.loss_weight, self.dropout = loss_weight, nn.Dropout(0.5)
        self.fc = nn.Linear(in_channels * 2, out_channels)
        self.loss_cls = build_part(loss_cls, 'action')

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Scores ``(N, K)``."""
        return self.fc(self.dropout(self.conv(x_ncthw).mean(dim=(2, 3, 4))))

    def loss(self, x_ncthw: Tensor, label: Tensor) -> dict[str, Tensor]:
        """``loss_aux`` for labels as those of the head."""
        label = label.reshape(len(label), -1).squeeze(1)
        return {'loss_aux': self.loss_weight * self.loss_cls(self(x_ncthw), label)}


@NECKS.register_module()
class TPN(BaseModule):
    """Temporal pyramid: "Temporal Pyramid Network for Action Recognition" (Yang et al., 2020, arXiv:2004.03548).

    All levels are brought to the size of the last in space, and to a speed of their own in time. Then each level is
    added to the one below it, and each to the one above it; what both ways give is joined to 2048 channels.

    Args:
        in_channels: Channels of each level.
        out_channels: Channels of the levels in the pyramid.
        spatial_modulation_cfg: Arguments of :class:`SpatialModulation`.
        temporal_modulation_cfg: ``downsample_scales``: frames of each level whose maximum is taken.
        upsample_cfg: Arguments of ``nn.Upsample``, between a level and the one below it; None adds nothing downwards.
        downsample_cfg: Arguments of :class:`DownSample`, between a level and the one above it; None adds nothing
            upwards.
        level_fusion_cfg: Arguments of :class:`LevelFusion`.
        aux_head_cfg: Arguments of :class:`AuxHead` without ``in_channels``; it sees the level before the last.
        flow_type: Whether the second way starts from what the first gives (``'cascade'``) or from the same as the first
            (``'parallel'``).
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``flow_type`` is none of the two, or the spatial, temporal or fusion config is not given.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        spatial_modulation_cfg: Mapping[str, Any] | None = None,
        temporal_modulation_cfg: Mapping[str, Any] | None = None,
        upsample_cfg: Mapping[str, Any] | None = None,
        downsample_cfg: Mapping[str, Any] | None = None,
        level_fusion_cfg: Mapping[str, Any] | None = None,
        aux_head_cfg: Mapping[str, Any] | None = None,
        flow_type: Literal['cascade', 'parallel'] = 'cascade',
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        require_choice('TPN: flow_type', flow_type, ('cascade', 'parallel'))
        if spatial_modulation_cfg is None or temporal_modulation_cfg is None or level_fusion_cfg is None:
            raise ValueError('TPN needs spatial_modulation_cfg, temporal_modulation_cfg and level_fusion_cfg')
        self.in_channels, self.out_channels, self.flow_type = tuple(in_channels), out_channels, flow_type
        steps = range(len(in_channels) - 1)
        self.temporal_modulation_ops = nn.ModuleList(
            TemporalModulation(in_channels[-1], out_channels, scale)
            for scale in temporal_modulation_cfg['downsample_scales'][: len(in_channels)]
        )
        up, down = upsample_cfg, downsample_cfg
        self.upsample_ops = nn.ModuleList() if up is None else nn.ModuleList(nn.Upsample(**up) for _ in steps)
        self.downsample_ops = nn.ModuleList()
        if down is not None:
            self.downsample_ops.extend(DownSample(out_channels, out_channels, **down) for _ in steps)
        self.level_fusion_1 = LevelFusion(**level_fusion_cfg)
        self.spatial_modulation = SpatialModulation(**spatial_modulation_cfg)
        self.level_fusion_2 = LevelFusion(**level_fusion_cfg)
        self.pyramid_fusion = _conv(level_fusion_cfg['out_channels'] * 2, OUT_CHANNELS, 1)
        self.aux_head = None if aux_head_cfg is None else AuxHead(in_channels[-2], **aux_head_cfg)

    def init_own_weights(self) -> None:
        """Glorot's weights for the convolutions, small normal ones for the scores."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                xavier_init(module, distribution='uniform')
            elif isinstance(module, nn.BatchNorm3d):
                constant_init(module, 1)
            elif isinstance(module, nn.Linear):
                normal_init(module, std=0.01)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """``(N, 2048, T', H', W')`` of levels ``(N, C, T, H, W)``, of which each is half as large as the one before."""
        pairs = zip(self.temporal_modulation_ops, self.spatial_modulation(feats), strict=True)
        first = [modulate(x) for modulate, x in pairs]
        levels = list(first)
        for i in reversed(range(len(self.upsample_ops))):
            levels[i] = levels[i] + self.upsample_ops[i](levels[i + 1])
        top_down = self.level_fusion_1(levels)
        if self.flow_type == 'parallel':
            levels = list(first)
        for i, downsample in enumerate(self.downsample_ops):
            levels[i + 1] = levels[i + 1] + downsample(levels[i])
        return self.pyramid_fusion(torch.cat([top_down, self.level_fusion_2(levels)], dim=1))

    def loss(self, feats: Sequence[Tensor], label: Tensor) -> dict[str, Tensor]:
        """``loss_aux``, if there is an auxiliary head."""
        return {} if self.aux_head is None else self.aux_head.loss(feats[-2], label)
