"""TinyViT.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.tinyvit_block import GELU, MBConvBlock, PatchEmbed, PatchMerging, TinyViTBlock
from intarsia.nn.drop import decay_rule
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair

LN: Mapping[str, Any] = {'type': 'LN'}


class TinyViTStage(nn.Module):
    """Blocks, and where another stage follows what lowers the resolution.

    State keys: ``blocks``, ``downsample``.

    Args:
        blocks: The blocks.
        downsample: What follows them, or None.
        use_checkpoint: Compute the blocks again in the backward pass, to save memory.
    """

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None, use_checkpoint: bool) -> None:
        super().__init__()
        self.use_checkpoint = use_checkpoint
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', H / 2, W / 2)``, or of the same shape in the last stage."""
        for block in self.blocks:
            if self.use_checkpoint and x_nchw.requires_grad:
                x_nchw = checkpoint(block, x_nchw, use_reentrant=False)
            else:
                x_nchw = block(x_nchw)
        return x_nchw if self.downsample is None else self.downsample(x_nchw)


@BACKBONES.register_module()
class TinyViT(Backbone):
    """A stage of inverted residuals, then three with attention within windows.

    "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (Wu et al., 2022, arXiv:2207.10666).

    State keys: ``patch_embed``, ``stages``, ``norm{i}`` for every output i.

    Args:
        arch: ``'5m'``, ``'11m'``, ``'21m'``, or a dict with ``channels``, ``num_heads`` and ``depths`` of the stages.
        img_size: Usual size of the image; those of other sizes are taken as well.
        window_size: Sides of the windows of each stage; the first is of no account.
        in_channels: Channels of the image.
        mlp_ratio: Channels inside the two-layer networks divided by those outside.
        drop_rate: Dropout in the two-layer networks.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        use_checkpoint: Compute blocks again in the backward pass, to save memory.
        mbconv_expand_ratio: Channels inside the inverted residuals divided by those outside.
        local_conv_size: Size of the filters beside attention.
        layer_lr_decay: Of no account; rates are the optimizer's business.
        out_indices: Stages to output, each with the downsampling behind it; negative ones count from the end.
        frozen_stages: Freeze so many stages.
        gap_before_final_norm: Average the map before its last normalization: outputs are vectors.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations of outputs.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        '5m': {'channels': (64, 128, 160, 320), 'num_heads': (2, 4, 5, 10), 'depths': (2, 2, 6, 2)},
        '11m': {'channels': (64, 128, 256, 448), 'num_heads': (2, 4, 8, 14), 'depths': (2, 2, 6, 2)},
        '21m': {'channels': (96, 192, 384, 576), 'num_heads': (3, 6, 12, 18), 'depths': (2, 2, 6, 2)},
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {'5m': (128, 160, 320, 320), '11m': (128, 256, 448, 448), '21m': (192, 384, 576, 576)}
    }

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = '5m',
        img_size: Pair = (224, 224),
        window_size: Sequence[int] = (7, 7, 14, 7),
        in_channels: int = 3,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_checkpoint: bool = False,
        mbconv_expand_ratio: float = 4.0,
        local_conv_size: int = 3,
        layer_lr_decay: float = 1.0,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = 0,
        gap_before_final_norm: bool = True,
        act_cfg: Mapping[str, Any] = GELU,
        norm_cfg: Mapping[str, Any] = LN,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('channels', 'num_heads', 'depths'))
        channels, depths = tuple(settings['channels']), settings['depths']
        self.out_indices = normalize_indices(out_indices, len(depths), 'TinyViT')
        self.frozen_stages, self.gap_before_final_norm = frozen_stages, gap_before_final_norm
        self.patch_embed = PatchEmbed(in_channels, channels[0])
        after = (*channels[1:], channels[-1])

        rates = iter(decay_rule(drop_path_rate, sum(depths)))
        self.stages = nn.ModuleList()
        for i, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            blocks: list[nn.Module] = [
                TinyViTBlock(
                    width, settings['num_heads'][i], window_size[i], mlp_ratio, drop_rate, next(rates),
                    local_conv_size, act_cfg,
                ) if i else MBConvBlock(width, mbconv_expand_ratio, next(rates))
                for _ in range(depth)
            ]  # fmt: skip
            is_last = i == len(depths) - 1
            downsample = None if is_last else PatchMerging(width, after[i], act_cfg)
            self.stages.append(TinyViTStage(blocks, downsample, use_checkpoint))
            if i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(norm_cfg, after[i])[1])
        self.out_channels = tuple(after[i] for i in self.out_indices)
        strides = [4 * 2 ** min(i + 1, len(depths) - 1) for i in range(len(depths))]
        self.strides = tuple(0 if gap_before_final_norm else strides[i] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages."""
        return list(self.stages)[: self.frozen_stages]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to features of the output stages.

        Returns:
            ``(N, C)`` for each output, or ``(N, C, H / stride, W / stride)`` without ``gap_before_final_norm``.
        """
        x_nchw = self.patch_embed(x)
        outs = []
        for i, stage in enumerate(self.stages):
            x_nchw = stage(x_nchw)
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}')
                if self.gap_before_final_norm:
                    outs.append(norm(x_nchw.mean((2, 3))))
                else:
                    outs.append(norm(x_nchw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return tuple(outs)
