"""From the stages of a backbone to a map of features for masks, and tokens for queries.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import MODELS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import caffe2_xavier_init, normal_init, xavier_init
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.mask_queries.deformable import DeformableEncoder, MultiScaleDeformableAttention
from intarsia.tasks.segmentation.mask_queries.transformer import Encoder, SinePositionalEncoding

GN: Mapping[str, Any] = {'type': 'GN', 'num_groups': 32}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
STAGES = (256, 512, 1024, 2048)
POSITIONS: Mapping[str, Any] = {'num_feats': 128, 'normalize': True}


@MODELS.register_module(name=['PixelDecoder', 'mmdet.PixelDecoder'])
class PixelDecoder(BaseModule):
    """Stages joined from coarse to fine.

    "Per-Pixel Classification is Not All You Need for Semantic Segmentation" (MaskFormer; Cheng et al., 2021,
    arXiv:2107.06278).

    State keys: ``lateral_convs``, ``output_convs``, ``last_feat_conv``, ``mask_feature``.

    Args:
        in_channels: Channels of each stage.
        feat_channels: Channels inside.
        out_channels: Channels of the features for masks.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = STAGES,
        feat_channels: int = 256,
        out_channels: int = 256,
        norm_cfg: Mapping[str, Any] | None = GN,
        act_cfg: Mapping[str, Any] | None = RELU,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        conv = partial(ConvModule, bias=norm_cfg is None, norm_cfg=norm_cfg)
        smooth = partial(conv, kernel_size=3, padding=1, act_cfg=act_cfg)
        lower, top = in_channels[:-1], in_channels[-1]
        self.lateral_convs = ModuleList(conv(channels, feat_channels, 1, act_cfg=None) for channels in lower)
        self.output_convs = ModuleList(smooth(feat_channels, feat_channels) for _ in lower)
        self.make_top(top, feat_channels, smooth)
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 3, padding=1)
        self.token_channels = top

    def make_top(self, in_channels: int, feat_channels: int, smooth: Any) -> None:
        """Make what the last stage goes through."""
        self.last_feat_conv = smooth(in_channels, feat_channels)

    def init_own_weights(self) -> None:
        """Uniform convolutions whose variance is 1 / fan-in."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                caffe2_xavier_init(module)

    def start(self, top_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """What the last stage becomes in the pyramid, and what queries look at."""
        return self.last_feat_conv(top_nchw), top_nchw

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Features for masks at the size of the first stage, and the map that queries look at."""
        y_nchw, memory_nchw = self.start(feats[-1])
        for i in reversed(range(len(self.lateral_convs))):
            lateral_nchw = self.lateral_convs[i](feats[i])
            y_nchw = self.output_convs[i](lateral_nchw + resize(y_nchw, size=lateral_nchw.shape[2:]))
        return self.mask_feature(y_nchw), memory_nchw


@MODELS.register_module(name=['TransformerEncoderPixelDecoder', 'mmdet.TransformerEncoderPixelDecoder'])
class TransformerEncoderPixelDecoder(PixelDecoder):
    """As :class:`PixelDecoder`, with a transformer over the last stage.

    State keys: also ``encoder``, ``encoder_in_proj``, ``encoder_out_proj``, but no ``last_feat_conv``.

    Args:
        encoder: ``num_layers`` and ``layer_cfg`` of the transformer.
        in_channels: Channels of each stage.
        feat_channels: Channels inside.
        out_channels: Channels of the features for masks.
        positional_encoding: Arguments of the encoding of positions.
        **kwargs: Further arguments of :class:`PixelDecoder`.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any],
        in_channels: Sequence[int] = STAGES,
        feat_channels: int = 256,
        out_channels: int = 256,
        positional_encoding: Mapping[str, Any] = POSITIONS,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, feat_channels, out_channels, **kwargs)
        self.encoder = Encoder(**encoder)
        self.positional_encoding = SinePositionalEncoding(**positional_encoding)
        self.token_channels = feat_channels

    def make_top(self, in_channels: int, feat_channels: int, smooth: Any) -> None:
        """Make what the last stage goes through."""
        self.encoder_in_proj = nn.Conv2d(in_channels, feat_channels, 1)
        self.encoder_out_proj = smooth(feat_channels, feat_channels)

    def init_own_weights(self) -> None:
        """Also Glorot initialization of the transformer."""
        super().init_own_weights()
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def start(self, top_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """What the last stage becomes in the pyramid, and what queries look at."""
        pos_1lc = self.positional_encoding(top_nchw).flatten(2).transpose(1, 2)
        tokens_nlc = self.encoder_in_proj(top_nchw).flatten(2).transpose(1, 2)
        memory_nchw = self.encoder(tokens_nlc, pos_1lc).transpose(1, 2).unflatten(2, top_nchw.shape[2:])
        return self.encoder_out_proj(memory_nchw), memory_nchw


@MODELS.register_module(name=['MSDeformAttnPixelDecoder', 'mmdet.MSDeformAttnPixelDecoder'])
class MSDeformAttnPixelDecoder(BaseModule):
    """A transformer over several stages at once, then a finer stage joined.

    "Masked-attention Mask Transformer for Universal Image Segmentation" (Mask2Former; Cheng et al., 2021,
    arXiv:2112.01527).

    State keys: ``input_convs``, ``encoder``, ``level_encoding``, ``lateral_convs``, ``output_convs``,
    ``mask_feature``.

    Args:
        encoder: ``num_layers`` and ``layer_cfg`` of the transformer; ``num_levels`` of its attention is the number of
            stages that it sees.
        in_channels: Channels of each stage.
        strides: Of no account.
        feat_channels: Channels inside.
        out_channels: Channels of the features for masks.
        num_outs: How many maps queries look at, from the coarsest on.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        positional_encoding: Arguments of the encoding of positions.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any],
        in_channels: Sequence[int] = STAGES,
        strides: Sequence[int] = (4, 8, 16, 32),
        feat_channels: int = 256,
        out_channels: int = 256,
        num_outs: int = 3,
        norm_cfg: Mapping[str, Any] | None = GN,
        act_cfg: Mapping[str, Any] | None = RELU,
        positional_encoding: Mapping[str, Any] = POSITIONS,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_outs = num_outs
        num_levels = encoder['layer_cfg']['self_attn_cfg']['num_levels']
        coarse, fine = list(reversed(in_channels))[:num_levels], list(reversed(in_channels))[num_levels:]
        self.input_convs = ModuleList(
            ConvModule(channels, feat_channels, 1, norm_cfg=norm_cfg, act_cfg=None, bias=True) for channels in coarse
        )
        self.encoder = DeformableEncoder(**encoder)
        self.postional_encoding = SinePositionalEncoding(**positional_encoding)
        self.level_encoding = nn.Embedding(num_levels, feat_channels)
        conv = partial(ConvModule, bias=norm_cfg is None, norm_cfg=norm_cfg)
        self.lateral_convs = ModuleList(conv(channels, feat_channels, 1, act_cfg=None) for channels in fine)
        self.output_convs = ModuleList(conv(feat_channels, feat_channels, 3, padding=1, act_cfg=act_cfg) for _ in fine)
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 1)

    def init_own_weights(self) -> None:
        """Glorot initialization of convolutions and of the transformer, whose attention has its own rule."""
        for conv in self.input_convs:
            xavier_init(conv.conv, distribution='uniform')  # type: ignore[arg-type]
        for module in (self.mask_feature, *self.lateral_convs.modules(), *self.output_convs.modules()):
            if isinstance(module, nn.Conv2d):
                caffe2_xavier_init(module)
        normal_init(self.level_encoding)
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        for module in self.encoder.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_own_weights()

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Features for masks at the size of the first stage, and the maps that queries look at, the coarsest first."""
        finer = list(reversed(feats))
        coarse = [conv(feat) for conv, feat in zip(self.input_convs, finer, strict=False)]
        outs = self._encode(coarse)
        for i in reversed(range(len(self.lateral_convs))):
            lateral_nchw = self.lateral_convs[i](feats[i])
            larger_nchw = resize(outs[-1], size=lateral_nchw.shape[2:], mode='bilinear', align_corners=False)
            outs.append(self.output_convs[i](lateral_nchw + larger_nchw))
        return self.mask_feature(outs[-1]), outs[: self.num_outs]

    def _encode(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps after the transformer, in their order."""
        sizes = [(x_nchw.shape[2], x_nchw.shape[3]) for x_nchw in maps]
        pos = [
            self.postional_encoding(x_nchw) + level_c[None, :, None, None]
            for x_nchw, level_c in zip(maps, self.level_encoding.weight, strict=True)
        ]
        tokens_nlc = torch.cat([x_nchw.flatten(2) for x_nchw in maps], dim=2).transpose(1, 2)
        pos_1lc = torch.cat([each.flatten(2) for each in pos], dim=2).transpose(1, 2)
        place_l2 = torch.cat([_places(size, tokens_nlc.device) for size in sizes])
        memory_ncl = self.encoder(tokens_nlc, pos_1lc, place_l2, sizes).transpose(1, 2)
        parts = memory_ncl.split([height * width for height, width in sizes], dim=2)
        return [part_ncl.unflatten(2, size) for part_ncl, size in zip(parts, sizes, strict=True)]


def _places(size: tuple[int, int], device: torch.device) -> Tensor:
    """Centres of the pixels of a map, (x, y) in 0 ... 1, row by row, ``(H * W, 2)``."""
    y, x = ((torch.arange(side, dtype=torch.float32, device=device) + 0.5) / side for side in size)
    return torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))), dim=2).flatten(0, 1)
