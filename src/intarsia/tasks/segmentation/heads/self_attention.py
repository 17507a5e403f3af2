"""Attention between maps.

Shapes: n images, c channels, h rows, w columns; l pixels of the query map, m of the key map.
"""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.nn.non_local import attend, tokens_of
from intarsia.nn.resize import resize


class MapAttention(nn.Module):
    """Every pixel of one map gathers from the pixels of another, or of the same.

    "Attention Is All You Need" (Vaswani et al., 2017, arXiv:1706.03762), with one head.

    Args:
        query_project: Layers that make the queries of the first map.
        key_project: Layers that make the keys of the second map, with as many channels.
        value_project: Layers that make the values of the second map.
        out_project: Layers for what was gathered.
        query_downsample: What makes the map of queries smaller; the result is brought back to its size.
        key_downsample: What makes the maps of keys and values smaller; it may flatten them, ``(N, C, M)``.
        matmul_norm: Divide the scores by the square root of the channels.
    """

    def __init__(
        self,
        query_project: nn.Module,
        key_project: nn.Module,
        value_project: nn.Module,
        out_project: nn.Module | None = None,
        query_downsample: nn.Module | None = None,
        key_downsample: nn.Module | None = None,
        matmul_norm: bool = True,
    ) -> None:
        super().__init__()
        self.query_project, self.key_project = query_project, key_project
        self.value_project = value_project
        self.out_project = out_project or nn.Identity()
        self.query_downsample = query_downsample or nn.Identity()
        self.key_downsample = key_downsample or nn.Identity()
        self.matmul_norm = matmul_norm

    def forward(self, query_nchw: Tensor, key_nchw: Tensor) -> Tensor:
        """A map ``(N, D, H, W)`` of the size of the queries.

        Args:
            query_nchw: ``(N, C, H, W)``.
            key_nchw: ``(N, C', H', W')``.
        """
        query = self.query_downsample(self.query_project(query_nchw))
        key = self.key_downsample(self.key_project(key_nchw))
        value = self.key_downsample(self.value_project(key_nchw))
        scale = query.shape[1] ** -0.5 if self.matmul_norm else 1.0
        gathered_nlc = attend(tokens_of(query), tokens_of(key), tokens_of(value), scale)
        out = self.out_project(gathered_nlc.transpose(1, 2).unflatten(2, query.shape[2:]))
        size = query_nchw.shape[2:]
        return out if out.shape[2:] == size else resize(out, size, mode='bilinear', align_corners=False)
