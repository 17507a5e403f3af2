"""Recognizers of skeletons.

Shapes: n samples, v clips of each, m people, t frames, j joints, c coordinates.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from intarsia.core.registries import RECOGNIZERS
from intarsia.tasks.action.recognizer import Recognizer


@RECOGNIZERS.register_module()
class SkeletonGCN(Recognizer):
    """Gives a skeleton in motion its class, from ``keypoint`` ``(N, C, T, J, M)``.

    "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition" (Yan et al., 2018,
    arXiv:1801.07455). Arguments as :class:`~intarsia.tasks.action.recognizer.Recognizer`.
    """

    input_key = 'keypoint'

    def extract_backbone(self, inputs: Tensor) -> Any:
        """What the backbone gives for the skeletons."""
        return self.backbone(inputs)


@RECOGNIZERS.register_module()
class RecognizerGCN(Recognizer):
    """Gives skeletons in motion their class, from ``keypoint`` ``(N, V, M, T, J, C)``: several clips of a sample.

    "PYSKL: Towards Good Practices for Skeleton Action Recognition" (Duan et al., 2022, arXiv:2205.09443). Arguments as
    :class:`~intarsia.tasks.action.recognizer.Recognizer`.
    """

    input_key = 'keypoint'

    def extract_backbone(self, inputs: Tensor) -> Any:
        """What the backbone gives for all clips."""
        return self.in_parts(self.backbone, inputs.flatten(0, 1))
