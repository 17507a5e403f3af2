"""The slow pathway of SlowFast alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from intarsia.core.registries import BACKBONES
from intarsia.nn.module import InitCfg
from intarsia.tasks.action.backbones.resnet3d import BN, CONV, RELU, ResNet3d


@BACKBONES.register_module()
class ResNet3dSlowOnly(ResNet3d):
    """A residual network of few frames, whose last two stages alone reach over time.

    "SlowFast Networks for Video Recognition" (Feichtenhofer et al., 2018, arXiv:1812.03982). On maps of joints it is
    the network of "Revisiting Skeleton-based Action Recognition" (Duan et al., 2021, arXiv:2104.13586).

    Arguments as :class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d`, of which some have other defaults;
    ``lateral`` can only be False: there is no other pathway.

    Raises:
        ValueError: ``lateral`` is True; or as :class:`~intarsia.tasks.action.backbones.resnet3d.ResNet3d`.
    """

    def __init__(
        self,
        depth: int = 50,
        pretrained: str | None = None,
        stage_blocks: Sequence[int] | None = None,
        pretrained2d: bool = True,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Sequence[int] = (1, 7, 7),
        conv1_stride_s: int = 2,
        conv1_stride_t: int = 1,
        pool1_stride_s: int = 2,
        pool1_stride_t: int = 1,
        with_pool1: bool = True,
        with_pool2: bool = False,
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        frozen_stages: int = -1,
        inflate: int | Sequence[Any] = (0, 0, 1, 1),
        inflate_style: Literal['3x1x1', '3x3x3'] = '3x1x1',
        conv_cfg: Mapping[str, Any] | None = CONV,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        non_local: int | Sequence[Any] = 0,
        non_local_cfg: Mapping[str, Any] | None = None,
        zero_init_residual: bool = True,
        lateral: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        if lateral:
            raise ValueError('ResNet3dSlowOnly has one pathway, so there is nothing lateral')
        super().__init__(
            depth, pretrained, stage_blocks, pretrained2d, in_channels, num_stages, base_channels, out_indices,
            spatial_strides, temporal_strides, dilations, conv1_kernel, conv1_stride_s, conv1_stride_t, pool1_stride_s,
            pool1_stride_t, with_pool1, with_pool2, style, frozen_stages, inflate, inflate_style, conv_cfg, norm_cfg,
            act_cfg, norm_eval, with_cp, non_local, non_local_cfg, zero_init_residual, init_cfg,
        )  # fmt: skip
