"""Graph convolutions whose graphs are learned, and convolutions over time of several reaches.

Shapes: n samples, m people, t frames, v joints, c coordinates; k groups of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.data.transforms.image_transform import require_choice
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.module import InitCfg
from intarsia.tasks.action.backbones.graph_units import SCALES, Adaptive, GraphUnit, MultiScaleTime, TimeUnit
from intarsia.tasks.action.graph import tree_adjacency

MakeUnit = Callable[[int, int], nn.Module]


class GraphBlock(nn.Module):
    """A layer over joints, then one over time, beside a shortcut. State keys: ``gcn``, ``tcn``, ``residual``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        gcn: The layer over joints.
        tcn: The layer over time.
        stride: Its stride.
        residual: Whether there is a shortcut.
    """

    def __init__(
        self, in_channels: int, out_channels: int, gcn: nn.Module, tcn: nn.Module, stride: int, residual: bool
    ) -> None:
        super().__init__()
        self.gcn, self.tcn, self.has_residual = gcn, tcn, residual
        self.residual: nn.Module = nn.Identity()
        if residual and (in_channels != out_channels or stride != 1):
            self.residual = TimeUnit(in_channels, out_channels, kernel_size=1, stride=stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T', V)``."""
        out = self.tcn(self.gcn(x))
        return self.relu(out + self.residual(x) if self.has_residual else out)


class GraphNetwork(Backbone):
    """Base: blocks over skeletons ``(N, M, T, V, C)``; a subclass says what its blocks are made of.

    State keys: ``data_bn``, ``gcn``.

    Args:
        graph_cfg: Arguments of :func:`~intarsia.tasks.action.graph.tree_adjacency`.
        in_channels: C.
        base_channels: Channels of the first blocks.
        data_bn_type: What is normalized first: each coordinate of each joint (``'VC'``), or of each joint of each
            person (``'MVC'``); None for nothing.
        ch_ratio: Factor of the channels in ``inflate_stages``.
        num_person: M, for ``'MVC'``.
        num_stages: How many blocks.
        inflate_stages: Blocks, counted from 1, that have more channels than those before.
        down_stages: Blocks that halve the frames.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d'], 'mode': 'fan_out'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )

    def __init__(
        self,
        graph_cfg: Mapping[str, Any],
        in_channels: int,
        base_channels: int,
        data_bn_type: Literal['VC', 'MVC'] | None,
        ch_ratio: float,
        num_person: int,
        num_stages: int,
        inflate_stages: Sequence[int],
        down_stages: Sequence[int],
        init_cfg: InitCfg,
    ) -> None:
        super().__init__(init_cfg)
        if data_bn_type is not None:
            require_choice('data_bn_type', data_bn_type, ('VC', 'MVC'))
        self.data_bn_type = data_bn_type
        self.adjacency_kvv = torch.tensor(tree_adjacency(**graph_cfg), dtype=torch.float32)
        num_joints = self.adjacency_kvv.shape[1]
        people = {'VC': 1, 'MVC': num_person}.get(str(data_bn_type))
        self.data_bn = nn.BatchNorm1d(people * in_channels * num_joints) if people else nn.Identity()
        self.gcn = nn.ModuleList()
        channels, times = base_channels, 0
        if in_channels != base_channels:
            self.gcn.append(self.make_block(0, in_channels, base_channels, 1, False))
        for i in range(2, num_stages + 1):
            times += i in inflate_stages
            out_channels = int(base_channels * ch_ratio**times + 1e-4)
            self.gcn.append(self.make_block(i - 1, channels, out_channels, 1 + (i in down_stages), True))
            channels = out_channels
        self.out_channels, self.strides = (channels,), (0,)

    def make_block(self, number: int, in_channels: int, out_channels: int, stride: int, residual: bool) -> nn.Module:
        """The block of a number, from 0."""
        raise NotImplementedError(f'{type(self).__name__} has no make_block')

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N, M, C', T', V)`` of skeletons ``(N, M, T, V, C)``."""
        n, m, t, v, c = x.shape
        flat = x.permute(0, 1, 3, 4, 2)
        flat = flat.reshape(n, m * v * c, t) if self.data_bn_type == 'MVC' else flat.reshape(n * m, v * c, t)
        x = self.data_bn(flat).reshape(n * m, v, c, t).permute(0, 2, 3, 1).contiguous()
        for block in self.gcn:
            x = block(x)
        return (x.unflatten(0, (n, m)),)


@BACKBONES.register_module()
class STGCNPlusPlus(GraphNetwork):
    """The ``STGCN`` of newer configs: ST-GCN, or with ``gcn_adaptive='init'`` and ``tcn_type='mstcn'`` ST-GCN++.

    "PYSKL: Towards Good Practices for Skeleton Action Recognition" (Duan et al., 2022, arXiv:2205.09443).

    Args:
        graph_cfg: As in :class:`GraphNetwork`, like all that are not explained here.
        gcn_adaptive: As in :class:`~intarsia.tasks.action.backbones.graph_units.GraphUnit`.
        gcn_conv_pos: As there.
        gcn_with_res: As there.
        gcn_norm: As there.
        gcn_act: As there.
        tcn_type: ``'unit_tcn'``, one convolution over nine frames, or ``'mstcn'``, several.
        tcn_dropout: Of each block but the first.
        tcn_ms_cfg: As in :class:`~intarsia.tasks.action.backbones.graph_units.MultiScaleTime`.
        tcn_mid_channels: As there.
    """

    def __init__(
        self,
        graph_cfg: Mapping[str, Any],
        in_channels: int = 3,
        base_channels: int = 64,
        data_bn_type: Literal['VC', 'MVC'] | None = 'VC',
        ch_ratio: float = 2,
        num_person: int = 2,
        num_stages: int = 10,
        inflate_stages: Sequence[int] = (5, 8),
        down_stages: Sequence[int] = (5, 8),
        gcn_adaptive: Adaptive = 'importance',
        gcn_conv_pos: Literal['pre', 'post'] = 'pre',
        gcn_with_res: bool = False,
        gcn_norm: str | Mapping[str, Any] = 'BN',
        gcn_act: str | Mapping[str, Any] = 'ReLU',
        tcn_type: Literal['unit_tcn', 'mstcn'] = 'unit_tcn',
        tcn_dropout: float = 0,
        tcn_ms_cfg: Sequence[Any] = SCALES,
        tcn_mid_channels: float | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        self.tcn_type = require_choice('tcn_type', tcn_type, ('unit_tcn', 'mstcn'))
        self.gcn_options = (gcn_adaptive, gcn_conv_pos, gcn_with_res, gcn_norm, gcn_act)
        self.tcn_dropout, self.tcn_ms_cfg, self.tcn_mid_channels = tcn_dropout, tcn_ms_cfg, tcn_mid_channels
        super().__init__(
            graph_cfg, in_channels, base_channels, data_bn_type, ch_ratio, num_person, num_stages, inflate_stages,
            down_stages, init_cfg,
        )  # fmt: skip

    def make_block(self, number: int, in_channels: int, out_channels: int, stride: int, residual: bool) -> nn.Module:
        """The block of a number, from 0."""
        dropout = self.tcn_dropout if number else 0
        gcn = GraphUnit(in_channels, out_channels, self.adjacency_kvv, *self.gcn_options)
        if self.tcn_type == 'mstcn':
            ms = self.tcn_mid_channels, dropout, self.tcn_ms_cfg
            tcn: nn.Module = MultiScaleTime(out_channels, out_channels, *ms, stride=stride)
        else:
            tcn = TimeUnit(out_channels, out_channels, stride=stride, dropout=dropout)
        return GraphBlock(in_channels, out_channels, gcn, tcn, stride, residual)
