"""Swin transformer of dense tasks: every number an argument, maps of all stages.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from intarsia.models.backbones import swin_transformer
from intarsia.models.backbones.backbone import init_from
from intarsia.nn.module import InitCfg
from intarsia.nn.pair import Pair, as_pair

LN: Mapping[str, Any] = {'type': 'LN'}
GELU: Mapping[str, Any] = {'type': 'GELU'}


class DenseSwinTransformer(swin_transformer.SwinTransformer):
    """Transformer with attention within shifted windows, at four resolutions.

    "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu et al., 2021, arXiv:2103.14030).

    State keys: ``patch_embed``, ``stages``, ``norm{i}`` for every output i.

    Args:
        pretrain_img_size: Size of the images that position embeddings belong to, in pixels.
        in_channels: Channels of the image.
        embed_dims: Channels of the first stage; each stage doubles them.
        patch_size: Size of a patch in pixels; equals ``strides[0]``.
        window_size: Side of a window, in tokens.
        mlp_ratio: Channels inside the feed-forward networks divided by those outside.
        depths: Blocks of each stage.
        num_heads: Heads of each stage.
        strides: By how much the resolution goes down before each stage.
        out_indices: Stages to output, from 0.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; ``head_dims ** -0.5`` if not given.
        patch_norm: Normalize embedded and merged patches.
        drop_rate: Dropout of the embedded patches and after linear layers.
        attn_drop_rate: Dropout of the attention weights.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        use_abs_pos_embed: Add position embeddings to the patches.
        act_cfg: Config of the activations.
        norm_cfg: Config of all normalizations.
        with_cp: Compute activations again in the backward pass, to save memory.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        frozen_stages: Freeze the embedding (0) and so many stages; -1 freezes nothing.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``patch_size`` and ``strides`` differ, or numbers of stages do.
    """

    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('strides',)
    STATIC_OUT_INDICES: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'embed_dims': {96: (96, 192, 384, 768), 128: (128, 256, 512, 1024), 192: (192, 384, 768, 1536)}
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'std': 0.02, 'layer': 'Linear'},
        {'type': 'Constant', 'val': 1, 'layer': 'LayerNorm'},
    )

    def __init__(
        self,
        pretrain_img_size: Pair = 224,
        in_channels: int = 3,
        embed_dims: int = 96,
        patch_size: Pair = 4,
        window_size: int = 7,
        mlp_ratio: float = 4,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        strides: Sequence[int] = (4, 2, 2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        patch_norm: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = False,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        with_cp: bool = False,
        pretrained: str | None = None,
        frozen_stages: int = -1,
        init_cfg: InitCfg = None,
    ) -> None:
        if as_pair(patch_size) != as_pair(strides[0]):
            raise ValueError(f'SwinTransformer: patch_size={patch_size} must equal strides[0]={strides[0]}')
        merge_norm = norm_cfg if patch_norm else None
        block_cfgs = {
            'ffn_ratio': mlp_ratio, 'norm_cfg': norm_cfg,
            'attn_cfgs': {
                'qkv_bias': qkv_bias, 'qk_scale': qk_scale, 'attn_drop': attn_drop_rate, 'proj_drop': drop_rate,
            },
            'ffn_cfgs': {'ffn_drop': drop_rate, 'act_cfg': act_cfg},
        }  # fmt: skip
        super().__init__(
            arch={'embed_dims': embed_dims, 'depths': depths, 'num_heads': num_heads},
            img_size=pretrain_img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            window_size=window_size,
            drop_rate=drop_rate,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            use_abs_pos_embed=use_abs_pos_embed,
            with_cp=with_cp,
            frozen_stages=frozen_stages,
            pad_small_map=True,
            norm_cfg=norm_cfg,
            stage_cfgs=[
                {'block_cfgs': block_cfgs, 'downsample_cfg': {'stride': stride, 'norm_cfg': merge_norm}}
                for stride in (*strides[1:], None)
            ],
            patch_cfg={'norm_cfg': merge_norm},
            init_cfg=init_from(pretrained, init_cfg),
        )

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The embedding, and the first ``frozen_stages`` stages with the normalizations of their outputs."""
        if self.frozen_stages < 0:
            return []
        position = [] if self.absolute_pos_embed is None else [self.absolute_pos_embed]
        norms = [getattr(self, f'norm{i}') for i in self.out_indices if i < self.frozen_stages]
        return [self.patch_embed, self.drop_after_pos, *position, *self.stages[: self.frozen_stages], *norms]
