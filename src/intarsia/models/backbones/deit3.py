"""DeiT III.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.transformer_layer import TransformerEncoderLayer
from intarsia.models.backbones.vision_transformer import ARCH_KEYS, EMPTY, VisionTransformer

FIRST_SCALE = 1e-5


class DeiT3TransformerEncoderLayer(TransformerEncoderLayer):
    """Self-attention, then a feed-forward network, both on tokens that ``ln1`` normalizes.

    ``ln2`` has a place in checkpoints, but has no part in the published models.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        use_layer_scale: Scale each branch by a factor per channel.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.transformer_layer.TransformerEncoderLayer`.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, feedforward_channels: int, use_layer_scale: bool = True, **kwargs: Any
    ) -> None:
        scale = FIRST_SCALE if use_layer_scale else 0.0
        super().__init__(embed_dims, num_heads, feedforward_channels, **{'layer_scale_init_value': scale, **kwargs})

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        tokens_nlc = tokens_nlc + self.attn(self.ln1(tokens_nlc))
        return self.ffn(self.ln1(tokens_nlc), identity=tokens_nlc)


def _arch(*numbers: int) -> dict[str, int]:
    return dict(zip(ARCH_KEYS, numbers, strict=True))


@BACKBONES.register_module()
class DeiT3(VisionTransformer):
    """Vision transformer whose class token has no position.

    "DeiT III: Revenge of the ViT" (Touvron et al., 2022, arXiv:2204.07118).

    Args:
        arch: Name of an architecture, or its numbers.
        out_type: What an output is.
        use_layer_scale: Scale each branch of the layers by a factor per channel.
        layer_cfgs: Further arguments of the layers: one dict, or one for each.
        **kwargs: Further arguments of :class:`~intarsia.models.backbones.vision_transformer.VisionTransformer`.
    """

    arch_zoo: ClassVar[dict[str, dict[str, int]]] = {
        **dict.fromkeys(('s', 'small'), _arch(384, 12, 6, 1536)),
        **dict.fromkeys(('m', 'medium'), _arch(512, 12, 8, 2048)),
        **dict.fromkeys(('b', 'base'), _arch(768, 12, 12, 3072)),
        **dict.fromkeys(('l', 'large'), _arch(1024, 24, 16, 4096)),
        **dict.fromkeys(('h', 'huge'), _arch(1280, 32, 16, 5120)),
    }
    layer_class: ClassVar[type[nn.Module]] = DeiT3TransformerEncoderLayer
    embeds_extra_tokens: ClassVar[bool] = False
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            's': (384,), 'small': (384,), 'm': (512,), 'medium': (512,), 'b': (768,), 'base': (768,),
            'l': (1024,), 'large': (1024,), 'h': (1280,), 'huge': (1280,),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'base',
        *,
        out_type: Literal['raw', 'cls_token', 'featmap', 'avg_featmap'] | None = 'cls_token',
        use_layer_scale: bool = True,
        layer_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        **kwargs: Any,
    ) -> None:
        scaled = {'use_layer_scale': use_layer_scale}
        if isinstance(layer_cfgs, Mapping):
            layer_cfgs = {**scaled, **layer_cfgs}
        else:
            layer_cfgs = [{**scaled, **own} for own in layer_cfgs]
        super().__init__(arch, out_type=out_type, layer_cfgs=layer_cfgs, **kwargs)
