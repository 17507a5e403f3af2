"""Layers of the TimeSformer: attention over time, over space, or over both.

Shape suffixes: n clips, p patches of a frame, t frames, l tokens (p * t of them, frames of a patch together, and before
them the class token), c channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.nn.drop import path_or_identity
from intarsia.nn.ffn import FFN
from intarsia.nn.init import constant_init
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN', 'eps': 1e-6}
GELU: Mapping[str, Any] = {'type': 'GELU'}
FFN_RATIO = 4


class TokenAttention(BaseModule):
    """Attention of all tokens to all, without what it is added to. State keys: ``attn``; ``norm`` if ``normalizes``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        drop_path: Probability that a row of the batch goes without the branch.
        normalizes: Whether tokens are normalized first, here and not outside.
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_path: float = 0.0, normalizes: bool = True) -> None:
        super().__init__()
        self.norm = build_norm_layer(LN, embed_dims)[1] if normalizes else nn.Identity()
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, batch_first=True)
        self.drop_path = path_or_identity(drop_path)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        tokens_nlc = self.norm(tokens_nlc)
        return self.drop_path(self.attn(tokens_nlc, tokens_nlc, tokens_nlc, need_weights=False)[0])


class TemporalAttention(TokenAttention):
    """Attention of the patches at one place of all frames; the class token takes no part.

    State keys: ``norm``, ``attn``, ``temporal_fc``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        num_frames: T.
        drop_path: Probability that a place goes without the branch.
    """

    def __init__(self, embed_dims: int, num_heads: int, num_frames: int, drop_path: float = 0.0) -> None:
        super().__init__(embed_dims, num_heads, drop_path)
        self.num_frames = num_frames
        self.temporal_fc = nn.Linear(embed_dims, embed_dims)

    def init_own_weights(self) -> None:
        """A network of images at first: what comes from other frames counts nothing."""
        constant_init(self.temporal_fc, 0)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """Tokens with what they get added; ``(N, 1 + P * T, C)`` in and out."""
        class_n1c, patches_nlc = tokens_nlc[:, :1], tokens_nlc[:, 1:]
        branch = super().forward(patches_nlc.reshape(-1, self.num_frames, patches_nlc.shape[2]))
        return torch.cat((class_n1c, patches_nlc + self.temporal_fc(branch).view_as(patches_nlc)), dim=1)


class SpatialAttention(TokenAttention):
    """Attention of the patches of one frame; every frame has the class token, of which the mean is taken after.

    State keys: ``norm``, ``attn``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        num_frames: T.
        drop_path: Probability that a frame goes without the branch.
    """

    def __init__(self, embed_dims: int, num_heads: int, num_frames: int, drop_path: float = 0.0) -> None:
        super().__init__(embed_dims, num_heads, drop_path)
        self.num_frames = num_frames

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """Tokens with what they get added; ``(N, 1 + P * T, C)`` in and out."""
        frames_ntpc = tokens_nlc[:, 1:].unflatten(1, (-1, self.num_frames)).transpose(1, 2)
        class_nt1c = tokens_nlc[:, None, :1].expand(-1, self.num_frames, -1, -1)
        branch = super().forward(torch.cat((class_nt1c, frames_ntpc), dim=2).flatten(0, 1))
        branch_ntlc = branch.unflatten(0, (-1, self.num_frames))
        patches_nlc = branch_ntlc[:, :, 1:].transpose(1, 2).flatten(1, 2)
        return tokens_nlc + torch.cat((branch_ntlc[:, :, 0].mean(1, keepdim=True), patches_nlc), dim=1)


class NormalizingFFN(FFN):
    """A feed-forward network that normalizes its input itself. State keys: ``layers``, ``norm``."""

    def __init__(self, embed_dims: int, **options: Any) -> None:
        super().__init__(embed_dims, **options)
        self.norm = build_norm_layer(LN, embed_dims)[1]

    def forward(self, tokens_nlc: Tensor, identity: Tensor | None = None) -> Tensor:
        """Tokens with what they get added; ``(N, L, C)`` in and out."""
        return super().forward(self.norm(tokens_nlc), tokens_nlc if identity is None else identity)


class TimeSformerLayer(BaseModule):
    """Attention and a feed-forward network, each on normalized tokens and added to them.

    State keys: ``attentions``, ``ffns``, and ``norms`` where attention is not divided.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        num_frames: T.
        divided: Whether attention is first over time and then over space, each with its own weights.
        drop_path: Probability that a branch is left out.
    """

    def __init__(self, embed_dims: int, num_heads: int, num_frames: int, divided: bool, drop_path: float = 0.0) -> None:
        super().__init__()
        dropout = {'type': 'DropPath', 'drop_prob': drop_path} if drop_path > 0 else None
        ffn: dict[str, Any] = {'feedforward_channels': FFN_RATIO * embed_dims, 'act_cfg': GELU}
        numbers = (embed_dims, num_heads)
        if divided:
            kinds = (TemporalAttention, SpatialAttention)
            self.attentions = nn.ModuleList([kind(*numbers, num_frames, drop_path) for kind in kinds])
            self.ffns = nn.ModuleList([NormalizingFFN(embed_dims, **ffn, dropout_layer=dropout)])
        else:
            self.attentions = nn.ModuleList([TokenAttention(*numbers, drop_path, normalizes=False)])
            self.ffns = nn.ModuleList([FFN(embed_dims, **ffn, dropout_layer=dropout)])
        self.norms = nn.ModuleList([] if divided else [build_norm_layer(LN, embed_dims)[1] for _ in range(2)])

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        if not len(self.norms):
            for attention in self.attentions:
                tokens_nlc = attention(tokens_nlc)
            return self.ffns[0](tokens_nlc)
        tokens_nlc = tokens_nlc + self.attentions[0](self.norms[0](tokens_nlc))
        return self.ffns[0](self.norms[1](tokens_nlc), identity=tokens_nlc)
