"""What a pose config leaves unsaid, because one part of it says it already.

A model needs a codec and the names of the joints, a data set the codec. Configs of the house say each once:
``model.codec``, and ``dataset_info`` of a data set (or its class does). Older configs have ``data_cfg``, arguments of
transforms and ``test_cfg`` instead; what they mean together is a codec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from intarsia.core.arguments import signature_of
from intarsia.core.registries import DATASETS

SPLITS = ('test', 'val', 'train')
"""Data sets of a run; the first that is there says what the model is told."""

COCO_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""Joints of COCO from those that are seen surely, the head and the torso, to the others."""

WITHOUT_CODEC = ('DisentangledKeypointRegressor', 'CID')
"""Models whose targets are made by steps of the pipeline, and whose outputs they decode themselves."""

Node = Mapping[str, Any]


def complete(values: Node) -> Node:
    """The config with ``model.codec``, ``model.dataset_info``, and ``codec`` in data sets without ``data_cfg``."""
    model, data = dict(values['model']), values.get('data') or {}
    datasets = [dataset for split in SPLITS for dataset in _inner(data.get(split))]
    if model.get('codec') is None:
        codec = next((codec for codec in (codec_of(model, each, data) for each in datasets) if codec), None)
        model.update({'codec': codec} if codec else {})
    if model.get('dataset_info') is None and datasets:
        info = next((info for info in map(_info_of, datasets) if info is not None), None)
        model.update({'dataset_info': info} if info is not None else {})
    if model.get('type') == 'BottomupPoseEstimator':
        model['codec'] = by_new_rules(model.get('codec'))
    told = {split: _told(data[split], model.get('codec')) for split in SPLITS if data.get(split) is not None}
    return {**values, 'model': model, **({'data': {**data, **told}} if told else {})}


def by_new_rules(codec: Any) -> Any:
    """The codec that a model of the newer toolbox means, by whose rules it goes unless told otherwise."""
    is_grouping = isinstance(codec, Mapping) and codec.get('type') == 'AssociativeEmbedding'
    return {'rules': '1.x', **codec} if is_grouping else codec


def codec_of(model: Node, dataset: Node, data: Node) -> Node | None:
    """The codec that ``data_cfg``, the training pipeline and ``test_cfg`` of an older config mean; None if none.

    Args:
        model: The model's config.
        dataset: Config of a data set.
        data: The section of all of them.
    """
    sizes, test_cfg = dataset.get('data_cfg') or {}, model.get('test_cfg') or {}
    if 'image_size' not in sizes:
        return None
    target = _target_of(data.get('train'))
    if model.get('type') == 'AssociativeEmbedding':
        return dict(type='AssociativeEmbedding', input_size=_pair(sizes['image_size']), **_grouping(sizes, test_cfg))
    if model.get('type') in WITHOUT_CODEC:
        return None
    if target.get('type') == 'TopDownGenerateTargetRegression':
        return dict(type='RegressionLabel', input_size=_pair(sizes['image_size']))
    if 'heatmap_size' not in sizes or isinstance(sizes['heatmap_size'][0], (list, tuple)):
        return None
    common = dict(input_size=_pair(sizes['image_size']), heatmap_size=_pair(sizes['heatmap_size']))
    sigma, kernel = target.get('sigma', 2), test_cfg.get('modulate_kernel', 11)
    if test_cfg.get('use_udp'):
        return dict(type='UDPHeatmap', **common, **_udp(target, test_cfg))
    post_process = test_cfg.get('post_process', 'default')
    if post_process == 'megvii':
        return dict(type='MegviiHeatmap', **common, kernel_size=_last(target.get('kernel', kernel)))
    unbiased = post_process == 'unbiased' or bool(test_cfg.get('unbiased_decoding'))
    return dict(type='MSRAHeatmap', **common, sigma=_last(sigma), unbiased=unbiased, blur_kernel_size=kernel)


def _udp(target: Node, test_cfg: Node) -> dict[str, Any]:
    kernel = test_cfg.get('modulate_kernel', 11)
    if str(test_cfg.get('target_type', 'GaussianHeatmap')).lower().startswith('combined'):
        radius = test_cfg.get('valid_radius_factor', 0.0546875)
        return dict(heatmap_type='combined', radius_factor=radius, blur_kernel_size=kernel)
    return dict(heatmap_type='gaussian', sigma=_last(target.get('sigma', 2)), blur_kernel_size=kernel)


def _grouping(sizes: Node, test_cfg: Node) -> dict[str, Any]:
    """Arguments of the codec that groups joints; names of 0.x to ours."""
    names = {
        'nms_kernel': 'decode_nms_kernel',
        'detection_threshold': 'decode_keypoint_thr',
        'tag_threshold': 'decode_tag_thr',
        'use_detection_val': 'decode_use_value',
    }
    most = test_cfg.get('max_num_people', 30)
    size = sizes.get('heatmap_size', [sizes.get('base_size', 128)])
    return dict(
        heatmap_size=_pair(_last(size)),
        sigma=sizes.get('base_sigma', 2),
        use_udp=bool(sizes.get('use_udp') or test_cfg.get('use_udp')),
        decode_topk=most,
        decode_max_instances=most if test_cfg.get('ignore_too_much') else None,
        decode_keypoint_order=COCO_ORDER if test_cfg.get('num_joints') == len(COCO_ORDER) else (),
        **{ours: test_cfg[old] for old, ours in names.items() if old in test_cfg},
    )


def _target_of(train: Any) -> Node:
    """The step of the training pipeline that makes targets; empty if there is none."""
    for dataset in _inner(train):
        for step in dataset.get('pipeline') or ():
            if str(step.get('type', '')).startswith('TopDownGenerateTarget'):
                return step
    return {}


def _inner(node: Any) -> Iterator[Node]:
    """The data sets in a node, through wrappers and lists; first a wrapper that says the joints of all."""
    if isinstance(node, (list, tuple)):
        for each in node:
            yield from _inner(each)
    elif isinstance(node, Mapping):
        if 'datasets' in node and node.get('dataset_info') is not None:
            yield node
        below = node.get('dataset', node.get('datasets'))
        if below is None:
            yield node
        else:
            yield from _inner(below)


def _told(node: Any, codec: Node | None) -> Any:
    """The same data sets, those without a codec or numbers of their own with that of the model."""
    if isinstance(node, (list, tuple)):
        return [_told(each, codec) for each in node]
    if not isinstance(node, Mapping) or codec is None:
        return node
    for key in ('dataset', 'datasets'):
        if key in node:
            return {**node, key: _told(node[key], codec)}
    has_own = 'image_size' in (node.get('data_cfg') or {}) or 'codec' in node or not _takes_codec(node)
    return node if has_own else {**node, 'codec': codec}


def _takes_codec(node: Node) -> bool:
    kind = node.get('type')
    target = DATASETS.of('pose').get(kind) if isinstance(kind, str) else kind
    return 'codec' in signature_of(target).arguments


def _info_of(node: Node) -> Any:
    """Its ``dataset_info``, or that of its class."""
    if node.get('dataset_info') is not None:
        return node['dataset_info']
    kind = node.get('type')
    return getattr(DATASETS.of('pose').get(kind), 'DATASET_INFO', None) if isinstance(kind, str) else None


def _pair(size: Any) -> tuple[int, int]:
    """Width and height from two numbers, or from one."""
    width, height = (size, size) if isinstance(size, int) else size
    return int(width), int(height)


def _last(value: Any) -> Any:
    """The last of several stages' values."""
    return value[-1] if isinstance(value, Sequence) and not isinstance(value, str) else value
