"""MAE in the words of segmentation.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.nn.embed import fit_pos_embed
from intarsia.nn.pair import Pair
from intarsia.tasks.segmentation.backbones.beit import BEiT


@BACKBONES.register_module()
class MAE(BEiT):
    """As :class:`~intarsia.tasks.segmentation.backbones.beit.BEiT`, with position embeddings as well.

    "Masked Autoencoders Are Scalable Vision Learners" (He et al., 2021, arXiv:2111.06377): the network that is trained
    after it.

    State keys: those of BEiT, with a bias of queries, keys and values in one, and ``pos_embed``.

    Args:
        img_size: Size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels.
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        num_layers: Number of layers.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward networks divided by C.
        out_indices: Layers to output, from 0; negative ones count from the end.
        **kwargs: Further arguments of :class:`~intarsia.tasks.segmentation.backbones.beit.BEiT` but ``qv_bias``.
    """

    def __init__(
        self,
        img_size: Pair = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_indices: int | Sequence[int] = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            img_size, patch_size, in_channels, embed_dims, num_layers, num_heads, mlp_ratio, out_indices,
            qv_bias=False, **kwargs,
        )  # fmt: skip
        rows, columns = self.patch_shape
        self.pos_embed = nn.Parameter(torch.zeros(1, rows * columns + 1, embed_dims))
        self.register_load_state_dict_pre_hook(_fit_loaded_pos_embed)

    def _bias(self, qv_bias: bool) -> bool | str:
        """Queries, keys and values have one."""
        return True

    def embed(self, image_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens ``(N, 1 + L, C)`` that know their positions, and the (rows, columns) of the patches."""
        tokens_nlc, grid = super().embed(image_nchw)
        return tokens_nlc + self.pos_embed, grid


def _fit_loaded_pos_embed(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before loading: interpolate position embeddings that were trained with another size of image."""
    assert isinstance(module, MAE)
    key = f'{prefix}pos_embed'
    if key in state:
        state[key] = fit_pos_embed(state[key], module.patch_shape, num_extra_tokens=1)
