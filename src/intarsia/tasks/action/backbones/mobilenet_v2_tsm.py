"""MobileNetV2 of frames that exchange channels."""

from __future__ import annotations

from typing import Any

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.mobilenet_v2 import LinearBottleneck
from intarsia.tasks.action.backbones.inflate import accept_plain_keys
from intarsia.tasks.action.backbones.mobilenet_v2 import MobileNetV2
from intarsia.tasks.action.backbones.temporal_shift import TemporalShift


@BACKBONES.register_module()
class MobileNetV2TSM(MobileNetV2):
    """:class:`~intarsia.tasks.action.backbones.mobilenet_v2.MobileNetV2` with temporal shifts.

    "TSM: Temporal Shift Module for Efficient Video Understanding" (Lin et al., 2018, arXiv:1811.08383). The blocks that
    add to their input shift it before they widen it.

    State keys: those of the network without shifts, with ``net`` after ``conv.0`` of those blocks.

    Args:
        num_segments: Frames of a clip.
        is_shift: Whether there are shifts at all.
        shift_div: One over the share of the channels that move in each direction.
        pretrained2d: Accepted, but without effect: weights of the network without shifts always fit.
        **kwargs: Arguments of :class:`~intarsia.tasks.action.backbones.mobilenet_v2.MobileNetV2`.
    """

    def __init__(
        self,
        num_segments: int = 8,
        is_shift: bool = True,
        shift_div: int = 8,
        pretrained2d: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_segments = num_segments
        self.register_load_state_dict_pre_hook(accept_plain_keys)
        if is_shift:
            for block in [module for module in self.modules() if isinstance(module, LinearBottleneck)]:
                if len(block.conv) == 3 and block.use_res_connect:
                    block.conv[0] = TemporalShift(block.conv[0], num_segments, shift_div)
