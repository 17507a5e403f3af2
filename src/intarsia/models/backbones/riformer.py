"""RIFormer.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.metaformer import MetaFormer, MetaFormerBlock
from intarsia.nn.norm import build_norm_layer


class Affine(nn.Module):
    """A factor and an offset per channel, less the input.

    Args:
        channels: Channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.affine = nn.Conv2d(channels, channels, 1, groups=channels)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.affine(x_nchw) - x_nchw


class RIFormerBlock(MetaFormerBlock):
    """A block that mixes no places: factors and offsets, which in the end are one with the normalization.

    State keys: ``norm1`` and ``token_mixer``, after :meth:`switch_to_deploy` ``norm_reparam``; ``norm2``, ``mlp``,
    ``layer_scale_1``, ``layer_scale_2``.

    Args:
        dim: Channels C.
        deploy: Begin with the one normalization.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.metaformer.MetaFormerBlock`.
    """

    norm_reparam: nn.Module

    def __init__(self, dim: int, deploy: bool = False, **kwargs: Any) -> None:
        super().__init__(dim, Affine(dim), **kwargs)
        self.dim, self.norm_cfg, self.deploy = dim, kwargs['norm_cfg'], False
        if deploy:
            self.switch_to_deploy()

    def mixed(self, x_nchw: Tensor) -> Tensor:
        """The first branch, ``(N, C, H, W)`` in and out."""
        return self.norm_reparam(x_nchw) if self.deploy else super().mixed(x_nchw)

    def switch_to_deploy(self) -> None:
        """Make one normalization of ``norm1`` and ``token_mixer``; the outputs stay the same."""
        if self.deploy:
            return
        old: Any = self.norm1
        mixer: Any = self.token_mixer
        fused: Any = build_norm_layer(self.norm_cfg, self.dim)[1].to(old.weight)
        with torch.no_grad():
            factor_c = mixer.affine.weight.flatten() - 1
            fused.weight.copy_(old.weight * factor_c)
            fused.bias.copy_(old.bias * factor_c + mixer.affine.bias)
        self.norm_reparam, self.deploy = fused, True
        del self.norm1, self.token_mixer


@BACKBONES.register_module()
class RIFormer(MetaFormer):
    """A transformer that mixes places between its stages only.

    "RIFormer: Keep Your Vision Backbone Effective But Removing Token Mixer" (Wang et al., 2023, arXiv:2304.05659).

    Args:
        arch: Name of an architecture, or its numbers.
        frozen_stages: Freeze the patches of the image and the network up to this position, from 0; -1 freezes nothing.
        deploy: Begin with one normalization in place of two layers; see :meth:`switch_to_deploy`.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.metaformer.MetaFormer`.
    """

    def __init__(
        self, arch: str | Mapping[str, Any] = 's12', frozen_stages: int = -1, deploy: bool = False, **kwargs: Any
    ) -> None:
        self.deploy = deploy  # the base class builds the blocks
        super().__init__(arch, frozen_stages=frozen_stages, **kwargs)

    def _block(self, dim: int, **options: Any) -> MetaFormerBlock:
        return RIFormerBlock(dim, self.deploy, **options)

    def _num_frozen(self) -> int:
        return self.frozen_stages + 1

    def switch_to_deploy(self) -> None:
        """Make of every block's first two layers one normalization, for inference; the outputs stay the same."""
        for module in self.modules():
            if isinstance(module, RIFormerBlock):
                module.switch_to_deploy()
        self.deploy = True
