"""Names of weights that the two generations of the toolboxes write differently, for networks that are the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

State = dict[str, Tensor]

PARTS = (
    'backbone.', 'neck.', 'head.', 'keypoint_head.', 'cls_head.', 'decode_head.', 'auxiliary_head.', 'sample_mask',
    'x_1d_b.',
)  # fmt: skip
"""Beginnings of the names of weights of models of the toolboxes."""

POSE_HEAD = re.compile(
    r'head\.(deconv_layers|deconv_head|final_layer|conv_layers|predict_layers|multi_\w+|loss_module|mlp_head_[xy]|cls_[xy])\.'
)
"""What ``head.`` of a pose model holds; ``head.fc`` alone may belong to a classifier."""

LAYERS_OF_A_CONV = 3
"""Convolution, normalization, activation: how far one convolution of a head is from the next."""


def is_of_toolbox(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are named as those of a model of the toolboxes, or of ours."""
    return any(key.startswith(PARTS) for key in state)


def as_older(state: Mapping[str, Tensor], is_pose: bool = False) -> State:
    """Names as releases before 1.0 write them.

    Args:
        state: Weights of either generation.
        is_pose: Whether they are known to be of a pose model; otherwise its head is recognized by its layers.
    """
    is_pose = is_pose or any(POSE_HEAD.match(key) for key in state)
    num_convs = sum(value.ndim == 4 for key, value in state.items() if key.startswith('head.conv_layers.'))
    last = f'.{LAYERS_OF_A_CONV * num_convs}' if num_convs else ''
    found: State = {}
    for key, value in state.items():
        if key == 'bm_mask':
            continue
        if is_pose and key.startswith('head.'):
            key = re.sub(r'^head\.final_layer\.(\w+)$', rf'head.final_layer{last}.\1', key)
            key = re.sub(r'^head\.conv_layers\.', 'head.final_layer.', key)
            key = re.sub(r'^head\.loss_module\.', 'head.loss.', key)
            key = re.sub(r'^head\.displacement_conv_layers\.', 'head.offset_conv_layers.', key)
            key = f'keypoint_{key}'
        found[key] = value
    return found


def as_newer(state: Mapping[str, Tensor]) -> State:
    """Names as releases since 1.0 write them.

    Args:
        state: Weights of either generation.
    """
    numbers = [
        int(match[1]) for match in (re.match(r'keypoint_head\.final_layer\.(\d+)\.', key) for key in state) if match
    ]
    found: State = {}
    for key, value in state.items():
        if key.startswith('keypoint_head.'):
            key = key.removeprefix('keypoint_')
            if numbers:
                key = re.sub(rf'^head\.final_layer\.{max(numbers)}\.', 'head.final_layer.', key)
                key = re.sub(r'^head\.final_layer\.(\d+\.)', r'head.conv_layers.\1', key)
            key = re.sub(r'^head\.loss\.', 'head.loss_module.', key)
            key = re.sub(r'^head\.offset_conv_layers\.', 'head.displacement_conv_layers.', key)
        found[key] = value
    if 'sample_mask' in found and 'bm_mask' not in found:
        from intarsia.tasks.action.localizers.boundary_matching import valid_segments

        found['bm_mask'] = valid_segments(len(found['sample_mask'])).to(found['sample_mask'])
    return found


NAMES: dict[str, Callable[[Mapping[str, Tensor]], State]] = {'0.x': as_older, '1.x': as_newer}
"""Generation -> what gives its names."""
