"""DaViT.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.davit_block import EMPTY, LN, DaViTBlockSequence
from intarsia.models.backbones.mit import to_map
from intarsia.nn.drop import decay_rule
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer

ARCH_KEYS = ('embed_dims', 'depths', 'num_heads')


def _arch(embed_dims: int, depths: Sequence[int], heads: int) -> dict[str, Any]:
    return dict(zip(ARCH_KEYS, (embed_dims, depths, tuple(heads * 2**i for i in range(4))), strict=True))


@BACKBONES.register_module()
class DaViT(Backbone):
    """Transformer with attention within windows and between channels in turn, at four resolutions.

    "DaViT: Dual Attention Vision Transformers" (Ding et al., 2022, arXiv:2204.03645).

    State keys: ``patch_embed``, ``stages``, ``norm{i}`` for every output i.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, and ``depths`` and ``num_heads`` of the stages.
        patch_size: Distance between patches in pixels; a patch itself is 7 x 7.
        in_channels: Channels of the image.
        window_size: Side of a window, in tokens.
        ffn_ratio: Channels inside the feed-forward networks divided by those outside.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        out_after_downsample: Output the map after the downsampling that follows a stage.
        pad_small_map: Pad maps smaller than a window; otherwise they are an error.
        norm_cfg: Config of the normalization of outputs; None means none.
        stage_cfgs: Further arguments of :class:`~intarsia.models.backbones.davit_block.DaViTBlockSequence`: one dict,
            or one for each stage.
        frozen_stages: Freeze the embedding and the stages up to this one, from 0; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        out_indices: Stages to output, from 0.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **dict.fromkeys(('t', 'tiny'), _arch(96, (1, 1, 3, 1), 3)),
        **dict.fromkeys(('s', 'small'), _arch(96, (1, 1, 9, 1), 3)),
        **dict.fromkeys(('b', 'base'), _arch(128, (1, 1, 9, 1), 4)),
        **dict.fromkeys(('l', 'large'), _arch(192, (1, 1, 9, 1), 6)),
        **dict.fromkeys(('h', 'huge'), _arch(256, (1, 1, 9, 1), 8)),
        **dict.fromkeys(('g', 'giant'), _arch(384, (1, 1, 12, 3), 12)),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            't': (96, 192, 384, 768), 'tiny': (96, 192, 384, 768),
            's': (96, 192, 384, 768), 'small': (96, 192, 384, 768),
            'b': (128, 256, 512, 1024), 'base': (128, 256, 512, 1024),
            'l': (192, 384, 768, 1536), 'large': (192, 384, 768, 1536),
            'h': (256, 512, 1024, 2048), 'huge': (256, 512, 1024, 2048),
            'g': (384, 768, 1536, 3072), 'giant': (384, 768, 1536, 3072),
        }
    }  # fmt: skip
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('out_after_downsample',)

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 't',
        patch_size: int = 4,
        in_channels: int = 3,
        window_size: int = 7,
        ffn_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_path_rate: float = 0.1,
        out_after_downsample: bool = False,
        pad_small_map: bool = False,
        norm_cfg: Mapping[str, Any] | None = LN,
        stage_cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]] = EMPTY,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        out_indices: Sequence[int] = (3,),
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        depths, width = settings['depths'], settings['embed_dims']
        self.out_indices = normalize_indices(out_indices, len(depths), 'DaViT')
        self.out_after_downsample, self.frozen_stages, self.norm_eval = out_after_downsample, frozen_stages, norm_eval
        self.patch_embed = PatchEmbed(in_channels, width, kernel_size=7, stride=patch_size, padding='same', norm_cfg=LN)
        shared: dict[str, Any] = {
            'window_size': window_size, 'ffn_ratio': ffn_ratio, 'qkv_bias': qkv_bias, 'with_cp': with_cp,
            'pad_small_map': pad_small_map,
        }  # fmt: skip
        own = [stage_cfgs] * len(depths) if isinstance(stage_cfgs, Mapping) else stage_cfgs
        rates, first, stride = decay_rule(drop_path_rate, sum(depths)), 0, patch_size
        stages, channels, strides = [], [], []
        for i, (depth, num_heads) in enumerate(zip(depths, settings['num_heads'], strict=True)):
            drop_paths = rates[first : first + depth]
            options = {**shared, 'downsample': i < len(depths) - 1, 'drop_paths': drop_paths, **own[i]}
            stages.append(DaViTBlockSequence(width, depth, num_heads, **options))
            after, first = stride * stages[-1].downsample_stride, first + depth
            channels.append(stages[-1].out_channels if out_after_downsample else width)
            strides.append(after if out_after_downsample else stride)
            width, stride = stages[-1].out_channels, after
        self.stages = ModuleList(stages)
        for i in self.out_indices:
            norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, channels[i])[1]
            self.add_module(f'norm{i}', norm)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The embedding, the stages up to ``frozen_stages``, and the normalizations of their outputs."""
        if self.frozen_stages < 0:
            return []
        norms = [getattr(self, f'norm{i}') for i in self.out_indices if i <= self.frozen_stages]
        return [self.patch_embed, *self.stages[: self.frozen_stages + 1], *norms]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        tokens_nlc, grid = self.patch_embed(x)
        outs: list[Tensor] = []
        stage: Any
        for i, stage in enumerate(self.stages):
            tokens_nlc = stage(tokens_nlc, grid)
            if not self.out_after_downsample:
                self._output(i, tokens_nlc, grid, outs)
            if stage.downsample is not None:
                tokens_nlc, grid = stage.downsample(tokens_nlc, grid)
            if self.out_after_downsample:
                self._output(i, tokens_nlc, grid, outs)
        return tuple(outs)

    def _output(self, stage: int, tokens_nlc: Tensor, grid: tuple[int, int], outs: list[Tensor]) -> None:
        if stage in self.out_indices:
            outs.append(to_map(getattr(self, f'norm{stage}')(tokens_nlc), grid))
