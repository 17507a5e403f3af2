"""The recognizer of frames: a 2D backbone sees every frame, the head joins them.

Shapes: n samples, m frames of each (of all its clips and crops), t frames of a clip, c channels, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from intarsia.core.registries import RECOGNIZERS
from intarsia.tasks.action.recognizer import Recognizer


@RECOGNIZERS.register_module()
class Recognizer2D(Recognizer):
    """Gives a clip its class from features of single frames: TSN, TSM and their relatives.

    "Temporal Segment Networks" (Wang et al., 2016, arXiv:1608.00859). Arguments as :class:`Recognizer`.
    """

    def extract_backbone(self, inputs: Tensor) -> Any:
        """Features of frames ``(N, M, C, H, W)``.

        Returns:
            ``(N * M, C', H', W')``; with a neck a list of stages ``(N, C', M, H', W')``.
        """
        feats = self.in_parts(self.backbone, inputs.flatten(0, 1))
        if isinstance(feats, (tuple, list)) and len(feats) == 1:
            feats = feats[0]
        if self.neck is None:
            return feats
        stages = [feats] if isinstance(feats, Tensor) else feats
        return [self._as_clips(stage, self._frames_of_clip(inputs)) for stage in stages]

    def classify(self, feats: Any, inputs: Tensor) -> Tensor:
        """Scores ``(N * V, K)``; V is 1 where the head's consensus is over all frames."""
        num_segs = inputs.shape[1]
        if self._is_fully_convolutional:
            if self.neck is None:
                feats = self._as_clips(feats, self._frames_of_clip(inputs))
            return self.head(feats, fcn_test=True)
        if self.neck is not None:
            feats, num_segs = feats.squeeze(2), 1
        return self.head(feats, num_segs) if self._head_takes_num_segs else self.head(feats)

    @property
    def _is_fully_convolutional(self) -> bool:
        return self.testing.fcn_test and not self.training

    def _frames_of_clip(self, inputs: Tensor) -> int:
        """T: all frames of a sample, or in fully convolutional testing those that the backbone was made for."""
        return self.backbone.num_segments if self._is_fully_convolutional else inputs.shape[1]

    @staticmethod
    def _as_clips(stage: Tensor, num_frames: int) -> Tensor:
        """``(X * T, C, H, W)`` -> ``(X, C, T, H, W)``."""
        return stage.unflatten(0, (-1, num_frames)).transpose(1, 2).contiguous()
