"""The base of decode heads: features in; logits or losses of every pixel out.

Shapes: n images, c channels, k classes (or one channel), h rows, w columns.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core.registries import MODELS, PIXEL_SAMPLERS
from intarsia.models.stage_input import Features, joined_channels, transform_inputs
from intarsia.nn.module import BaseModule
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.losses.accuracy import accuracy

LAST_CONV_INIT = dict(type='Normal', std=0.01, override=dict(name='conv_seg'))
"""Initialization of the last convolution; other layers have that of their kind."""


class BaseDecodeHead(BaseModule):
    """Turns features of several stages into logits of every pixel.

    A subclass defines its layers and ``forward(feats)``, which starts with :meth:`_transform_inputs` and ends with
    :meth:`cls_seg`.

    Args:
        in_channels: Channels of the stage it takes, or of the stages.
        channels: Channels before the last convolution.
        num_classes: Number of classes.
        out_channels: Channels of the logits: the number of classes (None), or 1 for two classes told apart by
            ``threshold``.
        threshold: Probability from which on a pixel is foreground, with one output channel; None is 0.3.
        dropout_ratio: Probability of dropping a channel before the last convolution.
        conv_cfg: Node of CONV_LAYERS.
        norm_cfg: Node of NORM_LAYERS.
        act_cfg: Node of ACTIVATION_LAYERS.
        in_index: Index of the stage, or of the stages.
        input_transform: What happens to several stages: ``'resize_concat'`` brings them to the size of the first and
            joins their channels, ``'multiple_select'`` hands them over as a list; None takes one stage.
        loss_decode: Node of LOSSES, or several. Each is logged under its ``loss_name``; equal names are added up.
        ignore_index: Label of pixels that do not count.
        sampler: Node of PIXEL_SAMPLERS, which chooses the pixels that count.
        align_corners: How bilinear resizing places the pixels; see :func:`intarsia.nn.resize.resize`.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Arguments that do not fit each other.
    """

    cfg_fields: ClassVar[Sequence[str]] = ()
    """Attributes that ``train_cfg`` and ``test_cfg`` of the model set."""
    more_targets: ClassVar[Sequence[str]] = ()
    """Entries of a batch that :meth:`loss` takes besides the labels, as arguments of their names."""

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        dropout_ratio: float = 0.1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = dict(type='ReLU'),
        in_index: int | Sequence[int] = -1,
        input_transform: Literal['resize_concat', 'multiple_select'] | None = None,
        loss_decode: Mapping[str, Any] | Sequence[Mapping[str, Any]] = dict(type='segmentation.CrossEntropyLoss'),
        ignore_index: int | None = 255,
        sampler: Mapping[str, Any] | None = None,
        align_corners: bool = False,
        init_cfg: Any = LAST_CONV_INIT,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.in_index, self.input_transform = in_index, input_transform
        self.in_channels: Any = joined_channels(type(self).__name__, in_channels, in_index, input_transform)
        self.channels = channels
        self.num_classes = num_classes
        self.out_channels = num_classes if out_channels is None else out_channels
        self.threshold = 0.3 if self.out_channels == 1 and threshold is None else threshold
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.dropout_ratio = dropout_ratio
        self.ignore_index = ignore_index
        self.align_corners = align_corners
        self._check_outputs(threshold)
        losses = [loss_decode] if isinstance(loss_decode, Mapping) else list(loss_decode)
        built = [MODELS.of('segmentation').build(loss) for loss in losses]
        self.loss_decode = built[0] if isinstance(loss_decode, Mapping) else nn.ModuleList(built)
        self._losses = [(loss, loss_name(loss)) for loss in built]
        self.sampler = None if sampler is None else PIXEL_SAMPLERS.build(sampler, context=self)
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 1)
        self.dropout = nn.Dropout2d(dropout_ratio) if dropout_ratio > 0 else None

    def _check_outputs(self, threshold: float | None) -> None:
        name = type(self).__name__
        if self.out_channels != self.num_classes and not (self.out_channels == 1 and self.num_classes == 2):
            raise ValueError(
                f'{name}: out_channels={self.out_channels} with num_classes={self.num_classes}; it is the number of '
                'classes, or 1 for two classes'
            )
        if threshold is not None and self.out_channels != 1:
            raise ValueError(f'{name}: threshold needs out_channels=1')

    # ------------------------------------------------------------------ what a head is made of

    def forward(self, feats: Features) -> Any:
        """Logits ``(N, K, h, w)`` of the stages."""
        raise NotImplementedError(f'{type(self).__name__} has no forward(feats)')

    def _transform_inputs(self, inputs: Features) -> Any:
        """The stage, or the stages, that this head takes; see ``input_transform``."""
        return transform_inputs(inputs, self.in_index, self.input_transform, self.align_corners)

    def cls_seg(self, feat_nchw: Tensor) -> Tensor:
        """Logits ``(N, K, h, w)`` of the last feature."""
        return self.conv_seg(feat_nchw if self.dropout is None else self.dropout(feat_nchw))

    # ------------------------------------------------------------------ losses

    def loss(self, feats: Features, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses by name, and ``acc_seg``, the accuracy of pixels in percent.

        Args:
            feats: Stages of the backbone or neck.
            target_n1hw: Labels, integers; the logits are brought to their size.
        """
        return self.losses(self(feats), target_n1hw)

    def losses(self, seg_logit: Tensor, seg_label: Tensor) -> dict[str, Tensor]:
        """Losses by name of logits ``(N, K, h, w)`` and labels ``(N, 1, H, W)``."""
        size = seg_label.shape[2:]
        logits_nkhw = resize(seg_logit.float(), size=size, mode='bilinear', align_corners=self.align_corners)
        weight_nhw = None if self.sampler is None else self.sampler.sample(logits_nkhw, seg_label)
        target_nhw = seg_label.squeeze(1).long()
        losses: dict[str, Tensor] = {}
        for loss, name in self._losses:
            value = call_loss(loss, logits_nkhw, target_nhw, weight_nhw, self.ignore_index)
            losses[name] = losses[name] + value if name in losses else value
        losses['acc_seg'] = accuracy(logits_nkhw, target_nhw, ignore_index=self.ignore_index)
        return losses


class BaseCascadeDecodeHead(BaseDecodeHead):
    """A decode head that also takes the logits of the one before it: ``forward(feats, prev_output)``."""

    def forward(self, feats: Features, prev_output: Tensor) -> Any:  # type: ignore[override]
        """Logits ``(N, K, h, w)`` of the stages and the previous logits."""
        raise NotImplementedError(f'{type(self).__name__} has no forward(feats, prev_output)')

    def loss(self, feats: Features, target_n1hw: Tensor, prev_output: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """As :meth:`BaseDecodeHead.loss`, after another head."""
        return self.losses(self(feats, prev_output), target_n1hw)


def loss_name(loss: nn.Module) -> str:
    """Under what name a loss is logged: its ``loss_name``, or ``loss_`` and the name of its class."""
    name = getattr(loss, 'loss_name', None) or f'loss_{type(loss).__name__.removesuffix("Loss").lower()}'
    if 'loss' not in name:
        logging.getLogger('intarsia').warning("%s is logged but not trained: its name has no 'loss' in it", name)
    return name


def call_loss(
    loss: nn.Module,
    logits_nkhw: Tensor,
    target_nhw: Tensor,
    weight_nhw: Tensor | None,
    ignore_index: int | None,
    **options: Any,
) -> Tensor:
    """A loss of logits and labels.

    A loss whose ``forward`` knows no ``ignore_index`` cannot take labels that may be no class: it gets a target of the
    shape of the logits, 1 for the class of a pixel and 0 for the others, and a weight ``(N, 1, H, W)`` that is 0 where
    pixels are ignored.
    """
    parameters = inspect.signature(loss.forward).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_all or 'ignore_index' in parameters:
        return loss(logits_nkhw, target_nhw, weight=weight_nhw, ignore_index=ignore_index, **options)
    is_counted_nhw = (target_nhw != ignore_index) & (target_nhw >= 0)
    label_nhw = torch.where(is_counted_nhw, target_nhw, 0)
    if logits_nkhw.shape[1] == 1:
        score_nkhw = label_nhw[:, None].to(logits_nkhw.dtype)
    else:
        score_nkhw = torch.zeros_like(logits_nkhw).scatter_(1, label_nhw[:, None], 1.0)
    weight_n1hw = is_counted_nhw[:, None].to(logits_nkhw.dtype)
    if weight_nhw is not None:
        weight_n1hw = weight_n1hw * weight_nhw[:, None]
    known = {name: value for name, value in {'weight': weight_n1hw, **options}.items() if name in parameters}
    return loss(logits_nkhw, score_nkhw, **known)
