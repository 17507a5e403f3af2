"""The base of heads: features in; outputs, their losses, or joints out.

Shapes: n people, k joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features
from intarsia.nn.module import BaseModule
from intarsia.tasks.pose.codecs.codec import Codec, Keypoints, build_codec


class PoseHead(BaseModule):
    """Turns features into what its codec decodes to joints.

    A subclass defines its layers and ``forward(feats)``; and :meth:`flip_back`, where its outputs mirror in a way of
    their own.

    Args:
        loss: Node of LOSSES; None for a head that is not trained.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.
    """

    loss_attribute: ClassVar[str] = 'loss'
    """Under which name the loss is a part of this module, and begins the names of its weights."""
    loss_key: ClassVar[str] = 'loss_kpt'
    """Under which name the loss is logged."""

    def __init__(
        self,
        loss: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.codec: Codec | None = build_codec(codec)
        self.test_cfg: Mapping[str, Any] = {}
        self.add_module(self.loss_attribute, build_part(loss, 'pose'))

    @property
    def criterion(self) -> Any:
        """The loss.

        Raises:
            RuntimeError: There is none.
        """
        found = getattr(self, self.loss_attribute)
        if found is None:
            raise RuntimeError(f'{type(self).__name__} has no loss, so it cannot be trained: give it a node of LOSSES')
        return found

    def forward(self, feats: Features) -> Any:
        """Outputs for N people: a tensor, or several."""
        raise NotImplementedError(f'{type(self).__name__} has no forward(feats)')

    # ------------------------------------------------------------------ training

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Losses by name, and ``acc_pose``, the part of joints that are where they should be.

        Args:
            feats: Stages of the backbone or neck.
            targets: What the codec encoded, in batches: ``target``, ``target_weight``.
        """
        outputs = self(feats)
        target, target_weight = targets['target'], targets['target_weight']
        losses = self.get_loss(outputs, target, target_weight)
        return {**losses, **self.get_accuracy(outputs, target, target_weight)}

    def get_loss(self, output: Any, target: Any, target_weight: Tensor) -> dict[str, Tensor]:
        """Losses by name of outputs and what they should be."""
        return {self.loss_key: self.criterion(output, target, target_weight)}

    def get_accuracy(self, output: Any, target: Any, target_weight: Tensor) -> dict[str, Tensor]:
        """What is logged beside the losses; nothing."""
        return {}

    # ------------------------------------------------------------------ prediction

    def flip_back(self, output: Any, flip_index: Sequence[int]) -> Any:
        """Outputs for mirrored images, as they would be for the images themselves.

        Args:
            output: What :meth:`forward` gave.
            flip_index: For every joint, which one it is in the mirrored image.
        """
        raise NotImplementedError(f'{type(self).__name__} has no flip_back, which flip_test needs')

    def mean(self, first: Any, second: Any) -> Any:
        """The mean of two outputs."""
        if isinstance(first, Tensor):
            return (first + second) * 0.5
        return type(first)(self.mean(one, other) for one, other in zip(first, second, strict=True))

    def decode(self, output: Any) -> Keypoints:
        """Joints ``(N, K, 2)`` in pixels of the input, and their scores ``(N, K)``.

        Raises:
            RuntimeError: The head has no codec.
        """
        if self.codec is None:
            raise RuntimeError(
                f'{type(self).__name__} does not know what its outputs mean: give the model a codec, '
                "codec=dict(type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)"
            )
        return self.codec.decode(output)
