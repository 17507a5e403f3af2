"""Context as a product of two small matrices.

Shapes: n images, c channels, k classes, h rows, w columns, l pixels, r columns of the factors, d channels of a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead
from intarsia.tasks.segmentation.heads.convs import convs_of

EMPTY: Mapping[str, Any] = {}
EPS = 1e-6


class NMF2D(nn.Module):
    """A map without negative values as the nearest product of two small matrices without them.

    "Is Attention Better Than Matrix Decomposition?" (Geng et al., 2021, arXiv:2109.04553), with the multiplicative
    updates of "Algorithms for Non-negative Matrix Factorization" (Lee and Seung, 2000).

    Args:
        MD_S: Into how many parts the channels are divided; each is decomposed by itself.
        MD_R: Columns R of both matrices.
        train_steps: Updates in training.
        eval_steps: Updates in evaluation.
        inv_t: Of no account.
        rand_init: Draw the first matrix anew for every image; otherwise once, and keep it as ``bases``.
    """

    bases: Tensor

    def __init__(
        self,
        MD_S: int = 1,  # noqa: N803
        MD_R: int = 64,  # noqa: N803
        train_steps: int = 6,
        eval_steps: int = 7,
        inv_t: float = 100,
        rand_init: bool = True,
    ) -> None:
        super().__init__()
        self.num_parts, self.num_bases, self.rand_init = MD_S, MD_R, rand_init
        self.train_steps, self.eval_steps = train_steps, eval_steps

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)``, 0 or more, in and out."""
        x_bdl = x_nchw.reshape(len(x_nchw) * self.num_parts, -1, x_nchw.shape[2] * x_nchw.shape[3])
        bases_bdr = self._first_bases(x_bdl)
        coef_blr = (x_bdl.transpose(1, 2) @ bases_bdr).softmax(dim=-1)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            coef_blr = self._updated_coef(x_bdl, bases_bdr, coef_blr)
            gram_brr = coef_blr.transpose(1, 2) @ coef_blr
            bases_bdr = bases_bdr * (x_bdl @ coef_blr) / (bases_bdr @ gram_brr + EPS)
        coef_blr = self._updated_coef(x_bdl, bases_bdr, coef_blr)
        return (bases_bdr @ coef_blr.transpose(1, 2)).reshape(x_nchw.shape)

    def _updated_coef(self, x_bdl: Tensor, bases_bdr: Tensor, coef_blr: Tensor) -> Tensor:
        gram_brr = bases_bdr.transpose(1, 2) @ bases_bdr
        return coef_blr * (x_bdl.transpose(1, 2) @ bases_bdr) / (coef_blr @ gram_brr + EPS)

    def _first_bases(self, x_bdl: Tensor) -> Tensor:
        num, channels = x_bdl.shape[:2]
        if self.rand_init:
            return self._drawn(num, channels).to(x_bdl)
        if not hasattr(self, 'bases'):
            self.register_buffer('bases', self._drawn(self.num_parts, channels).to(x_bdl))
        return self.bases.repeat(num // self.num_parts, 1, 1)

    def _drawn(self, num: int, channels: int) -> Tensor:
        return F.normalize(torch.rand(num, channels, self.num_bases), dim=1)


class Hamburger(nn.Module):
    """A decomposition between two convolutions; added to the input.

    Args:
        channels: Channels C of the map.
        ham_kwargs: Arguments of :class:`NMF2D`.
        norm_cfg: Config of the normalization at the end.
    """

    def __init__(self, channels: int, ham_kwargs: Mapping[str, Any], norm_cfg: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.ham_in = ConvModule(channels, channels, 1, act_cfg=None)
        self.ham = NMF2D(**ham_kwargs)
        self.ham_out = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return F.relu(x_nchw + self.ham_out(self.ham(F.relu(self.ham_in(x_nchw)))))


@HEADS.register_module()
class LightHamHead(BaseDecodeHead):
    """Stages joined, and context from a decomposition of the whole map.

    The decoder of "SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation" (Guo et al., 2022,
    arXiv:2209.08575).

    State keys: ``squeeze``, ``hamburger``, ``align``.

    Args:
        ham_channels: Channels of the map that is decomposed.
        ham_kwargs: Arguments of :class:`NMF2D`.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; ``in_channels`` and
            ``in_index`` are lists.
    """

    def __init__(self, ham_channels: int = 512, ham_kwargs: Mapping[str, Any] = EMPTY, **kwargs: Any) -> None:
        super().__init__(input_transform='multiple_select', **kwargs)
        conv = convs_of(self)
        self.squeeze = conv(sum(self.in_channels), ham_channels)
        self.hamburger = Hamburger(ham_channels, ham_kwargs, self.norm_cfg)
        self.align = conv(ham_channels, self.channels)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        stages = self._transform_inputs(feats)
        size = stages[0].shape[2:]
        at_size = partial(resize, size=size, mode='bilinear', align_corners=self.align_corners)
        joined_nchw = torch.cat([at_size(stage) for stage in stages], dim=1)
        return self.cls_seg(self.align(self.hamburger(self.squeeze(joined_nchw))))
