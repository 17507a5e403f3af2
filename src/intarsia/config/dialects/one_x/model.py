"""A model of the newer toolboxes in the words of the house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.dialects.one_x.data_sets import joints_of

BOTTOM_UP_HEADS = {'DEKRHead': 'BottomupDEKRHead', 'CIDHead': 'BottomupCIDHead'}
"""Heads that are called as others of 0.x, and what they are called here."""


def house_model(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same model in the words of the house.

    Its preprocessor is left out, for the pipeline does its work here; a pose head's decoder is the model's codec, and
    how a head of clips averages views is the model's business.

    Args:
        model: A node of either generation; not changed.
    """
    if model.get('type') == 'BottomupPoseEstimator' and isinstance(model.get('head'), Mapping):
        kind = model['head'].get('type')
        model = {**model, 'head': {**model['head'], 'type': BOTTOM_UP_HEADS.get(str(kind), kind)}}
    head, cls_head = model.get('head'), model.get('cls_head')
    found = {key: value for key, value in model.items() if key not in ('data_preprocessor', 'metainfo')}
    if isinstance(head, Mapping) and isinstance(head.get('decoder'), Mapping):
        found['codec'] = head['decoder']
        found['head'] = {key: value for key, value in head.items() if key != 'decoder'}
    elif isinstance(head, Mapping) and isinstance(head.get('pose_cfg'), Mapping):  # a head around another
        inner = house_model({'head': head['pose_cfg']})
        found |= {**inner, 'head': {**head, 'pose_cfg': inner['head']}}
    if isinstance(cls_head, Mapping) and 'average_clips' in cls_head:
        found['cls_head'] = {key: value for key, value in cls_head.items() if key != 'average_clips'}
        found['test_cfg'] = {'average_clips': cls_head['average_clips'], **(model.get('test_cfg') or {})}
    backbone = model.get('backbone')
    if (
        str(model.get('type')).endswith('RecognizerGCN')
        and isinstance(backbone, Mapping)
        and backbone['type'] == 'STGCN'
    ):
        found['backbone'] = {**backbone, 'type': 'STGCNPlusPlus'}
    if model.get('metainfo') is not None:
        found['dataset_info'] = joints_of(model['metainfo'])
    return found
