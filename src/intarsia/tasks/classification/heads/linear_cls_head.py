"""Heads of fully connected layers.

Shapes: n samples, c channels or classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer
from intarsia.tasks.classification.heads.cls_head import ClsHead, Features, last_stage

NORMAL_INIT = {'type': 'Normal', 'layer': 'Linear', 'std': 0.01}
RELU = {'type': 'ReLU'}


@HEADS.register_module()
class LinearClsHead(ClsHead):
    """One fully connected layer.

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of the feature.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.classification.heads.cls_head.ClsHead`.
    """

    def __init__(self, num_classes: int, in_channels: int, init_cfg: Any = NORMAL_INIT, **kwargs: Any) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        self._check_classes(num_classes)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        return self.fc(self.pre_logits(feats))


class LinearBlock(BaseModule):
    """Fully connected layer, then normalization, activation and dropout where they are asked for.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        dropout_rate: Share of channels that are dropped.
        norm_cfg: Config of the normalization, or None.
        act_cfg: Config of the activation, or None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dropout_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, out_channels)
        self.norm = build_norm_layer(norm_cfg, out_channels)[1] if norm_cfg else nn.Identity()
        self.act = build_activation_layer(act_cfg) if act_cfg else nn.Identity()
        self.dropout = nn.Dropout(dropout_rate) if dropout_rate > 0 else nn.Identity()

    def forward(self, x_nc: Tensor) -> Tensor:
        """``(N, in_channels)`` to ``(N, out_channels)``."""
        return self.dropout(self.act(self.norm(self.fc(x_nc))))


@HEADS.register_module()
class StackedLinearClsHead(ClsHead):
    """Several fully connected layers.

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of the feature.
        mid_channels: Channels of the hidden layers.
        dropout_rate: Share of channels that are dropped after each hidden layer.
        norm_cfg: Config of the normalization after each hidden layer, or None.
        act_cfg: Config of the activation after each hidden layer, or None.
        **kwargs: Arguments of :class:`~intarsia.tasks.classification.heads.cls_head.ClsHead`.

    Raises:
        ValueError: ``mid_channels`` is empty.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mid_channels: Sequence[int],
        dropout_rate: float = 0.0,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = RELU,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._check_classes(num_classes)
        if not mid_channels:
            raise ValueError('StackedLinearClsHead: mid_channels is empty; LinearClsHead has one layer')
        self.num_classes = num_classes
        self.in_channels = in_channels
        widths = [in_channels, *mid_channels]
        hidden = [LinearBlock(before, after, dropout_rate, norm_cfg, act_cfg) for before, after in pairwise(widths)]
        self.layers = nn.ModuleList([*hidden, LinearBlock(widths[-1], num_classes)])

    def pre_logits(self, feats: Features) -> Tensor:
        """The output of the last hidden layer, ``(N, mid_channels[-1])``."""
        x_nc = last_stage(feats)
        for layer in list(self.layers)[:-1]:
            x_nc = layer(x_nc)
        return x_nc

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        return self.layers[-1](self.pre_logits(feats))
