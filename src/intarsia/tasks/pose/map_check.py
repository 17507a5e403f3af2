"""Whether the maps of a head are those that its targets have.

Shapes: n people, k joints or maps, h rows, w columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from intarsia.core.errors import Problem
from intarsia.tasks.pose.codecs.codec import HeatmapCodec


def check_maps(model: Any, output: Any) -> list[Problem]:
    """Compare the output of a model for a batch with the targets that its codec makes of all joints.

    Args:
        model: With ``codec`` and ``dataset_info``; where one is missing there is nothing to compare.
        output: What its ``forward`` gives. Only maps ``(N, K, H, W)`` are compared.

    Returns:
        Problems with key paths in the model.
    """
    codec, info = getattr(model, 'codec', None), getattr(model, 'dataset_info', None)
    if not isinstance(codec, HeatmapCodec) or info is None or not isinstance(output, Tensor) or output.ndim != 4:
        return []
    joints = info.num_keypoints
    target = codec.encode(np.zeros((joints, 2), np.float32), np.ones(joints, np.float32)).get('target')
    if not isinstance(target, np.ndarray) or target.ndim != 3:
        return []
    (maps, height, width), head = output.shape[1:], 'keypoint_head' if hasattr(model, 'keypoint_head') else 'head'
    problems = []
    if maps != len(target):
        message = f'the head gives {maps} maps, but the targets of {joints} joints have {len(target)}.'
        problems.append(Problem('class-count', message, f'model.{head}.out_channels', suggestion=str(len(target))))
    if (height, width) != target.shape[1:]:
        message = (
            f'an input of {_size(codec.input_size)} (width x height) gives maps of {width} x {height}, '
            f'but heatmap_size is {_size(codec.heatmap_size)}.'
        )
        problems.append(
            Problem('channel-mismatch', message, 'model.codec.heatmap_size', suggestion=f'({width}, {height})')
        )
    return problems


def _size(size: Any) -> str:
    return ' x '.join(str(int(side)) for side in size)
