"""The recognizer of clips: a 3D backbone sees all frames of a clip together.

Shapes: n samples, m clips of each (and crops of them), c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from intarsia.core.registries import RECOGNIZERS
from intarsia.tasks.action.recognizer import Recognizer


@RECOGNIZERS.register_module()
class Recognizer3D(Recognizer):
    """Gives a clip its class from features of space and time: I3D, SlowFast and their relatives.

    "Quo Vadis, Action Recognition?" (Carreira and Zisserman, 2017, arXiv:1705.07750). Arguments as
    :class:`~intarsia.tasks.action.recognizer.Recognizer`.
    """

    def extract_backbone(self, inputs: Tensor) -> Any:
        """Features of clips ``(N, M, C, T, H, W)``: what the backbone gives for ``(N * M, C, T, H, W)``."""
        return self.in_parts(self.backbone, inputs.flatten(0, 1))
