"""Graph convolutions over joints and convolutions over time.

Shapes: n skeletons (samples times people), c channels, t frames, v joints, m people; k groups of neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.graph import adjacency

TEMPORAL_KERNEL = 9
STAGES = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))
"""Output channels and stride in time of each block."""


def normalize_joints(x_nctvm: Tensor, norm: nn.Module) -> Tensor:
    """Skeletons of single people, each coordinate of each joint normalized: ``(N * M, C, T, V)``."""
    n, c, t, v, m = x_nctvm.shape
    flat = x_nctvm.float().permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t)
    return norm(flat).reshape(n * m, v, c, t).permute(0, 2, 3, 1).contiguous()


class GraphConv(nn.Module):
    """Mixes the features of neighbours, with other weights for each group. State keys: ``conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        num_groups: K.
    """

    def __init__(self, in_channels: int, out_channels: int, num_groups: int) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.conv = nn.Conv2d(in_channels, out_channels * num_groups, kernel_size=1)

    def forward(self, x: Tensor, adjacency_kvw: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T, V)``."""
        x_nkctv = self.conv(x).unflatten(1, (self.num_groups, -1))
        return torch.einsum('nkctv,kvw->nctw', x_nkctv, adjacency_kvw).contiguous()


def time_layers(channels: int, stride: int, dropout: float) -> list[nn.Module]:
    """A convolution over time, its normalization and dropout."""
    conv = nn.Conv2d(channels, channels, (TEMPORAL_KERNEL, 1), (stride, 1), (TEMPORAL_KERNEL // 2, 0))
    return [conv, nn.BatchNorm2d(channels), nn.Dropout(dropout, inplace=True)]


class JointBlock(nn.Module):
    """A graph convolution, then one over time, beside a shortcut. State keys: ``gcn``, ``tcn``, ``residual``.

    Args:
        gcn: Mixes neighbours, given features and their weights.
        tcn: Layers over time.
        in_channels: Input channels.
        out_channels: Output channels.
        stride: In time.
        residual: Whether there is a shortcut.
    """

    def __init__(
        self, gcn: nn.Module, tcn: Iterable[nn.Module], in_channels: int, out_channels: int, stride: int, residual: bool
    ) -> None:
        super().__init__()
        self.gcn, self.tcn = gcn, nn.Sequential(*tcn)
        self.has_residual = residual
        self.residual: nn.Module = nn.Identity()
        if residual and (in_channels != out_channels or stride != 1):
            shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=(stride, 1))
            self.residual = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, adjacency_kvw: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T', V)``."""
        out = self.tcn(self.gcn(x, adjacency_kvw))
        return self.relu(out + self.residual(x) if self.has_residual else out)


@BACKBONES.register_module()
class STGCN(Backbone):
    """Ten blocks of graph convolutions.

    "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition" (Yan et al., 2018,
    arXiv:1801.07455). State keys: ``A``, ``data_bn``, ``st_gcn_networks``, ``edge_importance``.

    Args:
        in_channels: Coordinates of a joint, with its score if it has one.
        graph_cfg: Arguments of :func:`~intarsia.tasks.action.graph.adjacency`.
        edge_importance_weighting: Learn a factor of every link, in each block.
        data_bn: Normalize each coordinate of each joint first.
        pretrained: Weights to start from.
        dropout: Of each block but the first.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )
    out_channels, strides = (256,), (0,)
    A: Tensor

    def __init__(
        self,
        in_channels: int,
        graph_cfg: Mapping[str, Any],
        edge_importance_weighting: bool = True,
        data_bn: bool = True,
        pretrained: str | None = None,
        dropout: float = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained = pretrained
        self.register_buffer('A', torch.tensor(adjacency(**graph_cfg), dtype=torch.float32))
        num_groups, num_joints, _ = self.A.shape
        self.data_bn = nn.BatchNorm1d(in_channels * num_joints) if data_bn else nn.Identity()
        self.st_gcn_networks = nn.ModuleList()
        for i, (channels, stride) in enumerate(STAGES):
            gcn = GraphConv(in_channels, channels, num_groups)
            tcn = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            tcn += time_layers(channels, stride, dropout if i else 0)
            self.st_gcn_networks.append(JointBlock(gcn, tcn, in_channels, channels, stride, residual=i > 0))
            in_channels = channels
        self.edge_importance: nn.ParameterList | None = None
        if edge_importance_weighting:
            self.edge_importance = nn.ParameterList([nn.Parameter(torch.ones_like(self.A)) for _ in STAGES])

    def init_weights(self) -> None:
        """From ``pretrained``, or as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is not None:
            load_state_dict(self, read_state_dict(find_weights(self.pretrained)), strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N * M, 256, T / 4, V)`` of skeletons ``(N, C, T, V, M)``."""
        x = normalize_joints(x, self.data_bn)
        for i, block in enumerate(self.st_gcn_networks):
            x = block(x, self.A if self.edge_importance is None else self.A * self.edge_importance[i])
        return (x,)
