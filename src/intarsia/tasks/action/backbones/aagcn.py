"""Graph convolutions whose graphs follow the input.

Shapes: n skeletons, c channels, t frames, v joints; k groups of neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.init import constant_init
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.graph_units import TimeUnit
from intarsia.tasks.action.backbones.stgcn import STAGES, TEMPORAL_KERNEL, JointBlock, normalize_joints, time_layers
from intarsia.tasks.action.backbones.stgcn_plus_plus import GraphBlock, GraphNetwork
from intarsia.tasks.action.graph import adjacency


class Similarity(nn.Module):
    """Which joints move alike: the products of two projections of their features over channels and time.

    State keys: ``conv_a``, ``conv_b``, ``conv_d``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels of what is mixed.
        num_groups: K.
        inner_channels: Channels of the projections; 0 for none.
    """

    def __init__(self, in_channels: int, out_channels: int, num_groups: int, inner_channels: int) -> None:
        super().__init__()
        if inner_channels:
            self.conv_a = nn.ModuleList(nn.Conv2d(in_channels, inner_channels, 1) for _ in range(num_groups))
            self.conv_b = nn.ModuleList(nn.Conv2d(in_channels, inner_channels, 1) for _ in range(num_groups))
        self.conv_d = nn.ModuleList(nn.Conv2d(in_channels, out_channels, 1) for _ in range(num_groups))

    def products(self, x: Tensor, group: int) -> Tensor:
        """``(N, V, V)``, by channels and frames."""
        a_ndv, b_ndv = self.conv_a[group](x).flatten(1, 2), self.conv_b[group](x).flatten(1, 2)
        return a_ndv.transpose(1, 2) @ b_ndv / a_ndv.shape[1]

    def mixed(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """The sum over the groups of what neighbours give, each with its weights ``(N, V, V)`` or ``(V, V)``."""
        flat_ndv = x.flatten(1, 2)
        parts = [conv((flat_ndv @ w).unflatten(1, x.shape[1:3])) for conv, w in zip(self.conv_d, weights, strict=True)]
        return torch.stack(parts).sum(0)


def _shortcut(in_channels: int, out_channels: int) -> nn.Module:
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))


class AttentiveGraphUnit(Similarity):
    """A graph that is learned and follows the input, then attention to joints, frames and channels.

    State keys: ``A``, ``alpha``, ``conv_a``, ``conv_b``, ``conv_d``, ``conv_ta``, ``conv_sa``, ``fc1c``, ``fc2c``,
    ``down``, ``bn``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        adjacency_kvv: Weights of neighbours to start from.
        coff_embedding: Output channels divided by those of the projections.
        adaptive: Whether weights are learned and follow the input.
        attention: Whether there is attention.
    """

    A: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency_kvv: Tensor,
        coff_embedding: int = 4,
        adaptive: bool = True,
        attention: bool = True,
    ) -> None:
        num_groups, num_joints, _ = adjacency_kvv.shape
        inner = out_channels // coff_embedding if adaptive else 0
        super().__init__(in_channels, out_channels, num_groups, inner)
        self.adaptive, self.attention = adaptive, attention
        if adaptive:
            self.A = nn.Parameter(adjacency_kvv.clone())
            self.alpha = nn.Parameter(torch.zeros(1))
        else:
            self.register_buffer('A', adjacency_kvv.clone())
        if attention:
            kernel = num_joints if num_joints % 2 else num_joints - 1
            self.conv_ta = nn.Conv1d(out_channels, 1, TEMPORAL_KERNEL, padding=TEMPORAL_KERNEL // 2)
            self.conv_sa = nn.Conv1d(out_channels, 1, kernel, padding=kernel // 2)
            self.fc1c = nn.Linear(out_channels, out_channels // 2)
            self.fc2c = nn.Linear(out_channels // 2, out_channels)
        self.down = _shortcut(in_channels, out_channels)
        self.bn = nn.BatchNorm2d(out_channels)

    def init_weights(self) -> None:
        """Start almost as the shortcut, without attention."""
        constant_init(self.bn, 1e-6)
        if self.attention:
            for layer in (self.conv_ta, self.fc2c):
                constant_init(layer, 0)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T, V)``."""
        weights = list(self.A)
        if self.adaptive:
            weights = [a + self.products(x, i).tanh() * self.alpha for i, a in enumerate(self.A)]
        y = (self.bn(self.mixed(x, weights)) + self.down(x)).relu()
        if not self.attention:
            return y
        y = y + y * self.conv_sa(y.mean(2)).sigmoid().unsqueeze(2)
        y = y + y * self.conv_ta(y.mean(3)).sigmoid().unsqueeze(3)
        return y + y * self.fc2c(self.fc1c(y.mean((2, 3))).relu()).sigmoid()[..., None, None]


@BACKBONES.register_module()
class AAGCN(GraphNetwork):
    """Adaptive graph convolutions with attention; without it, 2s-AGCN.

    "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks" (Shi et al., 2019,
    arXiv:1912.06971).

    Args:
        graph_cfg: As in :class:`~intarsia.tasks.action.backbones.stgcn_plus_plus.GraphNetwork`, like all that are not
            explained here.
        gcn_coff_embedding: As in :class:`AttentiveGraphUnit`.
        gcn_adaptive: As there.
        gcn_attention: As there.
        tcn_dropout: Of each block but the first.
    """

    def __init__(
        self,
        graph_cfg: Mapping[str, Any],
        in_channels: int = 3,
        base_channels: int = 64,
        data_bn_type: Literal['VC', 'MVC'] | None = 'MVC',
        num_person: int = 2,
        num_stages: int = 10,
        inflate_stages: Sequence[int] = (5, 8),
        down_stages: Sequence[int] = (5, 8),
        gcn_coff_embedding: int = 4,
        gcn_adaptive: bool = True,
        gcn_attention: bool = True,
        tcn_dropout: float = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        self.gcn_options, self.tcn_dropout = (gcn_coff_embedding, gcn_adaptive, gcn_attention), tcn_dropout
        super().__init__(
            graph_cfg, in_channels, base_channels, data_bn_type, 2, num_person, num_stages, inflate_stages, down_stages,
            init_cfg,
        )  # fmt: skip
        self.register_buffer('A', self.adjacency_kvv.clone())

    def make_block(self, number: int, in_channels: int, out_channels: int, stride: int, residual: bool) -> nn.Module:
        """The block of a number, from 0."""
        gcn = AttentiveGraphUnit(in_channels, out_channels, self.adjacency_kvv, *self.gcn_options)
        tcn = TimeUnit(out_channels, out_channels, stride=stride, dropout=self.tcn_dropout if number else 0)
        return GraphBlock(in_channels, out_channels, gcn, tcn, stride, residual)


class AdaptiveGraphConv(Similarity):
    """A graph with a learned part and one that follows the input. State keys: ``PA``, ``conv_a`` ..., ``down``, ``bn``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        adjacency_kvv: Weights of neighbours.
    """

    def __init__(self, in_channels: int, out_channels: int, adjacency_kvv: Tensor) -> None:
        super().__init__(in_channels, out_channels, len(adjacency_kvv), out_channels // 4)
        self.PA = nn.Parameter(torch.full_like(adjacency_kvv, 1e-6))
        self.down = _shortcut(in_channels, out_channels)
        self.bn = nn.BatchNorm2d(out_channels)

    def init_weights(self) -> None:
        """Start almost as the shortcut."""
        constant_init(self.bn, 1e-6)

    def forward(self, x: Tensor, adjacency_kvv: Tensor) -> Tensor:
        """``(N, C, T, V)`` -> ``(N, C', T, V)``."""
        weights = [self.products(x, i).softmax(-2) + a for i, a in enumerate(adjacency_kvv + self.PA)]
        return (self.bn(self.mixed(x, weights)) + self.down(x)).relu()


@BACKBONES.register_module()
class AGCN(Backbone):
    """2s-AGCN, for skeletons ``(N, C, T, V, M)``.

    "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action Recognition" (Shi et al., 2018,
    arXiv:1805.07694). State keys: ``A``, ``data_bn``, ``agcn_networks``.

    Args:
        in_channels: Coordinates of a joint.
        graph_cfg: Arguments of :func:`~intarsia.tasks.action.graph.adjacency`.
        data_bn: Normalize each coordinate of each joint first.
        pretrained: Weights to start from.
        dropout: Of each block but the first.
        init_cfg: How weights are initialized.
    """

    default_init = GraphNetwork.default_init
    out_channels, strides = (256,), (0,)
    A: Tensor

    def __init__(
        self,
        in_channels: int,
        graph_cfg: Mapping[str, Any],
        data_bn: bool = True,
        pretrained: str | None = None,
        dropout: float = 0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained = pretrained
        self.register_buffer('A', torch.tensor(adjacency(**graph_cfg), dtype=torch.float32))
        self.data_bn = nn.BatchNorm1d(in_channels * self.A.shape[1]) if data_bn else nn.Identity()
        self.agcn_networks = nn.ModuleList()
        for i, (channels, stride) in enumerate(STAGES):
            gcn = AdaptiveGraphConv(in_channels, channels, self.A)
            tcn = time_layers(channels, stride, dropout if i else 0)
            self.agcn_networks.append(JointBlock(gcn, tcn, in_channels, channels, stride, residual=i > 0))
            in_channels = channels

    def init_weights(self) -> None:
        """From ``pretrained``, or as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is not None:
            load_state_dict(self, read_state_dict(find_weights(self.pretrained)), strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N * M, 256, T / 4, V)`` of skeletons ``(N, C, T, V, M)``."""
        x = normalize_joints(x, self.data_bn)
        for block in self.agcn_networks:
            x = block(x, self.A)
        return (x,)
