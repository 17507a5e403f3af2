"""MobileOne of frames that exchange channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.mobileone import MobileOne
from intarsia.tasks.action.backbones.inflate import accept_plain_keys
from intarsia.tasks.action.backbones.temporal_shift import TemporalShift


@BACKBONES.register_module()
class MobileOneTSM(MobileOne):
    """:class:`~intarsia.models.backbones.mobileone.MobileOne` with a temporal shift before every block.

    "TSM: Temporal Shift Module for Efficient Video Understanding" (Lin et al., 2018, arXiv:1811.08383).

    State keys: those of the network without shifts, with ``net`` before the name of what is in a block.

    Args:
        arch: As there, like all that are not explained here.
        num_segments: Frames of a clip.
        is_shift: Whether there are shifts at all.
        shift_div: One over the share of the channels that move in each direction.
        pretrained2d: Accepted, but without effect: weights of the network without shifts always fit.
        **kwargs: Arguments of :class:`~intarsia.models.backbones.mobileone.MobileOne`.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[float]],
        num_segments: int = 8,
        is_shift: bool = True,
        shift_div: int = 8,
        pretrained2d: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(arch, **kwargs)
        self.num_segments = num_segments
        self.register_load_state_dict_pre_hook(accept_plain_keys)
        if is_shift:
            self.stage0 = TemporalShift(self.stage0, num_segments, shift_div)
            for i in range(1, 5):
                stage: nn.Sequential = getattr(self, f'stage{i}')
                for j, block in enumerate(stage):
                    stage[j] = TemporalShift(block, num_segments, shift_div)
