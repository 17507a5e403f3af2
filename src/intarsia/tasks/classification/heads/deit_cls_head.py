"""Head of distilled vision transformers.

Shapes: n samples, c channels or classes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.tasks.classification.heads.cls_head import Features, last_stage
from intarsia.tasks.classification.heads.vision_transformer_cls_head import VisionTransformerClsHead


@HEADS.register_module()
class DeiTClsHead(VisionTransformerClsHead):
    """A fully connected layer on the class token and one on the distillation token; logits are the mean of both.

    "Training data-efficient image transformers & distillation through attention" (Touvron et al., 2020,
    arXiv:2012.12877). Here both tokens learn from labels: there is no teacher.

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of the tokens.
        **kwargs: Further arguments of
            :class:`~intarsia.tasks.classification.heads.vision_transformer_cls_head.VisionTransformerClsHead`.
    """

    def __init__(self, num_classes: int, in_channels: int, **kwargs: Any) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        self.layers.add_module('head_dist', nn.Linear(self.hidden_dim or in_channels, num_classes))

    def pre_logits(self, feats: Features) -> Any:
        """Both tokens ``(N, C)``, each after the hidden layer if there is one.

        Args:
            feats: The last stage is a list that ends in class token and distillation token, each ``(N, in_channels)``.
        """
        hidden = list(self.layers)[:-2]
        tokens = []
        for token_nc in last_stage(feats)[-2:]:
            for layer in hidden:
                token_nc = layer(token_nc)
            tokens.append(token_nc)
        return tuple(tokens)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        token_nc, dist_token_nc = self.pre_logits(feats)
        return (self.layers[-2](token_nc) + self.layers[-1](dist_token_nc)) / 2
