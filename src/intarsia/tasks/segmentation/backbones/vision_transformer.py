"""Vision transformer in the words of segmentation.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import vision_transformer
from intarsia.models.backbones.backbone import init_from
from intarsia.models.backbones.residual_attention import ResidualAttention
from intarsia.nn.embed import CoveringPadding
from intarsia.nn.ffn import FFN
from intarsia.nn.init import constant_init, kaiming_init, trunc_normal_
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import BatchNorm, build_norm_layer
from intarsia.nn.pair import Pair, as_pair

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class TransformerEncoderLayer(BaseModule):
    """Self-attention, then a feed-forward network, each on normalized tokens and added to them.

    State keys: ``ln1``, ``attn.attn``, ``ln2``, ``ffn``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        feedforward_channels: Channels inside the feed-forward network.
        drop_rate: Dropout after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Probability that a sample goes without a branch.
        num_fcs: Number of linear layers of the feed-forward network.
        qkv_bias: Whether the linear layers of the attention have a bias.
        act_cfg: Config of the activation.
        norm_cfg: Config of the normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        num_fcs: int = 2,
        qkv_bias: bool = True,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        drop_path = {'type': 'DropPath', 'drop_prob': drop_path_rate} if drop_path_rate > 0 else None
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, embed_dims, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.attn = ResidualAttention(
            embed_dims, num_heads, attn_drop=attn_drop_rate, proj_drop=drop_rate, dropout_layer=drop_path,
            qkv_bias=qkv_bias,
        )  # fmt: skip
        self.norm2_name, norm2 = build_norm_layer(norm_cfg, embed_dims, postfix=2)
        self.add_module(self.norm2_name, norm2)
        self.ffn = FFN(embed_dims, feedforward_channels, num_fcs, act_cfg, ffn_drop=drop_rate, dropout_layer=drop_path)

    @property
    def norm1(self) -> nn.Module:
        """Normalization before the attention."""
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        """Normalization before the feed-forward network."""
        return getattr(self, self.norm2_name)

    def forward(self, tokens_nlc: Tensor) -> Tensor:
        """``(N, L, C)`` in and out."""
        if self.with_cp and tokens_nlc.requires_grad:
            return checkpoint(self._sum, tokens_nlc, use_reentrant=False)
        return self._sum(tokens_nlc)

    def _sum(self, tokens_nlc: Tensor) -> Tensor:
        tokens_nlc = self.attn(self.norm1(tokens_nlc), identity=tokens_nlc)
        return self.ffn(self.norm2(tokens_nlc), identity=tokens_nlc)


@BACKBONES.register_module()
class VisionTransformer(vision_transformer.VisionTransformer):
    """Transformer over the patches of an image, of which chosen layers are output as maps.

    "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (Dosovitskiy et al., 2020,
    arXiv:2010.11929). Images of any size are taken: position embeddings are interpolated to their grid of patches.

    Args:
        img_size: Usual size of the image in pixels, (height, width).
        patch_size: Size of a patch in pixels.
        patch_pad: How images that patches do not cover are padded, as :class:`~intarsia.nn.embed.PatchEmbed` takes it.
        in_channels: Channels of the image.
        embed_dims: Channels C of the tokens.
        num_layers: Number of layers.
        num_heads: Number of heads.
        mlp_ratio: Channels inside the feed-forward networks divided by C.
        out_indices: Layers to output, from 0; negative ones count from the end.
        qkv_bias: Whether the linear layers of the attention have a bias.
        drop_rate: Dropout of tokens and after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        with_cls_token: Whether the layers see a class token; there is one in the checkpoint in any case.
        output_cls_token: Whether an output is ``[map, class token]``, not the map alone.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        patch_norm: Normalize the embedded patches.
        patch_bias: Whether the embedding of patches has a bias.
        final_norm: Normalize the tokens after the last layer.
        interpolate_mode: How position embeddings are interpolated.
        num_fcs: Number of linear layers of the feed-forward networks.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        frozen_stages: Freeze the embedding and so many layers, if above 0.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: A class token is to be output without one, or ``out_indices`` lie outside of the layers.
    """

    layer_class: ClassVar[type[nn.Module]] = TransformerEncoderLayer
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'embed_dims': {192: (192,), 384: (384,), 768: (768,), 1024: (1024,), 1280: (1280,)}
    }

    def __init__(
        self,
        img_size: Pair = 224,
        patch_size: int = 16,
        patch_pad: CoveringPadding = 'corner',
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_indices: int | Sequence[int] = -1,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        with_cls_token: bool = True,
        output_cls_token: bool = False,
        norm_cfg: Mapping[str, Any] = LN,
        act_cfg: Mapping[str, Any] = GELU,
        patch_norm: bool = False,
        patch_bias: bool = True,
        final_norm: bool = False,
        interpolate_mode: Literal['nearest', 'bilinear', 'bicubic'] = 'bicubic',
        num_fcs: int = 2,
        norm_eval: bool = False,
        with_cp: bool = False,
        frozen_stages: int = -1,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        height, width = as_pair(img_size)
        super().__init__(
            arch={
                'embed_dims': embed_dims,
                'num_layers': num_layers,
                'num_heads': num_heads,
                'feedforward_channels': mlp_ratio * embed_dims,
            },
            # There are embeddings for whole patches only, although images are padded.
            img_size=(height // patch_size * patch_size, width // patch_size * patch_size),
            patch_size=patch_size,
            in_channels=in_channels,
            out_indices=out_indices,
            drop_rate=drop_rate,
            drop_path_rate=drop_path_rate,
            qkv_bias=qkv_bias,
            norm_cfg=norm_cfg,
            final_norm=final_norm,
            with_cls_token=with_cls_token,
            output_cls_token=output_cls_token,
            frozen_stages=frozen_stages,
            interpolate_mode=interpolate_mode,
            patch_cfg={'padding': patch_pad, 'bias': patch_bias, 'norm_cfg': norm_cfg if patch_norm else None},
            layer_cfgs={'attn_drop_rate': attn_drop_rate, 'num_fcs': num_fcs, 'act_cfg': act_cfg, 'with_cp': with_cp},
            init_cfg=init_from(pretrained, init_cfg),
        )
        self.norm_eval = norm_eval

    def init_own_weights(self) -> None:
        """Truncated normal embeddings and linear layers, almost no bias; only without ``init_cfg``."""
        if self.init_cfg is not None:
            return
        trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            trunc_normal_(self.cls_token, std=0.02)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=1e-6 if 'ffn' in name else 0.0)
            elif isinstance(module, nn.Conv2d):
                kaiming_init(module, mode='fan_in')
            elif isinstance(module, (BatchNorm, nn.GroupNorm, nn.LayerNorm)):
                constant_init(module, 1)
