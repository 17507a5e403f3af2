"""Runs a recorded forward pass and compares it with what our model of the same config computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core.registries import MODELS
from intarsia.tasks.action.heads.trn_head import RelationModuleMultiScale
from intarsia.tasks.segmentation.decode_head import BaseCascadeDecodeHead
from intarsia.tasks.segmentation.heads.point_head import PointHead
from tests.golden.fill import deviation, fill, generator, key_hash, make_input, state_hash, tuples
from tests.golden.models import bind, missing_components, task_of
from tests.golden.outcome import Outcome

TOLERANCE = 1e-4
"""Relative to the output's RMS; ten times the record's own noise if that is more."""

ONE_OUTSIDE_OF_TRAINING = ('DDRNet', 'PIDNet')
"""Backbones of which the old ones gave but the second map outside of training."""

SECOND_OUTSIDE_OF_TRAINING = ('InceptionV3',)
"""Backbones of which the old ones gave None and a second output outside of training."""

UNSTABLE = 1e-2
"""With more noise than this only keys, shapes and parameters are facts."""


def run(record: Mapping[str, Any]) -> Outcome:
    """Compare one record: keys, constant tables, filled parameters, outputs.

    Args:
        record: A line of the forward fixtures.
    """
    task, call = task_of(record['zoo']), CALLS.get(record['model_type'])
    config = bind(tuples(record['model']), record['zoo'])
    missing = missing_components(config, task)
    if call is None or missing:
        return Outcome(missing=missing or [record['model_type']])
    try:
        model = MODELS.of(task).build(config)
    except Exception as error:
        return Outcome(error=f'{type(error).__name__}: {error}')
    try:
        if key_hash(model.state_dict()) != record['sha1_keys']:
            return Outcome(built=True, keys_equal=False, error='keys or shapes of the state dict differ')
        if record.get('override'):
            model = MODELS.of(task).build(_overridden(config, record['override']))
        return _compare(model, record, call)
    except Exception as error:
        return Outcome(built=True, error=f'{type(error).__name__}: {error}')


def _overridden(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config with values at dotted paths, as the recorded pass was made affordable."""
    changed = dict(config)
    for path, value in changes.items():
        first, _, rest = path.partition('.')
        changed[first] = _overridden(changed[first], {rest: value}) if rest else value
    return changed


def _compare(model: nn.Module, record: Mapping[str, Any], call: Callable[[Any, Tensor], dict[str, Tensor]]) -> Outcome:
    state = model.state_dict()
    kept = fill(state, record['gain2'])
    if not record['kept_tables'] and state_hash(state, kept) != record['sha1_kept']:
        return Outcome(built=True, keys_equal=True, error='an integer buffer is built differently')
    model.eval()
    with torch.no_grad():
        outputs = call(model, make_input(record['input']['name'], record['input']['shape']))
    noise = record['noise'] or 0.0
    wrong = 0.0
    for expected in record['outputs']:
        if expected['name'] not in outputs:
            return Outcome(built=True, keys_equal=True, error=f'no output {expected["name"]}; we have {list(outputs)}')
        output = outputs[expected['name']]
        if list(output.shape) != expected['shape']:
            shapes = f'{list(output.shape)}, not {expected["shape"]}'
            return Outcome(built=True, keys_equal=True, error=f'{expected["name"]} has the shape {shapes}')
        wrong = max(wrong, deviation(output, expected))
    equal = noise > UNSTABLE or wrong <= max(TOLERANCE, 10 * noise)
    return Outcome(built=True, keys_equal=True, equal=equal, max_rel=wrong)


# ---------------------------------------------------------------------- what is called, by type of model


def _classify(model: Any, img_nchw: Tensor) -> dict[str, Tensor]:
    """The outputs of backbone and neck, the feature before the last layer, the logits."""
    feats = model.backbone(img_nchw)
    outputs = flatten('backbone', feats)
    if type(model.backbone).__name__ in SECOND_OUTSIDE_OF_TRAINING:
        outputs |= {'backbone.1': feats[0]}
    if model.with_neck:
        feats = model.neck(feats)
        outputs |= flatten('neck', feats)
    if model.with_head:
        outputs |= flatten('head.pre_logits', model.head.pre_logits(feats))
        logits = getattr(model.head, 'logits_of_branches', model.head)
        outputs |= flatten('head', logits(feats))
    return outputs


def _segment(model: Any, img_nchw: Tensor) -> dict[str, Tensor]:
    """The outputs of backbone and neck, and those of every head, at its own size."""
    feats = model.backbone(img_nchw)
    outputs = flatten('backbone', feats)
    if type(model.backbone).__name__ in ONE_OUTSIDE_OF_TRAINING:
        outputs |= flatten('backbone', feats[1])
    if model.with_neck:
        feats = model.neck(feats)
        outputs |= flatten('neck', feats)
    torch.manual_seed(0)  # a decode head that draws numbers does so after the backbone, which draws none
    for name in ('decode_head', 'auxiliary_head'):
        part = getattr(model, name)
        several = isinstance(part, nn.ModuleList)
        for i, head in enumerate(part if several else [part] if part else []):
            previous = outputs.get(f'decode_head.{i - 1}') if isinstance(head, BaseCascadeDecodeHead) else None
            outputs |= _head_outputs(f'{name}.{i}' if several else name, head, feats, previous)
    return outputs


def _head_outputs(name: str, head: Any, feats: Any, previous: Tensor | None) -> dict[str, Tensor]:
    """All that a head computes: with auxiliary logits; of a head of points, what it finds at some of them."""
    if isinstance(head, PointHead):
        n = len(feats[0])
        points = torch.from_numpy(generator('points').random(n * 64 * 2, np.float32).reshape(n, 64, 2))
        fine, coarse = head.at_points(feats, previous, points)
        return {f'{name}.fine': fine, f'{name}.coarse': coarse, name: head.classify(fine, coarse)}
    if previous is not None:
        return {name: head(feats, previous)}
    return flatten(name, getattr(head, 'outputs', head)(feats))


def _find_joints(model: Any, img_nchw: Tensor) -> dict[str, Tensor]:
    """The outputs of backbone, neck and head; a tuple of one also as what it holds, as some old parts gave that."""
    value, outputs = img_nchw, {}
    for name in ('backbone', 'neck', 'keypoint_head' if hasattr(model, 'keypoint_head') else 'head'):
        part = getattr(model, name, None)
        if part is not None:
            value = part(value)
            outputs |= flatten(name, value)
            if isinstance(value, tuple) and len(value) == 1:
                outputs |= flatten(name, value[0])
    return outputs


def _recognize_frames(model: Any, clip_ntchw: Tensor) -> dict[str, Tensor]:
    """The features of all frames, those that a neck makes of whole clips, and the scores of the clips."""
    num_segs = clip_ntchw.shape[1]
    if isinstance(getattr(model.cls_head, 'consensus', None), RelationModuleMultiScale):
        old = np.random.RandomState(0)
        model.cls_head.consensus.draw = lambda num, _: old.choice(num, min(num, 3), replace=False).tolist()
    feats = model.backbone(clip_ntchw.flatten(0, 1))
    feats = feats[0] if isinstance(feats, tuple) and len(feats) == 1 else feats
    outputs = flatten('extract_feat', feats) | flatten('backbone', feats)
    if model.neck is not None:
        stages = [each.unflatten(0, (-1, num_segs)).transpose(1, 2).contiguous() for each in feats]
        feats, num_segs = model.neck(stages), 1
        outputs |= flatten('neck', feats)
        feats = feats.squeeze(2)
    return outputs | flatten('cls_head', model.cls_head(feats, num_segs) if model.cls_head is not None else {})


def _recognize_clips(model: Any, clip_nvcthw: Tensor) -> dict[str, Tensor]:
    """The features of all clips and their scores."""
    feats = model.backbone(clip_nvcthw.flatten(0, 1))
    outputs = flatten('backbone', feats)
    if len(feats) == 1:
        outputs |= flatten('backbone', feats[0])
    if model.neck is not None:
        feats = model.neck(feats)
        outputs |= flatten('neck', feats)
    return outputs | flatten('cls_head', model.cls_head(feats) if model.cls_head is not None else {})


def _recognize_skeletons(model: Any, skeleton_nctvm: Tensor) -> dict[str, Tensor]:
    """The features of all people and the scores of the samples."""
    feats = model.backbone(skeleton_nctvm)
    return {'backbone': feats[0], **flatten('cls_head', model.cls_head(feats))}


def _localize(model: Any, feat_bct: Tensor) -> dict[str, Tensor]:
    """What a localizer says of positions and segments."""
    return flatten('_forward', model(feat_bct))


def _classify_proposals(model: Any, frames_npschw: Tensor) -> dict[str, Tensor]:
    """The features of frames and the scores of proposals."""
    scale_n2 = make_input('input.scale_factor', (1, 2, 2)).abs()[0] + 0.5
    feats = model.backbone(frames_npschw.flatten(0, 2))
    feat = feats[-1] if isinstance(feats, tuple) else feats
    pooled = model.pool(feat)
    return {'backbone': feat, 'pool': pooled, **flatten('cls_head', model.cls_head(pooled.flatten(1), scale_n2))}


CALLS: dict[str, Callable[[Any, Tensor], dict[str, Tensor]]] = {
    'ImageClassifier': _classify, 'EncoderDecoder': _segment, 'CascadeEncoderDecoder': _segment,
    'TopDown': _find_joints, 'TopdownPoseEstimator': _find_joints, 'AssociativeEmbedding': _find_joints,
    'BottomupPoseEstimator': _find_joints, 'DisentangledKeypointRegressor': _find_joints,
    'Recognizer2D': _recognize_frames, 'Recognizer3D': _recognize_clips, 'RecognizerGCN': _recognize_clips,
    'SkeletonGCN': _recognize_skeletons,
    'TEM': _localize, 'BMN': _localize, 'PEM': _localize, 'SSN': _classify_proposals,
    'AudioRecognizer': _recognize_clips, 'RecognizerAudio': _recognize_clips,
}  # fmt: skip


def flatten(name: str, value: Any) -> dict[str, Tensor]:
    """Tensors in nested tuples, lists and dicts by dotted names."""
    if isinstance(value, Tensor):
        return {name: value}
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {key: each for inner, node in items for key, each in flatten(f'{name}.{inner}', node).items()}
