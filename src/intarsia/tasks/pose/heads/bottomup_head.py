"""The base of heads that find all people in an image, with the names of the newer toolbox.

Shapes: n images, p people, k joints, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.heads.pose_head import PoseHead

Views = Sequence[tuple[Features, Features | None]]
"""Stages of images, and of the mirrored images if they are asked for; of each size that the network sees."""


class BottomupHead(PoseHead):
    """Turns features into people; see :class:`~intarsia.tasks.pose.heads.pose_head.PoseHead`.

    A subclass defines its layers, ``forward(feats)``, ``losses(feats, targets)`` and :meth:`people_of`.
    """

    def people_of(
        self, views: Views, flip_index: Sequence[int] | None, input_width: int, skeleton: Sequence[Sequence[int]]
    ) -> list[People]:
        """The people of each image, their joints in pixels of the input of the first size.

        Args:
            views: Features.
            flip_index: For every joint, which one it is in a mirrored image.
            input_width: Width of the first size.
            skeleton: Pairs of joints that a line connects.
        """
        raise NotImplementedError(f'{type(self).__name__} has no people_of')

    @property
    def known_codec(self) -> Any:
        """The codec.

        Raises:
            RuntimeError: There is none.
        """
        if self.codec is None:
            raise RuntimeError(f'{type(self).__name__} does not know what its outputs mean: give the model a codec')
        return self.codec

    @staticmethod
    def mask_of(targets: Mapping[str, Any]) -> Tensor | None:
        """Where pixels count, ``(N, 1, h, w)``; None for everywhere."""
        mask = targets.get('heatmap_mask')
        return mask[:, None] if mask is not None and mask.ndim == 3 else mask
