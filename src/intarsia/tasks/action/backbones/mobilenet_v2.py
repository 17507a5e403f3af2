"""MobileNetV2 of frames."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import mobilenet_v2
from intarsia.models.backbones.backbone import init_from
from intarsia.nn.module import InitCfg


@BACKBONES.register_module()
class MobileNetV2(mobilenet_v2.MobileNetV2):
    """Network of inverted residuals with linear bottlenecks.

    "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., 2018, arXiv:1801.04381).

    Args:
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        widen_factor: Factor of all channel counts.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`intarsia.models.backbones.mobilenet_v2.MobileNetV2`.
    """

    def __init__(
        self, pretrained: str | None = None, widen_factor: float = 1.0, init_cfg: InitCfg = None, **kwargs: Any
    ) -> None:
        super().__init__(widen_factor, init_cfg=init_from(pretrained, init_cfg), **kwargs)
