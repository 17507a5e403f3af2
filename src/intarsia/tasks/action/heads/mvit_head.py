"""The head of MViT: one layer on the class token, or on the mean of the map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.init import trunc_normal_init
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY
from intarsia.tasks.action.heads.timesformer_head import TimeSformerHead


@HEADS.register_module()
class MViTHead(TimeSformerHead):
    """One layer on what stands for a clip.

    "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection" (Li et al., 2021,
    arXiv:2112.01526). State keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        dropout_ratio: Of the feature.
        init_std: Standard deviation of the first weights.
        init_scale: Factor of the first weights and biases.
        with_cls_token: Whether the backbone's output is ``[map, class token]``, and not the map alone.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        dropout_ratio: float = 0.5,
        init_std: float = 0.02,
        init_scale: float = 1.0,
        with_cls_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, init_std, dropout_ratio, **kwargs)
        self.init_scale, self.with_cls_token = init_scale, with_cls_token

    def init_weights(self) -> None:
        """Truncated normal weights, scaled."""
        super().init_weights()
        trunc_normal_init(self.fc_cls, std=self.init_std, bias=0.02)
        for parameter in self.fc_cls.parameters():
            parameter.data.mul_(self.init_scale)

    def pooled(self, feats: Any) -> Tensor:
        """The class token ``(N, C)`` of the last output, or the mean over space and time of its map."""
        last = feats[-1]
        return last[1] if self.with_cls_token else last.flatten(2).mean(2)
