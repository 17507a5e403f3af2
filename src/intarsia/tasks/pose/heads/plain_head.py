"""Heads of a user's own that are plain modules: ``forward(feats)``, and perhaps ``get_loss``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints
from intarsia.tasks.pose.heads.heatmap_head import BaseHeatmapHead


class PlainHead:
    """What a model asks of its head, answered for a module that gives heat maps ``(N, K, h, w)`` and knows no more.

    It is no module itself, so weights keep the names they have in the model.

    Args:
        head: The module. ``get_loss(output, target, target_weight)`` and ``get_accuracy`` of the same form count, if it
            has them.
        loss: What its outputs are compared with otherwise, ``loss(output, target, target_weight)``.
        codec: The codec of the model.
        test_cfg: That of the model.
    """

    def __init__(self, head: Any, loss: nn.Module | None, codec: Codec | None, test_cfg: Mapping[str, Any]) -> None:
        self.head, self.loss = head, loss
        self.maps = BaseHeatmapHead(codec=codec)
        self.maps.test_cfg = test_cfg

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses by name.

        Raises:
            TypeError: Neither the head nor the model has a loss.
        """
        output = self.head(feats)
        target, weight = targets['target'], targets['target_weight']
        if hasattr(self.head, 'get_loss'):
            losses = dict(self.head.get_loss(output, target, weight))
        elif self.loss is not None:
            losses = {'loss_keypoint': self.loss(output, target, weight)}
        else:
            raise TypeError(
                f'{type(self.head).__name__} has no get_loss(output, target, target_weight) and the model no '
                'loss_pose, so it cannot be trained: give one of them, or inherit from '
                'intarsia.tasks.pose.heads.pose_head.PoseHead'
            )
        own = hasattr(self.head, 'get_accuracy')
        accuracy = self.head.get_accuracy if own else self.maps.get_accuracy
        return {**losses, **accuracy(output, target, weight)}

    def flip_back(self, output: Any, flip_index: Sequence[int]) -> Any:
        """As :meth:`~intarsia.tasks.pose.heads.pose_head.PoseHead.flip_back`, of heat maps."""
        return self.maps.flip_back(output, flip_index)

    def mean(self, first: Any, second: Any) -> Any:
        """The mean of two outputs."""
        return self.maps.mean(first, second)

    def decode(self, output: Any) -> Keypoints:
        """Joints ``(N, K, 2)`` in pixels of the input, and their scores ``(N, K)``."""
        return self.maps.decode(output)
