"""The residual network of frames that exchange channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.tasks.action.backbones.inflate import accept_plain_keys
from intarsia.tasks.action.backbones.resnet import ResNet
from intarsia.tasks.action.backbones.temporal_shift import NonLocalWrapper, TemporalPool, TemporalShift

DEEP_STAGE = 23
"""From so many blocks in the third stage on only every second block shifts."""


@BACKBONES.register_module()
class ResNetTSM(ResNet):
    """:class:`~intarsia.tasks.action.backbones.resnet.ResNet` with temporal shifts.

    "TSM: Temporal Shift Module for Efficient Video Understanding" (Lin et al., 2018, arXiv:1811.08383).

    State keys: those of the network without shifts, with ``net`` before the name of what is shifted.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_segments: Frames of a clip.
        is_shift: Whether there are shifts at all.
        non_local: Which blocks of which stages a non-local block follows: 1 or 0 for each.
        non_local_cfg: Arguments of the non-local blocks; empty for none.
        shift_div: One over the share of the channels that move in each direction.
        shift_place: ``'blockres'`` shifts within the residual, ``'block'`` the input of whole blocks.
        temporal_pool: Whether the second stage and those after it see half as many frames.
        pretrained2d: Whether ``pretrained`` names its layers as ``torchvision`` does, and ``torchvision_pretrain`` too.
        **kwargs: Arguments of the network without shifts.

    Raises:
        ValueError: ``shift_place`` is none of the two, or there are too few frames.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        is_shift: bool = True,
        non_local: Sequence[Any] | int = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        shift_div: int = 8,
        shift_place: Literal['block', 'blockres'] = 'blockres',
        temporal_pool: bool = False,
        pretrained2d: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, **kwargs)
        if shift_place not in ('block', 'blockres'):
            raise ValueError(f"ResNetTSM: shift_place is 'block' or 'blockres', not {shift_place!r}")
        self.torchvision_pretrain = self.torchvision_pretrain and pretrained2d
        self.num_segments, self.shift_div = num_segments, shift_div
        self.register_load_state_dict_pre_hook(accept_plain_keys)
        frames = [num_segments, *[num_segments // 2 if temporal_pool else num_segments] * (len(self.res_layers) - 1)]
        if min(frames) < 1:
            raise ValueError(f'ResNetTSM: with temporal_pool a clip needs two frames, not num_segments={num_segments}')
        gathers: list[Any] = [non_local] * len(self.res_layers) if isinstance(non_local, int) else list(non_local)
        for i, name in enumerate(self.res_layers):
            stage = getattr(self, name)
            if is_shift:
                self._shift(stage, frames[i], shift_place)
            if non_local_cfg and not isinstance(gathers[i], int):
                self._gather(stage, gathers[i], num_segments, non_local_cfg)
        if temporal_pool:
            self.layer2: nn.Module = TemporalPool(getattr(self, 'layer2'), num_segments)  # noqa: B009

    def _shift(self, stage: nn.Sequential, num_segments: int, place: str) -> None:
        step = 2 if len(self.stage_blocks) > 2 and self.stage_blocks[2] >= DEEP_STAGE and place == 'blockres' else 1
        for i in range(0, len(stage), step):
            if place == 'block':
                stage[i] = TemporalShift(stage[i], num_segments, self.shift_div)
            else:
                first: Any = stage[i].conv1
                first.conv = TemporalShift(first.conv, num_segments, self.shift_div)

    def _gather(
        self, stage: nn.Sequential, chosen: Sequence[int], num_segments: int, non_local_cfg: Mapping[str, Any]
    ) -> None:
        for i, is_chosen in enumerate(chosen):
            if is_chosen:
                block: Any = stage[i]
                stage[i] = NonLocalWrapper(block, block.last_norm.num_features, num_segments, non_local_cfg)
