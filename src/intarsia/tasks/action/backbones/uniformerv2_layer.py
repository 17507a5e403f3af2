"""Layers of UniFormerV2: those of a vision transformer of images, armed for clips, and those of the clip's token.

Shape suffixes: n clips, t frames, l tokens of a frame (the class token first), h rows and w columns of patches, c
channels.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.activation import QuickGELU
from intarsia.nn.drop import path_or_identity
from intarsia.nn.init import constant_init, xavier_init
from intarsia.nn.module import BaseModule

MLP_RATIO = 4


def _mlp(channels: int, hidden: int, dropout: float | None = None) -> nn.Sequential:
    """Two linear layers with the names of CLIP."""
    drop = [] if dropout is None else [('dropout', nn.Dropout(dropout))]
    first, last = ('c_fc', nn.Linear(channels, hidden)), ('c_proj', nn.Linear(hidden, channels))
    return nn.Sequential(OrderedDict([first, ('gelu', QuickGELU()), *drop, last]))


class LocalRelation(BaseModule):
    """What a patch gets from its place in neighbouring frames: a depthwise convolution over time.

    State keys: ``pos_embed.0`` ... ``pos_embed.3``.

    Args:
        channels: Channels C.
        reduction: C divided by the channels inside.
        kernel_size: Frames that are seen.
    """

    def __init__(self, channels: int, reduction: float = 1.5, kernel_size: int = 3) -> None:
        super().__init__()
        inner, pad = int(channels // reduction), (kernel_size // 2, 0, 0)
        self.pos_embed = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, inner, 1),
            nn.Conv3d(inner, inner, (kernel_size, 1, 1), padding=pad, groups=inner),
            nn.Conv3d(inner, channels, 1),
        )
        constant_init(self.pos_embed[3], 0)

    def forward(self, tokens_ntlc: Tensor) -> Tensor:
        """What is added to tokens ``(N, T, L, C)``; to the class token nothing."""
        patches_nctl1 = tokens_ntlc[:, :, 1:].permute(0, 3, 1, 2).unsqueeze(4)
        branch_ntlc = self.pos_embed(patches_nctl1).squeeze(4).permute(0, 2, 3, 1)
        return F.pad(branch_ntlc, (0, 0, 1, 0))


class LocalBlock(BaseModule):
    """A layer of a vision transformer, each of whose frames is on its own but for :class:`LocalRelation`.

    State keys: ``lmhra1``, ``lmhra2``, ``attn``, ``ln_1``, ``mlp.c_fc``, ``mlp.c_proj``, ``ln_2``.

    Args:
        channels: Channels C.
        num_heads: Number of heads.
        drop_path: Probability that a sample goes without a branch.
        reduction: Argument of the relations.
        relates: Whether a relation comes before the attention.
        relates_twice: Whether another one follows it.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        drop_path: float = 0.0,
        reduction: float = 1.5,
        relates: bool = True,
        relates_twice: bool = True,
    ) -> None:
        super().__init__()
        self.drop_path = path_or_identity(drop_path)
        self.lmhra1 = LocalRelation(channels, reduction) if relates else None
        self.lmhra2 = LocalRelation(channels, reduction) if relates and relates_twice else None
        self.attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mlp = _mlp(channels, MLP_RATIO * channels)

    def _attend(self, tokens_ntlc: Tensor) -> Tensor:
        frames = self.ln_1(tokens_ntlc).flatten(0, 1)
        return self.attn(frames, frames, frames, need_weights=False)[0].view_as(tokens_ntlc)

    def forward(self, tokens_ntlc: Tensor) -> Tensor:
        """``(N, T, L, C)`` in and out."""
        if self.lmhra1 is not None:
            tokens_ntlc = tokens_ntlc + self.drop_path(self.lmhra1(tokens_ntlc))
        tokens_ntlc = tokens_ntlc + self.drop_path(self._attend(tokens_ntlc))
        if self.lmhra2 is not None:
            tokens_ntlc = tokens_ntlc + self.drop_path(self.lmhra2(tokens_ntlc))
        return tokens_ntlc + self.drop_path(self.mlp(self.ln_2(tokens_ntlc)))


class GlobalBlock(BaseModule):
    """The token of a clip looks at all tokens of all frames.

    State keys: ``attn``, ``ln_1``, ``mlp.c_fc``, ``mlp.c_proj``, ``ln_2``, ``ln_3``.

    Args:
        channels: Channels C.
        num_heads: Number of heads.
        mlp_factor: Channels between the linear layers divided by C.
        dropout: Between the linear layers.
        drop_path: Probability that a sample goes without a branch.
    """

    def __init__(
        self, channels: int, num_heads: int, mlp_factor: float = 4.0, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.drop_path = path_or_identity(drop_path)
        self.attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.ln_1, self.ln_2, self.ln_3 = (nn.LayerNorm(channels) for _ in range(3))
        self.mlp = _mlp(channels, round(mlp_factor * channels), dropout)
        nn.init.xavier_uniform_(self.attn.in_proj_weight)
        xavier_init(self.mlp[0], distribution='uniform')
        for last in (self.attn.out_proj, self.mlp[-1]):
            constant_init(last, 0)

    def forward(self, clip_n1c: Tensor, tokens_nlc: Tensor) -> Tensor:
        """The token ``(N, 1, C)`` in and out; it looks at ``(N, L, C)``."""
        seen = self.ln_3(tokens_nlc)
        clip_n1c = clip_n1c + self.drop_path(self.attn(self.ln_1(clip_n1c), seen, seen, need_weights=False)[0])
        return clip_n1c + self.drop_path(self.mlp(self.ln_2(clip_n1c)))


class ClipTransformer(BaseModule):
    """Layers of frames, some of whose outputs a token of the clip gathers.

    State keys: ``resblocks``, ``temporal_cls_token``, ``dpe``, ``dec``, ``norm``, ``balance``.

    Args:
        blocks: The layers of frames.
        gathers: What the token does after each of ``return_list``.
        return_list: After which layers it gathers.
        channels: Channels C.
    """

    def __init__(
        self, blocks: list[LocalBlock], gathers: list[GlobalBlock], return_list: tuple[int, ...], channels: int
    ) -> None:
        super().__init__()
        self.return_list = return_list
        self.resblocks, self.dec = nn.ModuleList(blocks), nn.ModuleList(gathers)
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.dpe = nn.ModuleList(nn.Conv3d(channels, channels, 3, padding=1, groups=channels) for _ in gathers)
        for position in self.dpe:
            nn.init.zeros_(position.bias)  # type: ignore[arg-type]
        self.norm = nn.LayerNorm(channels)
        self.balance = nn.Parameter(torch.zeros(channels))

    def _placed(self, tokens_ntlc: Tensor, grid: tuple[int, int], position: nn.Module) -> Tensor:
        """Tokens with the encoding of their places in the clip; ``(N, T * L, C)``."""
        maps_ncthw = tokens_ntlc[:, :, 1:].permute(0, 3, 1, 2).unflatten(3, grid)
        places_ntlc = position(maps_ncthw).flatten(3).permute(0, 2, 3, 1)
        return (tokens_ntlc + F.pad(places_ntlc, (0, 0, 1, 0))).flatten(1, 2)

    def forward(self, tokens_ntlc: Tensor, grid: tuple[int, int]) -> Tensor:
        """The feature ``(N, C)`` of each clip; ``grid`` is (H, W) of the patches of a frame."""
        clip_n1c = self.temporal_cls_token.expand(len(tokens_ntlc), -1, -1)
        for i, block in enumerate(self.resblocks):
            tokens_ntlc = block(tokens_ntlc)
            if i in self.return_list:
                j = self.return_list.index(i)
                clip_n1c = self.dec[j](clip_n1c, self._placed(tokens_ntlc, grid, self.dpe[j]))
        share = self.balance.sigmoid()
        return self.norm((1 - share) * clip_n1c[:, 0] + share * tokens_ntlc[:, :, 0].mean(1))
