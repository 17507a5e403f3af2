"""Swin transformer of segmentation."""

from __future__ import annotations

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.swin_dense import DenseSwinTransformer


@BACKBONES.register_module()
class SwinTransformer(DenseSwinTransformer):
    """Transformer with attention within shifted windows, at four resolutions.

    "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu et al., 2021, arXiv:2103.14030).
    Arguments of :class:`~intarsia.models.backbones.swin_dense.DenseSwinTransformer`.
    """
