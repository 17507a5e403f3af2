"""Layers of a vision transformer, brought to a pyramid and joined from coarse to fine.

Shapes: n images, c channels, k classes, h rows, w columns, l patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.decode_head import BaseDecodeHead

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
Readout = Literal['ignore', 'add', 'project']


class ReassembleBlocks(BaseModule):
    """Bring four maps of one size to four, two, one and half times that size.

    Args:
        in_channels: Channels C of each map.
        out_channels: Channels of each output.
        readout_type: What happens to the class token: nothing, it is added to every patch, or joined to it and both
            are projected to C channels.
        patch_size: Of no account.
    """

    def __init__(
        self,
        in_channels: int = 768,
        out_channels: Sequence[int] = (96, 192, 384, 768),
        readout_type: Readout = 'ignore',
        patch_size: int = 16,
    ) -> None:
        super().__init__()
        if readout_type not in ('ignore', 'add', 'project') or len(out_channels) != 4:
            raise ValueError(
                f"DPTHead: readout_type is 'ignore', 'add' or 'project', and there are four post_process_channels; "
                f'not {readout_type!r} and {out_channels}'
            )
        self.readout_type = readout_type
        self.projects = nn.ModuleList(ConvModule(in_channels, width, 1, act_cfg=None) for width in out_channels)
        first, second, _, last = out_channels
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(last, last, 3, stride=2, padding=1),
            ]
        )
        if readout_type == 'project':
            self.readout_projects = nn.ModuleList(
                nn.Sequential(nn.Linear(2 * in_channels, in_channels), nn.GELU()) for _ in out_channels
            )

    def forward(self, inputs: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Pairs of a map ``(N, C, H, W)`` and a class token ``(N, C)`` to maps from fine to coarse."""
        outs = []
        for i, (map_nchw, token_nc) in enumerate(inputs):
            read_nchw = self._read_out(i, map_nchw, token_nc)
            outs.append(self.resize_layers[i](self.projects[i](read_nchw)))
        return outs

    def _read_out(self, i: int, map_nchw: Tensor, token_nc: Tensor) -> Tensor:
        if self.readout_type == 'add':
            return map_nchw + token_nc[:, :, None, None]
        if self.readout_type == 'project':
            patch_nlc = map_nchw.flatten(2).transpose(1, 2)
            joined_nlc = torch.cat((patch_nlc, token_nc[:, None].expand_as(patch_nlc)), dim=2)
            return self.readout_projects[i](joined_nlc).transpose(1, 2).reshape(map_nchw.shape)
        return map_nchw


class PreActResidualConvUnit(BaseModule):
    """Two convolutions that follow their activations; added to the input.

    Args:
        channels: Channels C of the map.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, channels: int, act_cfg: Mapping[str, Any], norm_cfg: Mapping[str, Any] | None) -> None:
        super().__init__()
        options: dict[str, Any] = {
            'padding': 1, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'bias': False, 'order': ('act', 'conv', 'norm'),
            'inplace': False,
        }  # fmt: skip
        self.conv1 = ConvModule(channels, channels, 3, **options)
        self.conv2 = ConvModule(channels, channels, 3, **options)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.conv2(self.conv1(x_nchw)) + x_nchw


class FeatureFusionBlock(BaseModule):
    """Add a finer map to a coarse one, and double the resolution.

    Args:
        channels: Channels C of both maps.
        act_cfg: Config of the activations.
        norm_cfg: Config of the normalizations.
        takes_finer: Whether there is a finer map.
    """

    def __init__(
        self, channels: int, act_cfg: Mapping[str, Any], norm_cfg: Mapping[str, Any] | None, takes_finer: bool
    ) -> None:
        super().__init__()
        self.project = ConvModule(channels, channels, 1, act_cfg=None)
        self.res_conv_unit1 = PreActResidualConvUnit(channels, act_cfg, norm_cfg) if takes_finer else None
        self.res_conv_unit2 = PreActResidualConvUnit(channels, act_cfg, norm_cfg)

    def forward(self, x_nchw: Tensor, finer_nchw: Tensor | None = None) -> Tensor:
        """``(N, C, H, W)`` and another map to ``(N, C, 2 * H, 2 * W)``."""
        if finer_nchw is not None and self.res_conv_unit1 is not None:
            if finer_nchw.shape != x_nchw.shape:
                finer_nchw = resize(finer_nchw, size=x_nchw.shape[2:], mode='bilinear', align_corners=False)
            x_nchw = x_nchw + self.res_conv_unit1(finer_nchw)
        x_nchw = self.res_conv_unit2(x_nchw)
        return self.project(resize(x_nchw, scale_factor=2, mode='bilinear', align_corners=True))


@HEADS.register_module()
class DPTHead(BaseDecodeHead):
    """Four layers of a vision transformer as a pyramid, joined from coarse to fine.

    "Vision Transformers for Dense Prediction" (Ranftl et al., 2021, arXiv:2103.13413).

    Args:
        embed_dims: Channels of the layers.
        post_process_channels: Channels of each level of the pyramid.
        readout_type: What happens to the class token; see :class:`ReassembleBlocks`.
        patch_size: Of no account.
        expand_channels: Multiply the channels of each level by 1, 2, 4, 8 once more.
        act_cfg: Config of the activations where maps are joined.
        norm_cfg: Config of the normalizations.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.decode_head.BaseDecodeHead`; the backbone gives
            pairs of a map and a class token.

    Raises:
        ValueError: The way to read out the class token is unknown, or there are not four levels.
    """

    def __init__(
        self,
        embed_dims: int = 768,
        post_process_channels: Sequence[int] = (96, 192, 384, 768),
        readout_type: Readout = 'ignore',
        patch_size: int = 16,
        expand_channels: bool = False,
        act_cfg: Mapping[str, Any] = RELU,
        norm_cfg: Mapping[str, Any] | None = BN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reassemble_blocks = ReassembleBlocks(embed_dims, post_process_channels, readout_type, patch_size)
        widths = [width * 2**i if expand_channels else width for i, width in enumerate(post_process_channels)]
        self.convs = nn.ModuleList(
            ConvModule(width, self.channels, 3, padding=1, act_cfg=None, bias=False) for width in widths
        )
        self.fusion_blocks = nn.ModuleList(
            FeatureFusionBlock(self.channels, act_cfg, norm_cfg, takes_finer=i > 0) for i in range(len(widths))
        )
        self.project = ConvModule(self.channels, self.channels, 3, padding=1, norm_cfg=norm_cfg)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, K, h, w)`` of the stages."""
        pyramid = self.reassemble_blocks(self._transform_inputs(feats))
        levels = [conv(level) for conv, level in zip(self.convs, pyramid, strict=True)]
        x_nchw = None
        for block, level in zip(self.fusion_blocks, reversed(levels), strict=True):
            x_nchw = block(level) if x_nchw is None else block(x_nchw, level)
        return self.cls_seg(self.project(x_nchw))
