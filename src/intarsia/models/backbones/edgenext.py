"""EdgeNeXt.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.convnext import GELU, LN2D, ConvNeXtBlock
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.channel_attention import ChannelMultiheadAttention
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import BaseModule, InitCfg, ModuleList, Sequential
from intarsia.nn.norm import build_norm_layer

LN: Mapping[str, Any] = {'type': 'LN'}
LAYER_SCALE = 1e-6


class PositionEncodingFourier(BaseModule):
    """Sines and cosines of places, brought to the channels of a map by a 1 x 1 convolution.

    State keys: ``proj``.

    Args:
        in_channels: Channels for each axis, even.
        embed_dims: Output channels C.
        temperature: Ratio of the longest wavelength to the shortest.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self, in_channels: int = 32, embed_dims: int = 768, temperature: float = 10000, init_cfg: InitCfg = None
    ) -> None:
        super().__init__(init_cfg)
        self.proj = nn.Conv2d(in_channels * 2, embed_dims, 1)
        self.in_channels, self.temperature = in_channels, temperature

    def forward(self, hw_shape: tuple[int, int]) -> Tensor:
        """The encoding of a map (H, W), ``(1, C, H, W)``."""
        y_hc, x_wc = (self._waves(size) for size in hw_shape)
        y_hwc = y_hc[:, None].expand(-1, len(x_wc), -1)
        x_hwc = x_wc[None].expand(len(y_hc), -1, -1)
        return self.proj(torch.cat((y_hwc, x_hwc), dim=2).permute(2, 0, 1)[None].to(self.proj.weight.dtype))

    def _waves(self, size: int) -> Tensor:
        """Sine and cosine in turn, of ever longer waves, at the places of one axis: ``(size, in_channels)``."""
        device = self.proj.weight.device
        place_l = torch.arange(1, size + 1, device=device, dtype=torch.float32) / (size + 1e-6) * (2 * math.pi)
        half_c = torch.arange(self.in_channels // 2, device=device, dtype=torch.float32)
        angle_lc = place_l[:, None] / self.temperature ** (2 * half_c / self.in_channels)
        return torch.stack((angle_lc.sin(), angle_lc.cos()), dim=2).flatten(1)


class SDTAEncoder(BaseModule):
    """Split channels filtered one after the other, then attention among channels, then a two-layer network.

    State keys: ``conv_modules``, ``pos_embed``, ``norm_csa``, ``gamma_csa``, ``csa``, ``norm``, ``pointwise_conv1``,
    ``pointwise_conv2``, ``gamma``.

    Args:
        in_channel: Channels C in and out.
        drop_path_rate: Probability that a sample goes without a branch.
        mlp_ratio: Channels inside the two-layer network divided by C.
        use_pos_emb: Whether attention is told the places.
        num_heads: Number of heads.
        scales: Number of parts of the channels, at least 2; the last one is not filtered.

    Raises:
        ValueError: There is but one part.
    """

    def __init__(
        self,
        in_channel: int,
        drop_path_rate: float = 0.0,
        mlp_ratio: int = 4,
        use_pos_emb: bool = True,
        num_heads: int = 8,
        scales: int = 2,
    ) -> None:
        super().__init__()
        if scales < 2:
            raise ValueError(f'scales={scales} must be at least 2')
        self.width = math.ceil(in_channel / scales)
        self.conv_modules = ModuleList(
            [nn.Conv2d(self.width, self.width, 3, padding=1, groups=self.width) for _ in range(scales - 1)]
        )
        self.pos_embed = PositionEncodingFourier(embed_dims=in_channel) if use_pos_emb else None
        self.norm_csa = build_norm_layer(LN, in_channel)[1]
        self.gamma_csa = nn.Parameter(torch.full((in_channel,), LAYER_SCALE))
        self.csa = ChannelMultiheadAttention(in_channel, num_heads, qkv_bias=True)
        self.norm = build_norm_layer(LN, in_channel)[1]
        self.pointwise_conv1 = nn.Linear(in_channel, mlp_ratio * in_channel)
        self.act = build_activation_layer(GELU)
        self.pointwise_conv2 = nn.Linear(mlp_ratio * in_channel, in_channel)
        self.gamma = nn.Parameter(torch.full((in_channel,), LAYER_SCALE))
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        tokens_nlc = self._filtered(x_nchw).flatten(2).transpose(1, 2)
        if self.pos_embed is not None:
            tokens_nlc = tokens_nlc + self.pos_embed((x_nchw.shape[2], x_nchw.shape[3])).flatten(2).transpose(1, 2)
        tokens_nlc = tokens_nlc + self.drop_path(self.gamma_csa * self.csa(self.norm_csa(tokens_nlc)))
        tokens_nlc = self.pointwise_conv2(self.act(self.pointwise_conv1(self.norm(tokens_nlc))))
        branch_nchw = (self.gamma * tokens_nlc).transpose(1, 2).unflatten(2, x_nchw.shape[2:])
        return x_nchw + self.drop_path(branch_nchw)

    def _filtered(self, x_nchw: Tensor) -> Tensor:
        *parts, last_nchw = x_nchw.split(self.width, dim=1)
        outs: list[Tensor] = []
        for conv, part_nchw in zip(self.conv_modules, parts, strict=True):
            outs.append(conv(part_nchw + outs[-1] if outs else part_nchw))
        return torch.cat((*outs, last_nchw), dim=1)


@BACKBONES.register_module()
class EdgeNeXt(Backbone):
    """Network of convolutions with ever larger kernels, and of attention among channels at the end of each stage.

    "EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision Applications" (Maaz et al., 2022,
    arXiv:2206.10589).

    State keys: ``downsample_layers``, ``stages``, ``norm{i}`` for every output i, ``pos_embed``.

    Args:
        arch: ``'xxsmall'``, ``'xsmall'``, ``'small'``, ``'base'``, or a dict with ``channels``, ``depths`` and
            ``num_heads`` of the stages.
        in_channels: Channels of the image.
        global_blocks: How many blocks at the end of each stage have attention.
        global_block_type: Their kind, ``'SDTA'``, or ``'None'`` for stages without; ``global_blocks`` decides.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        layer_scale_init_value: First value of a factor per channel of blocks without attention; 0 for no factor.
        linear_pw_conv: Make the layers at every place ``nn.Linear``, not 1 x 1 convolutions.
        mlp_ratio: Channels inside the two-layer networks of blocks with attention divided by those outside.
        conv_kernel_sizes: Sizes of the kernels of each stage.
        use_pos_embd_csa: Whether the attention of each stage is told the places.
        use_pos_embd_global: Whether places are encoded behind the first stage.
        d2_scales: Parts of the channels in blocks with attention of each stage.
        norm_cfg: Config of the normalizations; of the kind ``LN2d``.
        out_indices: Stages to output, from 0; negative ones count from the end.
        frozen_stages: Freeze so many stages, each with the downsampling before it.
        gap_before_final_norm: Average the map before its last normalization: outputs are vectors.
        act_cfg: Config of the activations of blocks without attention.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'xxsmall': {'channels': (24, 48, 88, 168), 'depths': (2, 2, 6, 2), 'num_heads': (4, 4, 4, 4)},
        'xsmall': {'channels': (32, 64, 100, 192), 'depths': (3, 3, 9, 3), 'num_heads': (4, 4, 4, 4)},
        'small': {'channels': (48, 96, 160, 304), 'depths': (3, 3, 9, 3), 'num_heads': (8, 8, 8, 8)},
        'base': {'channels': (80, 160, 288, 584), 'depths': (3, 3, 9, 3), 'num_heads': (8, 8, 8, 8)},
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'xxsmall': (24, 48, 88, 168), 'xsmall': (32, 64, 100, 192), 'small': (48, 96, 160, 304),
            'base': (80, 160, 288, 584),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = 'xxsmall',
        in_channels: int = 3,
        global_blocks: Sequence[int] = (0, 1, 1, 1),
        global_block_type: Sequence[str] = ('None', 'SDTA', 'SDTA', 'SDTA'),
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        linear_pw_conv: bool = True,
        mlp_ratio: int = 4,
        conv_kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        use_pos_embd_csa: Sequence[bool] = (False, True, False, False),
        use_pos_embd_global: bool = False,
        d2_scales: Sequence[int] = (2, 2, 3, 4),
        norm_cfg: Mapping[str, Any] = LN2D,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = 0,
        gap_before_final_norm: bool = True,
        act_cfg: Mapping[str, Any] = GELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('channels', 'depths', 'num_heads'))
        channels, depths = tuple(settings['channels']), settings['depths']
        unknown = set(global_block_type) - {'None', 'SDTA'}
        if unknown:
            raise ValueError(f"EdgeNeXt: global_block_type holds 'None' and 'SDTA', not {sorted(unknown)}")
        self.out_indices = normalize_indices(out_indices, len(depths), 'EdgeNeXt')
        self.frozen_stages, self.gap_before_final_norm = frozen_stages, gap_before_final_norm
        self.pos_embed = PositionEncodingFourier(embed_dims=channels[0]) if use_pos_embd_global else None

        rates = iter(decay_rule(drop_path_rate, sum(depths)))
        options: dict[str, Any] = {
            'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'linear_pw_conv': linear_pw_conv,
            'layer_scale_init_value': layer_scale_init_value,
        }  # fmt: skip
        stem = nn.Conv2d(in_channels, channels[0], 4, stride=4)
        self.downsample_layers = ModuleList([nn.Sequential(stem, build_norm_layer(norm_cfg, channels[0])[1])])
        self.stages = ModuleList()
        for i, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            if i:
                halve = nn.Conv2d(channels[i - 1], width, 2, stride=2)
                self.downsample_layers.append(nn.Sequential(build_norm_layer(norm_cfg, channels[i - 1])[1], halve))
            num_local = depth - global_blocks[i]
            local = [
                ConvNeXtBlock(width, drop_path_rate=next(rates), kernel_size=conv_kernel_sizes[i], **options)
                for _ in range(num_local)
            ]
            heads = settings['num_heads'][i]
            attending = [
                SDTAEncoder(width, next(rates), mlp_ratio, use_pos_embd_csa[i], heads, d2_scales[i])
                for _ in range(depth - num_local)
            ]
            self.stages.append(Sequential(*local, *attending))
            if i in self.out_indices:
                self.add_module(f'norm{i}', build_norm_layer(LN if gap_before_final_norm else norm_cfg, width)[1])
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(0 if gap_before_final_norm else 4 * 2**i for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages and the downsampling before each."""
        return [*self.downsample_layers[: self.frozen_stages], *self.stages[: self.frozen_stages]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to features of the output stages.

        Returns:
            ``(N, C)`` for each output, or ``(N, C, H / stride, W / stride)`` without ``gap_before_final_norm``.
        """
        outs = []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            if self.pos_embed is not None and i == 0:
                x = x + self.pos_embed((x.shape[2], x.shape[3]))
            if i in self.out_indices:
                norm = getattr(self, f'norm{i}')
                outs.append(norm(x.mean((-2, -1)) if self.gap_before_final_norm else x))
        return tuple(outs)
