"""Twins, in the words of segmentation.

Shape suffixes: n samples, l tokens, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import init_from
from intarsia.models.backbones.mit import EfficientMultiheadAttention
from intarsia.models.backbones.twins import TwinsOptions, TwinsPyramid
from intarsia.models.backbones.twins_layer import LN, TwinsEncoderLayer
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer


class ReducedAttentionLayer(TwinsEncoderLayer):
    """A layer whose attention is :class:`~intarsia.models.backbones.mit.EfficientMultiheadAttention`."""

    def attended(self, tokens_nlc: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """The attention of tokens ``(N, H * W, C)`` of a map (H, W) to a coarser map."""
        source_nlc = self.attn.reduced(tokens_nlc, hw_shape)
        out_nlc = self.attn.attn(tokens_nlc, source_nlc, source_nlc, need_weights=False)[0]
        return self.attn.proj_drop(out_nlc)


@BACKBONES.register_module()
class PCPVT(TwinsPyramid):
    """Twins-PCPVT: a pyramid vision transformer whose positions are conditional.

    "Twins: Revisiting the Design of Spatial Attention in Vision Transformers" (Chu et al., 2021, arXiv:2104.13840).

    State keys: ``patch_embeds``, ``position_encodings``, ``layers``, ``norm_list``.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of each stage.
        patch_sizes: Size of a patch of each stage.
        strides: Distance between patches of each stage.
        num_heads: Heads of each stage.
        mlp_ratios: Channels inside the feed-forward networks of each stage divided by those outside.
        out_indices: Stages to output, from 0; those that there are not are passed over.
        qkv_bias: Whether the linear layers of the attention have a bias.
        drop_rate: Dropout of patches and after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        norm_cfg: Config of the normalizations of patches and stages.
        depths: Layers of each stage.
        sr_ratios: By how much height and width are divided before they are attended to, for each stage.
        norm_after_stage: Normalize the tokens after every stage.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.
    """

    layers_name: ClassVar[str] = 'layers'

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: Sequence[int] = (64, 128, 256, 512),
        patch_sizes: Sequence[int] = (4, 2, 2, 2),
        strides: Sequence[int] = (4, 2, 2, 2),
        num_heads: Sequence[int] = (1, 2, 4, 8),
        mlp_ratios: Sequence[int] = (4, 4, 4, 4),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = False,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] = LN,
        depths: Sequence[int] = (3, 4, 6, 3),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        norm_after_stage: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_from(pretrained, init_cfg))
        arch = {
            'embed_dims': embed_dims, 'patch_sizes': patch_sizes, 'strides': strides, 'num_heads': num_heads,
            'mlp_ratios': mlp_ratios, 'depths': depths, 'sr_ratios': sr_ratios,
        }  # fmt: skip
        wanted = [i for i in out_indices if i < len(depths)]
        options = TwinsOptions(qkv_bias, drop_rate, attn_drop_rate, LN)
        self._build(arch, in_channels, wanted, drop_path_rate, norm_cfg, options)
        self.norm_after_stage = norm_after_stage
        if norm_after_stage:
            self.norm_list = ModuleList(build_norm_layer(norm_cfg, channels)[1] for channels in embed_dims)

    def _layer(self, stage: int, index: int, drop_path_rate: float) -> nn.Module:
        arch, options = self.arch, self.options
        attn = EfficientMultiheadAttention(
            arch['embed_dims'][stage], arch['num_heads'][stage], arch['sr_ratios'][stage], options.norm_cfg,
            attn_drop=options.attn_drop_rate, proj_drop=options.drop_rate, qkv_bias=options.qkv_bias,
        )  # fmt: skip
        return self._around(attn, stage, drop_path_rate, ReducedAttentionLayer)

    def _norm(self, stage: int) -> nn.Module | None:
        return self.norm_list[stage] if self.norm_after_stage else None


@BACKBONES.register_module()
class SVT(PCPVT):
    """Twins-SVT: layers attend within windows and to a coarser map in turn.

    "Twins: Revisiting the Design of Spatial Attention in Vision Transformers" (Chu et al., 2021, arXiv:2104.13840).

    Args:
        embed_dims: Channels of each stage.
        num_heads: Heads of each stage.
        mlp_ratios: Channels inside the feed-forward networks of each stage divided by those outside.
        drop_path_rate: Drop probability of the last layer's branches; it grows linearly from 0.
        depths: Layers of each stage.
        sr_ratios: By how much height and width are divided before they are attended to, for each stage.
        windiow_sizes: Side of a window of each stage; the name is spelt as in published configs.
        norm_after_stage: Normalize the tokens after every stage.
        **kwargs: Further arguments of :class:`PCPVT`.
    """

    def __init__(
        self,
        *,
        embed_dims: Sequence[int] = (64, 128, 256),
        num_heads: Sequence[int] = (1, 2, 4),
        mlp_ratios: Sequence[int] = (4, 4, 4),
        drop_path_rate: float = 0.2,
        depths: Sequence[int] = (4, 4, 4),
        sr_ratios: Sequence[int] = (4, 2, 1),
        windiow_sizes: Sequence[int] = (7, 7, 7),
        norm_after_stage: bool = True,
        **kwargs: Any,
    ) -> None:
        self.window_sizes = tuple(windiow_sizes)  # the base class builds the layers
        super().__init__(
            embed_dims=embed_dims, num_heads=num_heads, mlp_ratios=mlp_ratios, drop_path_rate=drop_path_rate,
            depths=depths, sr_ratios=sr_ratios, norm_after_stage=norm_after_stage, **kwargs,
        )  # fmt: skip

    def _layer(self, stage: int, index: int, drop_path_rate: float) -> nn.Module:
        if index % 2:
            return super()._layer(stage, index, drop_path_rate)
        return self._around(self._local_attention(stage, self.window_sizes[stage]), stage, drop_path_rate)
