"""1.x pipelines: what the preprocessor of the model does there are steps here.

A 1.x pipeline ends with a step that packs the sample; normalization, padding and the order of the channels are the
model's ``data_preprocessor``. Here they are steps, and run on the device where that is equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intarsia.config.dialects.one_x.steps import Node, translate_step

PACKS = ('PackInputs', 'PackSegInputs', 'PackPoseInputs', 'PackActionInputs', 'PackLocalizationInputs')

INPUTS = {'FormatGCNInput': 'keypoint', 'FormatAudioShape': 'audios'}
"""Steps of action pipelines that tell what the network is given, where it is not frames."""

LOADED_BY_THE_DATA_SET = ('LoadAnnotations', 'GenerateTarget', 'GenerateLocalizationLabels')
"""Steps that evaluation does not need: metrics take their truth from the data set."""

TARGETS = {
    'SimCCLabel': ('target_x', 'target_y', 'target_weight'),
    'IntegralRegressionLabel': ('target', 'target_heatmap', 'target_weight'),
    'SPR': ('heatmaps', 'heatmap_weights', 'displacements', 'displacement_weights'),
    'DecoupledHeatmap': ('target', 'instance_target', 'target_weight', 'instance_coords'),
    'AssociativeEmbedding': ('target', 'keypoint_indices'),
}
"""What codecs of poses make of joints, where it is not ``target`` and ``target_weight``."""


def translate_pipeline(
    pipeline: Sequence[Any], task: str | None, preprocessor: Mapping[str, Any], is_training: bool
) -> list[tuple[Node, int]]:
    """The steps of ours, each with the number of the step that it comes from.

    Args:
        pipeline: Steps.
        task: Whose.
        preprocessor: ``model.data_preprocessor``.
        is_training: Whether samples need their targets.
    """
    sees_all = any(isinstance(node, Mapping) and str(node.get('type')).startswith('Bottomup') for node in pipeline)
    found: list[tuple[Node, int]] = []
    for i, node in enumerate(pipeline):
        kind = node.get('type') if isinstance(node, Mapping) else None
        if kind in PACKS:
            steps = _packed(node, [each for each, _ in found], preprocessor, is_training, pipeline)
        elif not isinstance(node, Mapping) or (not is_training and kind in LOADED_BY_THE_DATA_SET):
            steps = [] if isinstance(node, Mapping) else [node]
        else:
            steps = translate_step(node, task)
            if kind == 'RandomFlip' and task == 'pose' and sees_all:
                steps = [{**steps[0], 'type': 'BottomupRandomFlip'}]
            if kind == 'FormatShape':
                steps = _formatted(steps[0], preprocessor, pipeline)
        found += [(step, i) for step in steps]
    return found


def _packed(
    node: Mapping[str, Any],
    steps: Sequence[Node],
    preprocessor: Mapping[str, Any],
    is_training: bool,
    pipeline: Sequence[Any],
) -> list[Node]:
    """What stands in the place of the last step."""
    kind = node['type']
    if kind == 'PackInputs':
        return _classification(preprocessor, is_training)
    if kind == 'PackSegInputs':
        return _segmentation(steps, preprocessor, is_training)
    if kind == 'PackPoseInputs':
        return _pose(steps, preprocessor, is_training, pipeline)
    return _streams(node, is_training) if kind == 'PackLocalizationInputs' else _action(steps, is_training)


def _formatted(step: Node, preprocessor: Mapping[str, Any], pipeline: Sequence[Any]) -> list[Node]:
    """The step that formats clips, with the normalization before it."""
    flow = preprocessor.get('mean') is not None and len(preprocessor['mean']) % 3 > 0
    if flow:  # one mean for each channel of all frames of a clip, which are x and y in turns
        preprocessor = {**preprocessor, 'mean': preprocessor['mean'][:2], 'std': preprocessor['std'][:2]}
        step = {**step, 'input_format': 'NCHW_Flow'} if step.get('input_format') == 'NCHW' else step
    draws_maps = any(isinstance(node, Mapping) and node.get('type') == 'GeneratePoseTarget' for node in pipeline)
    swap = {} if flow or not preprocessor.get('to_rgb') else {'to_bgr': True}
    return [step] if draws_maps else [*_normalize('Normalize', preprocessor, swap), step]


def _normalize(kind: str, preprocessor: Mapping[str, Any], more: Mapping[str, Any]) -> list[Node]:
    if preprocessor.get('mean') is None:
        return []
    return [{'type': kind, 'mean': list(preprocessor['mean']), 'std': list(preprocessor['std']), **more}]


def _swaps(preprocessor: Mapping[str, Any]) -> dict[str, Any]:
    return {'to_rgb': bool(preprocessor.get('to_rgb', preprocessor.get('bgr_to_rgb', False)))}


def _classification(preprocessor: Mapping[str, Any], is_training: bool) -> list[Node]:
    steps = _normalize('Normalize', preprocessor, _swaps(preprocessor))
    steps.append({'type': 'ImageToTensor', 'keys': ['img']})
    if not is_training:
        return [*steps, {'type': 'Collect', 'keys': ['img']}]
    return [*steps, {'type': 'ToTensor', 'keys': ['gt_label']}, {'type': 'Collect', 'keys': ['img', 'gt_label']}]


def _segmentation(steps: Sequence[Node], preprocessor: Mapping[str, Any], is_training: bool) -> list[Node]:
    has_edges = any(step.get('type') == 'GenerateEdge' for step in steps)
    own = _normalize('Normalize', preprocessor, _swaps(preprocessor))
    sizes = preprocessor if is_training else preprocessor.get('test_cfg') or {}
    pad = {key: sizes[key] for key in ('size', 'size_divisor') if sizes.get(key) is not None}
    if pad:
        values = {'pad_val': preprocessor.get('pad_val', 0), 'seg_pad_val': preprocessor.get('seg_pad_val', 255)}
        own.append({'type': 'Pad', **pad, **values})
    keys = ['img', 'gt_semantic_seg', *(['gt_edge_map'] if has_edges else [])]
    if not is_training:
        return [*own, {'type': 'ImageToTensor', 'keys': ['img']}, {'type': 'Collect', 'keys': ['img']}]
    return [*own, {'type': 'DefaultFormatBundle'}, {'type': 'Collect', 'keys': keys}]


def _pose(
    before: Sequence[Node], preprocessor: Mapping[str, Any], is_training: bool, pipeline: Sequence[Any]
) -> list[Node]:
    steps: list[Node] = [{'type': 'ToTensor'}]
    if preprocessor.get('mean') is not None:
        mean, std = ([value / 255 for value in preprocessor[key]] for key in ('mean', 'std'))
        steps.append({'type': 'NormalizeTensor', 'mean': mean, 'std': std})
    kinds = {step.get('type') for step in before}
    if not is_training:
        metas = {'meta_keys': ['image_file', 'image_id', 'input_center', 'input_scale']}
        return [*steps, {'type': 'Collect', 'keys': ['img'], **(metas if 'BottomupResize' in kinds else {})}]
    encoders = (node.get('encoder') for node in pipeline if isinstance(node, Mapping))
    codec = next((str(each.get('type')) for each in encoders if isinstance(each, Mapping)), '')
    mask = ['heatmap_mask'] if 'BottomupGetHeatmapMask' in kinds else []
    return [*steps, {'type': 'Collect', 'keys': ['img', *TARGETS.get(codec, ('target', 'target_weight')), *mask]}]


def _action(steps: Sequence[Node], is_training: bool) -> list[Node]:
    kinds = {step.get('type') for step in steps}
    inputs = next((key for kind, key in INPUTS.items() if kind in kinds), 'imgs')
    keys = [inputs, 'label'] if is_training else [inputs]
    return [{'type': 'Collect', 'keys': keys, 'meta_keys': []}, {'type': 'ToTensor', 'keys': keys}]


def _streams(node: Mapping[str, Any], is_training: bool) -> list[Node]:
    """Features of a stream, or those of its proposals, which are as many as there are."""
    keys = [key for key in node.get('keys', ()) if is_training or key != 'gt_bbox']
    counted = keys if 'bsp_feature' in keys else [key for key in keys if key == 'gt_bbox']
    keys = keys if 'bsp_feature' in keys else ['raw_feature', *keys]
    collect = {'type': 'Collect', 'keys': keys, 'meta_name': 'video_meta', 'meta_keys': list(node.get('meta_keys', ()))}
    steps: list[Node] = [collect, {'type': 'ToTensor', 'keys': keys}]
    if counted:
        steps.append({'type': 'ToDataContainer', 'fields': [{'key': key, 'stack': False} for key in counted]})
    return steps
