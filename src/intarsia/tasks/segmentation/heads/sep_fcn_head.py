"""Depthwise separable convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.core.registries import HEADS
from intarsia.nn.conv_module import RELU
from intarsia.tasks.segmentation.heads.convs import MakeConv, separable_convs_of
from intarsia.tasks.segmentation.heads.fcn_head import FCNHead


@HEADS.register_module()
class DepthwiseSeparableFCNHead(FCNHead):
    """As :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`, with depthwise separable convolutions.

    "Fast-SCNN: Fast Semantic Segmentation Network" (Poudel et al., 2019, arXiv:1902.04502).

    Args:
        dw_act_cfg: Activation between the depthwise and the pointwise part; None means none.
        **kwargs: Arguments of :class:`~intarsia.tasks.segmentation.heads.fcn_head.FCNHead`; ``conv_cfg`` and
            ``act_cfg`` are not used.
    """

    def __init__(self, dw_act_cfg: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self.dw_act_cfg = dw_act_cfg  # the base builds the layers
        super().__init__(**kwargs)

    def _build_convs(self, conv: MakeConv) -> None:
        super()._build_convs(separable_convs_of(self, act_cfg=RELU, dw_act_cfg=self.dw_act_cfg))
