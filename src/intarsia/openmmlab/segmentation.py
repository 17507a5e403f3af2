"""Functions and layers of MMSegmentation that its users import, over ours."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core.registries import DATASETS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.tasks.segmentation.metrics.iou_metric import IoUMetric

NAMED = {
    'cityscapes': 'CityscapesDataset', 'ade': 'ADE20KDataset', 'ade20k': 'ADE20KDataset', 'voc': 'PascalVOCDataset',
    'pascal_voc': 'PascalVOCDataset', 'voc12': 'PascalVOCDataset', 'cocostuff': 'COCOStuffDataset',
    'cocostuff164k': 'COCOStuffDataset', 'loveda': 'LoveDADataset', 'potsdam': 'PotsdamDataset',
    'vaihingen': 'ISPRSDataset', 'isaid': 'iSAIDDataset', 'stare': 'STAREDataset', 'pcontext': 'PascalContextDataset',
}  # fmt: skip
"""Short names of data sets."""


def get_classes(dataset: str) -> list[str]:
    """Names of the classes of a data set."""
    return list(_dataset(dataset).CLASSES)


def get_palette(dataset: str) -> list[list[int]]:
    """Colours of the classes of a data set, R, G, B."""
    return [list(color) for color in _dataset(dataset).PALETTE]


def _dataset(name: str) -> Any:
    if name not in NAMED:
        raise ValueError(f"there is no data set '{name}'; known are {', '.join(NAMED)}")
    return DATASETS.of('segmentation').get(NAMED[name])


def intersect_and_union(
    pred_label: Any,
    label: Any,
    num_classes: int,
    ignore_index: int,
    label_map: dict[int, int] | None = None,
    reduce_zero_label: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels of each class that prediction and truth share, have together, and have each: float ``(C,)``."""
    pred, true = (torch.as_tensor(np.asarray(each)).long() for each in (pred_label, label))
    for old, new in (label_map or {}).items():
        true = torch.where(torch.as_tensor(np.asarray(label)) == old, new, true)
    if reduce_zero_label:
        true = torch.where((true == 0) | (true == 255), 255, true - 1)
    counted = true != ignore_index
    pred, true = pred[counted], true[counted]
    histograms = [
        torch.histc(each.float(), num_classes, 0, num_classes - 1) for each in (pred[pred == true], pred, true)
    ]
    both, predicted, labelled = histograms
    return both, predicted + labelled - both, predicted, labelled


def mean_iou(
    results: Sequence[np.ndarray], gt_seg_maps: Any, num_classes: int, ignore_index: int, **kwargs: Any
) -> dict[str, Any]:
    """``aAcc``, and ``IoU`` and ``Acc`` of each class."""
    return eval_metrics(results, gt_seg_maps, num_classes, ignore_index, ['mIoU'], **kwargs)


def eval_metrics(
    results: Sequence[np.ndarray],
    gt_seg_maps: Any,
    num_classes: int,
    ignore_index: int,
    metrics: Sequence[str] = ('mIoU',),
    nan_to_num: int | None = None,
    label_map: dict[int, int] | None = None,
    reduce_zero_label: bool = False,
    beta: int = 1,
) -> dict[str, Any]:
    """Values of all classes by name, 0 ... 1.

    Args:
        results: Predicted classes of every pixel.
        gt_seg_maps: True ones.
        num_classes: C.
        ignore_index: Pixels of this true class do not count.
        metrics: ``mIoU``, ``mDice``, ``mFscore``.
        nan_to_num: Value of a class that is nowhere.
        label_map: New labels by old.
        reduce_zero_label: Label 0 is ignored, and others move down by one.
        beta: Of the F score.
    """
    counter = IoUMetric(ignore_index, [metrics] if isinstance(metrics, str) else list(metrics), nan_to_num, beta)
    for pred, true in zip(results, gt_seg_maps, strict=True):
        array = np.asarray(true).astype(np.int64)
        for old, new in (label_map or {}).items():
            array = np.where(np.asarray(true) == old, new, array)
        if reduce_zero_label:
            array = np.where((array == 0) | (array == 255), 255, array - 1)
        counter.update(np.asarray(pred), array, num_classes)
    return {name: np.asarray(value) for name, value in counter.scores().items()}


class ASPPModule(nn.ModuleList):
    """Convolutions of several dilations, side by side.

    Args:
        dilations: One for each; 1 has a kernel of 1, the others of 3.
        in_channels: Channels in.
        channels: Channels out of each.
        conv_cfg: Node of CONV_LAYERS.
        norm_cfg: Node of NORM_LAYERS.
        act_cfg: Node of ACTIVATION_LAYERS.
    """

    def __init__(
        self, dilations: Sequence[int], in_channels: int, channels: int, conv_cfg: Any, norm_cfg: Any, act_cfg: Any
    ) -> None:
        super().__init__()
        self.dilations, self.in_channels, self.channels = dilations, in_channels, channels
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        for dilation in dilations:
            shape = (1, 0) if dilation == 1 else (3, dilation)
            self.append(self._branch(dilation, *shape))

    def _branch(self, dilation: int, kernel: int, padding: int) -> nn.Module:
        return ConvModule(
            self.in_channels, self.channels, kernel, padding=padding, dilation=dilation, conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg, act_cfg=self.act_cfg,
        )  # fmt: skip

    def forward(self, x_nchw: Tensor) -> list[Tensor]:
        """What each gives."""
        return [branch(x_nchw) for branch in self]


class DepthwiseSeparableASPPModule(ASPPModule):
    """The same, with separable convolutions where the kernel is larger than 1."""

    def _branch(self, dilation: int, kernel: int, padding: int) -> nn.Module:
        if kernel == 1:
            return super()._branch(dilation, kernel, padding)
        known = inspect.signature(DepthwiseSeparableConvModule).parameters
        given = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        return DepthwiseSeparableConvModule(
            self.in_channels, self.channels, kernel, padding=padding, dilation=dilation,
            **{name: value for name, value in given.items() if name in known},
        )  # fmt: skip
