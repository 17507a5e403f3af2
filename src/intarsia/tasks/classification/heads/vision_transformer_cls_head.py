"""Head of vision transformers.

Shapes: n samples, c channels or classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.init import is_pretrained
from intarsia.tasks.classification.heads.cls_head import ClsHead, Features, last_stage

ZERO_INIT = {'type': 'Constant', 'layer': 'Linear', 'val': 0}
TANH = {'type': 'Tanh'}


@HEADS.register_module()
class VisionTransformerClsHead(ClsHead):
    """A fully connected layer on the class token, after a hidden layer if one is asked for (pre-training).

    "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (Dosovitskiy et al., 2020,
    arXiv:2010.11929).

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of the class token.
        hidden_dim: Channels of the hidden layer; None for no hidden layer.
        act_cfg: Config of the activation after the hidden layer.
        init_cfg: How weights are initialized; the default sets the last layer to zero.
        **kwargs: Arguments of :class:`~intarsia.tasks.classification.heads.cls_head.ClsHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        hidden_dim: int | None = None,
        act_cfg: Mapping[str, Any] = TANH,
        init_cfg: Any = ZERO_INIT,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        self._check_classes(num_classes)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.hidden_dim = hidden_dim
        self.layers = nn.Sequential()
        if hidden_dim is not None:
            self.layers.add_module('pre_logits', nn.Linear(in_channels, hidden_dim))
            self.layers.add_module('act', build_activation_layer(act_cfg))
        self.layers.add_module('head', nn.Linear(hidden_dim or in_channels, num_classes))

    def init_weights(self) -> None:
        """Initialize as ``init_cfg`` says; the hidden layer gets a truncated normal of variance 1 / in_channels."""
        if self.is_init:
            return
        super().init_weights()
        if self.hidden_dim is not None and not (isinstance(self.init_cfg, Mapping) and is_pretrained(self.init_cfg)):
            hidden = self.layers[0]
            assert isinstance(hidden, nn.Linear)
            nn.init.trunc_normal_(hidden.weight, std=self.in_channels**-0.5)
            nn.init.zeros_(hidden.bias)

    def pre_logits(self, feats: Features) -> Tensor:
        """The class token, after the hidden layer if there is one.

        Args:
            feats: The last stage is the class token ``(N, in_channels)``, or a list ending in it
                (``[patch tokens, class token]``).
        """
        token_nc = last_stage(last_stage(feats))
        for layer in list(self.layers)[:-1]:
            token_nc = layer(token_nc)
        return token_nc

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        return self.layers[-1](self.pre_logits(feats))
