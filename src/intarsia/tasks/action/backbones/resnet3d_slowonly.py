"""The slow pathway of SlowFast alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from intarsia.core.registries import BACKBONES
from intarsia.tasks.action.backbones.resnet3d import ResNet3d


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
        conv1_kernel: Sequence[int] = (1, 7, 7),
        with_pool2: bool = False,
        inflate: int | Sequence[Any] = (0, 0, 1, 1),
        lateral: bool = False,
        **kwargs: Any,
    ) -> None:
        if lateral:
            raise ValueError('ResNet3dSlowOnly has one pathway, so there is nothing lateral')
        super().__init__(depth, pretrained, conv1_kernel=conv1_kernel, with_pool2=with_pool2, inflate=inflate, **kwargs)
