"""R(2+1)D: a residual network whose convolutions are taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from intarsia.core.registries import BACKBONES
from intarsia.nn.module import InitCfg
from intarsia.tasks.action.backbones.resnet3d import BN, RELU, ResNet3d

CONV: Mapping[str, Any] = {'type': 'Conv2plus1d'}


@BACKBONES.register_module()
class ResNet2Plus1d(ResNet3d):
    """:class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d` of convolutions in space and in time.

    "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (Tran et al., 2017, arXiv:1711.11248).
    Arguments as there; frames are not pooled after the first stage, and the output is that of the last.

    Raises:
        ValueError: ``pretrained2d`` is True, or the convolutions are others.
    """

    def __init__(
        self,
        depth: int = 34,
        pretrained: str | None = None,
        stage_blocks: Sequence[int] | None = None,
        pretrained2d: bool = False,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_s: int = 2,
        conv1_stride_t: int = 1,
        pool1_stride_s: int = 2,
        pool1_stride_t: int = 1,
        with_pool1: bool = True,
        with_pool2: bool = True,
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        frozen_stages: int = -1,
        inflate: int | Sequence[Any] = 1,
        inflate_style: Literal['3x1x1', '3x3x3'] = '3x1x1',
        conv_cfg: Mapping[str, Any] = CONV,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        non_local: int | Sequence[Any] = 0,
        non_local_cfg: Mapping[str, Any] | None = None,
        zero_init_residual: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        if pretrained2d or conv_cfg.get('type') != 'Conv2plus1d':
            raise ValueError("ResNet2Plus1d: conv_cfg is dict(type='Conv2plus1d'), and pretrained2d False")
        super().__init__(
            depth, pretrained, stage_blocks, pretrained2d, in_channels, num_stages, base_channels, out_indices,
            spatial_strides, temporal_strides, dilations, conv1_kernel, conv1_stride_s, conv1_stride_t, pool1_stride_s,
            pool1_stride_t, with_pool1, with_pool2, style, frozen_stages, inflate, inflate_style, conv_cfg, norm_cfg,
            act_cfg, norm_eval, with_cp, non_local, non_local_cfg, zero_init_residual, init_cfg,
        )  # fmt: skip
        self.out_channels, self.strides = self.out_channels[-1:], self.strides[-1:]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features of the last stage for clips ``(N, C, T, H, W)``."""
        x = self.maxpool(self.conv1(x))
        for name in self.res_layers:
            x = getattr(self, name)(x)
        return (x,)
