"""Steps of 1.x pipelines, task by task: what each is called here, and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Node = dict[str, Any]

FILES = frozenset({'backend_args', 'file_client_args', 'io_backend', 'color_type', 'to_float32', 'ignore_empty'})
"""Arguments of loading steps that say how files are opened; files are read from disk here."""


class Renamed:
    """A step that differs in its name, in names of arguments and in defaults only.

    Args:
        name: What it is called here; None keeps the name.
        words: Arguments that are called otherwise.
        defaults: Arguments whose defaults differ.
        drop: Arguments that mean nothing here.
    """

    def __init__(
        self,
        name: str | None = None,
        words: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        drop: frozenset[str] = frozenset(),
    ) -> None:
        self.name, self.words, self.defaults, self.drop = name, words or {}, defaults or {}, drop

    def __call__(self, node: Mapping[str, Any]) -> list[Node]:
        """The step of ours."""
        own = {self.words.get(k, k): v for k, v in node.items() if k != 'type' and k not in self.drop}
        return [{'type': self.name or node['type'], **self.defaults, **own}]


def turned(size: Any) -> Any:
    """``(width, height)`` as ``(height, width)``, or the other way round; a number stays."""
    return tuple(size[::-1]) if isinstance(size, Sequence) else size


# ---------------------------------------------------------------------- classification


def _resize_edge(node: Mapping[str, Any]) -> list[Node]:
    kept = {key: node[key] for key in ('interpolation', 'backend') if key in node}
    return [{'type': 'Resize', 'size': (node['scale'], -1), 'adaptive_side': node.get('edge', 'short'), **kept}]


def _resize(node: Mapping[str, Any]) -> list[Node]:
    kept = {key: node[key] for key in ('interpolation', 'backend') if key in node}
    return [{'type': 'Resize', 'size': turned(node['scale']), **kept}]


CLASSIFICATION: dict[str, Callable[[Mapping[str, Any]], list[Node]]] = {
    'LoadImageFromFile': Renamed(drop=FILES | {'imdecode_backend'}),
    'ResizeEdge': _resize_edge,
    'Resize': _resize,
    'RandomFlip': Renamed(words={'prob': 'flip_prob'}),
    'RandomCrop': Renamed(words={'crop_size': 'size'}, defaults={'pad_half': True}),
    'RandomResizedCrop': Renamed(
        words={'scale': 'size', 'crop_ratio_range': 'scale', 'aspect_ratio_range': 'ratio'},
    ),
    'EfficientNetRandomCrop': Renamed(
        'RandomResizedCrop', {'scale': 'size'}, {'efficientnet_style': True, 'interpolation': 'bicubic'}
    ),
    'EfficientNetCenterCrop': Renamed(
        'CenterCrop', defaults={'efficientnet_style': True, 'interpolation': 'bicubic'}
    ),
    'ColorJitter': Renamed(defaults={'backend': 'pillow'}),
    'RandomGrayscale': Renamed(
        words={'prob': 'gray_prob'}, drop=frozenset({'keep_channels', 'channel_weights', 'color_format'})
    ),
}  # fmt: skip

# ---------------------------------------------------------------------- segmentation


def _resize_images(node: Mapping[str, Any]) -> list[Node]:
    own: Node = {'type': 'Resize', 'keep_ratio': node.get('keep_ratio', False)}
    if 'scale' in node:
        own['img_scale'] = node['scale']
    if node.get('ratio_range') is not None:
        own['ratio_range'] = node['ratio_range']
    if node.get('scale_factor') is not None:
        own['scale_factor'] = node['scale_factor']
    return [own]


def _resize_choice(node: Mapping[str, Any]) -> list[Node]:
    if node.get('resize_type', 'Resize') != 'Resize':
        return [dict(node)]
    keep = node.get('keep_ratio', False)
    return [{'type': 'Resize', 'img_scale': list(node['scales']), 'multiscale_mode': 'value', 'keep_ratio': keep}]


def _pad(node: Mapping[str, Any]) -> list[Node]:
    own = {'type': 'Pad', **{key: node[key] for key in ('size_divisor', 'seg_pad_val') if key in node}}
    if node.get('size') is not None:
        own['size'] = turned(node['size'])
    value = node.get('pad_val', {'img': 0, 'seg': 255})
    value = value if isinstance(value, Mapping) else {'img': value}
    return [{**own, 'pad_val': value.get('img', 0), 'seg_pad_val': value.get('seg', 255)}]


SEGMENTATION: dict[str, Callable[[Mapping[str, Any]], list[Node]]] = {
    'LoadImageFromFile': Renamed(drop=FILES),
    'LoadAnnotations': Renamed(drop=frozenset({'backend_args', 'file_client_args'})),
    'Resize': _resize_images,
    'RandomResize': _resize_images,
    'RandomChoiceResize': _resize_choice,
    'Pad': _pad,
}

# ---------------------------------------------------------------------- pose

POSE: dict[str, Callable[[Mapping[str, Any]], list[Node]]] = {
    'LoadImage': Renamed('LoadImageFromFile', drop=FILES | {'pad_to_aspect_ratio'}),
    'GetBBoxCenterScale': Renamed('TopDownGetBboxCenterScale'),
    'TopdownAffine': Renamed('TopDownAffine', drop=frozenset({'input_size'})),
    'RandomFlip': Renamed('TopDownRandomFlip', {'prob': 'flip_prob'}, drop=frozenset({'direction'})),
    'RandomHalfBody': Renamed(
        'TopDownHalfBodyTransform',
        {'min_total_keypoints': 'num_joints_half_body', 'prob': 'prob_half_body'},
        {'num_joints_half_body': 9, 'prob_half_body': 0.3},
        frozenset({'min_upper_keypoints', 'min_lower_keypoints', 'padding', 'upper_prioritized_prob'}),
    ),
    'GenerateTarget': Renamed(drop=frozenset({'encoder', 'use_dataset_keypoint_weights', 'multilevel'})),
}

# ---------------------------------------------------------------------- action

ACTION: dict[str, Callable[[Mapping[str, Any]], list[Node]]] = {
    'RawFrameDecode': Renamed(drop=frozenset({'path_mapping'})),
    'SampleFrames': Renamed(defaults={'rules': '1.x'}),
    'UntrimmedSampleFrames': Renamed(defaults={'clip_interval': 16}),
}

STEPS = {'classification': CLASSIFICATION, 'segmentation': SEGMENTATION, 'pose': POSE, 'action': ACTION}


def translate_step(node: Mapping[str, Any], task: str | None) -> list[Node]:
    """The steps of ours for a step; one that is not in the tables is the same here."""
    known = STEPS.get(task or '', {}).get(str(node.get('type')))
    return known(node) if known else [dict(node)]
