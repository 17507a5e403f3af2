"""MobileNetV2 without its last convolution, for dense maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import mobilenet_v2
from intarsia.models.backbones.backbone import init_from
from intarsia.nn.module import InitCfg


@BACKBONES.register_module()
class MobileNetV2(mobilenet_v2.MobileNetV2):
    """Network of inverted residuals that gives maps of four layers.

    "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., 2018, arXiv:1801.04381). For an output
    stride of 8: ``strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4)``.

    State keys: ``conv1``, ``layer1`` ... ``layer7``.

    Args:
        widen_factor: Factor of all channel counts.
        out_indices: Layers to output, 0 ... 6.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`intarsia.models.backbones.mobilenet_v2.MobileNetV2`.
    """

    has_last_conv: ClassVar[bool] = False

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (1, 2, 4, 6),
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(widen_factor, out_indices, init_cfg=init_from(pretrained, init_cfg), **kwargs)
