"""Distilled vision transformer.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.vision_transformer import VisionTransformer
from intarsia.nn.init import trunc_normal_


@BACKBONES.register_module()
class DistilledVisionTransformer(VisionTransformer):
    """Vision transformer with a second class token, which learns from a teacher.

    "Training data-efficient image transformers & distillation through attention" (Touvron et al., 2020,
    arXiv:2012.12877).

    An output is ``[featmap, class token, distillation token]``, the map alone with ``output_cls_token=False``, or what
    ``out_type`` says; with ``'cls_token'`` it is the pair of both tokens.

    Args:
        arch: Name of an architecture, or its numbers.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.vision_transformer.VisionTransformer`.
    """

    def __init__(self, arch: str | Mapping[str, int] = 'deit-base', **kwargs: Any) -> None:
        super().__init__(arch, **kwargs)

    def _set_outputs(self, out_type: str | None, with_cls_token: bool, output_cls_token: bool) -> None:
        super()._set_outputs(out_type, with_cls_token, output_cls_token)
        self.num_extra_tokens = 2
        self.dist_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))

    def init_own_weights(self) -> None:
        """Truncated normal position embeddings and distillation token."""
        super().init_own_weights()
        trunc_normal_(self.dist_token, std=0.02)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """As of the base class, with the distillation token."""
        parts = list(super().frozen_parts())
        return [*parts, self.dist_token] if parts else parts

    def _with_extra_tokens(self, patches_nlc: Tensor) -> Tensor:
        assert self.cls_token is not None
        extra_12c = torch.cat((self.cls_token, self.dist_token), dim=1)
        return torch.cat((extra_12c.expand(len(patches_nlc), -1, -1), patches_nlc), dim=1)

    def _output(self, tokens_nlc: Tensor, grid: tuple[int, int]) -> Any:
        output = super()._output(tokens_nlc, grid)
        if self.out_type == 'pair':
            return [*output, tokens_nlc[:, 1]]
        return (output, tokens_nlc[:, 1]) if self.out_type == 'cls_token' else output

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter, as of the base class; that of the distillation token is 0.

        Args:
            param_name: Name of a parameter of the whole model.
            prefix: What the names of this backbone's parameters start with, ``'backbone.'``.
        """
        is_token = param_name == f'{prefix}dist_token'
        return super().get_layer_depth(f'{prefix}cls_token' if is_token else param_name, prefix)
