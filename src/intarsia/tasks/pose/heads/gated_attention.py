"""Attention among joints, with one head and a gate in the place of a feed-forward network.

Shapes: n people, k joints, c channels, e channels inside, s channels of queries and keys.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from intarsia.nn.drop import path_or_identity

EPS = 1e-5


class ScaleNorm(nn.Module):
    """Vectors of one learned length.

    "Transformers without Tears: Improving the Normalization of Self-Attention" (Nguyen and Salazar, 2019,
    arXiv:1910.05895).

    Args:
        dim: Channels; the root mean square of the result is the learned number, which begins with 1.
        eps: Shorter vectors than this, as root mean square, are not stretched to the full.
    """

    def __init__(self, dim: int, eps: float = EPS) -> None:
        super().__init__()
        self.scale = dim**-0.5
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, whose last axis is that of the channels."""
        rms = x.norm(dim=-1, keepdim=True) * self.scale
        return x / rms.clamp(min=self.eps) * self.g


class ChannelScale(nn.Module):
    """A learned factor for each channel, which begins with 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``, whose last axis is that of the channels."""
        return x * self.scale


class RTMCCBlock(nn.Module):
    """A gated attention unit: each joint asks all the others, and a gate of its own lets their answers through.

    "Transformer Quality in Linear Time" (Hua et al., 2022, arXiv:2202.10447), as in "RTMPose: Real-Time Multi-Person
    Pose Estimation based on MMPose" (Jiang et al., 2023, arXiv:2303.07399). Attention is the squared, rectified
    product of queries and keys, with no softmax; both are one projection with two scales and offsets.

    Args:
        num_token: K.
        in_token_dims: Channels.
        out_token_dims: Channels of the result; a residual connection needs as many as before.
        expansion_factor: Channels inside, as a multiple of ``in_token_dims``.
        s: Channels of queries and keys.
        dropout_rate: Probability that a weight of the attention is dropped.
        drop_path: Probability that a sample goes without the block.
        act_fn: ``'SiLU'`` or ``'ReLU'``.
        bias: Whether the linear layers have one.
        use_rel_bias: Learn what is added to the attention for each distance in the order of the joints.
        pos_enc: Turn queries and keys by the place in that order.
        eps: See :class:`ScaleNorm`.

    Raises:
        ValueError: ``act_fn`` is something else.
    """

    def __init__(
        self,
        num_token: int,
        in_token_dims: int,
        out_token_dims: int,
        expansion_factor: float = 2,
        s: int = 128,
        dropout_rate: float = 0.0,
        drop_path: float = 0.0,
        act_fn: Literal['SiLU', 'ReLU'] = 'SiLU',
        bias: bool = False,
        use_rel_bias: bool = True,
        pos_enc: bool = False,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        if act_fn not in ('SiLU', 'ReLU'):
            raise ValueError(f"RTMCCBlock: act_fn is 'SiLU' or 'ReLU', not {act_fn!r}")
        inner = int(in_token_dims * expansion_factor)
        self.split = (inner, inner, s)
        self.pos_enc = pos_enc
        self.ln = ScaleNorm(in_token_dims, eps)
        self.uv = nn.Linear(in_token_dims, 2 * inner + s, bias=bias)
        self.act_fn = nn.SiLU() if act_fn == 'SiLU' else nn.ReLU()
        self.gamma = nn.Parameter(torch.rand(2, s))
        self.beta = nn.Parameter(torch.rand(2, s))
        self.w = nn.Parameter(torch.rand(2 * num_token - 1)) if use_rel_bias else None
        self.dropout = nn.Dropout(dropout_rate)
        self.o = nn.Linear(inner, out_token_dims, bias=bias)
        self.drop_path = path_or_identity(drop_path)
        self.res_scale = ChannelScale(in_token_dims) if in_token_dims == out_token_dims else None

    def forward(self, x_nkc: Tensor) -> Tensor:
        """``(N, K, in_token_dims)`` to ``(N, K, out_token_dims)``."""
        branch = self.drop_path(self._attend(self.ln(x_nkc)))
        return branch if self.res_scale is None else self.res_scale(x_nkc) + branch

    def _attend(self, x_nkc: Tensor) -> Tensor:
        gate_nke, value_nke, base_nks = self.act_fn(self.uv(x_nkc)).split(self.split, -1)
        query_nks, key_nks = (
            self._turned(base_nks * gamma + beta) for gamma, beta in zip(self.gamma, self.beta, strict=True)
        )
        score_nkk = query_nks @ key_nks.transpose(1, 2)
        if self.w is not None:
            score_nkk = score_nkk + self._bias_of_distance(x_nkc.shape[1])
        weight_nkk = (score_nkk / math.sqrt(self.split[2])).relu().square()
        return self.o(gate_nke * (self.dropout(weight_nkk) @ value_nke))

    def _bias_of_distance(self, num_joints: int) -> Tensor:
        """What is added to the score of a query i and a key j: the number of the distance j - i."""
        assert self.w is not None
        place = torch.arange(num_joints, device=self.w.device)
        return self.w[num_joints - 1 + place[None, :] - place[:, None]]

    def _turned(self, x_nks: Tensor) -> Tensor:
        """The halves of the channels as planes, each turned by the place of a joint times a frequency.

        "RoFormer: Enhanced Transformer with Rotary Position Embedding" (Su et al., 2021, arXiv:2104.09864); but the
        frequencies rise from 1 to 10000 here, as weights that were trained expect.
        """
        if not self.pos_enc:
            return x_nks
        half = x_nks.shape[-1] // 2
        frequency = 10000 ** (torch.arange(half, device=x_nks.device) / half)
        angle_ks = torch.arange(x_nks.shape[1], device=x_nks.device)[:, None] * frequency
        sin, cos = angle_ks.sin(), angle_ks.cos()
        first, second = x_nks.chunk(2, -1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
