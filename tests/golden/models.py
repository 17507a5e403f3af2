"""Model configs of the old toolboxes, bound to our components.

Both generations say most things alike. Where they do not, the difference stands in a table here, one line each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from intarsia.config.dialects.one_x.model import house_model
from intarsia.core.registries import MODELS

NOT_OF_THE_NETWORK = ('pretrained', 'data_preprocessor', 'train_cfg', 'test_cfg')
"""Fields of a model that change neither its parameters nor its forward pass."""

TASKS = {
    'mmcls': 'classification', 'mmpretrain': 'classification',
    'mmseg': 'segmentation', 'mmsegmentation': 'segmentation',
    'mmpose': 'pose',
    'mmaction': 'action', 'mmaction2': 'action',
}  # fmt: skip
"""Toolbox -> task of ours."""

DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    'mmpretrain-1': {'VisionTransformer': {'out_type': 'cls_token'}, 'EfficientNet': {'edge_stride': 'expand'}},
    'mmseg-1': {'VisionTransformer': {'patch_bias': False}},
    'mmaction2-1': {'BMN': {'keeps_bm_mask': True}},
}
"""Release -> type -> what its configs mean where they say nothing, if our (0.x) default is another."""

SCOPE = re.compile(r'^(mmcls|mmpretrain|mmpose|mmaction)\.')
"""What the name of a type begins with where it is looked up in the registry of another toolbox."""

PARTS = ('backbone', 'neck', 'head', 'decode_head', 'auxiliary_head', 'keypoint_head', 'cls_head')


def task_of(zoo: str) -> str | None:
    """Our task for a toolbox of either generation (``'mmcls-0.25.0'``), or None."""
    return TASKS.get(zoo.split('-', 1)[0])


def bind(model: Mapping[str, Any], zoo: str) -> dict[str, Any]:
    """A model config of a record as one of ours: without what is not of the network, 1.x defaults filled in."""
    kept = {key: value for key, value in model.items() if key not in NOT_OF_THE_NETWORK}
    rescore = (model.get('test_cfg') or {}).get('rescore_cfg')
    if rescore is not None:  # a network all the same
        kept['test_cfg'] = {'rescore_cfg': {key: value for key, value in rescore.items() if key != 'pretrained'}}
    return _bound(house_model(kept), DEFAULTS.get(zoo.split('.', 1)[0], {}))


def _bound(node: Any, defaults: Mapping[str, dict[str, Any]]) -> Any:
    if isinstance(node, (list, tuple)):
        return type(node)(_bound(value, defaults) for value in node)
    if not isinstance(node, Mapping):
        return node
    own = {key: _bound(value, defaults) for key, value in node.items() if not _is_of_loading(key, value)}
    if 'type' in own:
        own['type'] = SCOPE.sub('', str(own['type']))
    return {**defaults.get(str(node.get('type')), {}), **own}


def _is_of_loading(key: str, value: Any) -> bool:
    """Whether a field says where weights, or a type, are looked for."""
    return key == '_scope_' or (key == 'init_cfg' and isinstance(value, Mapping) and value.get('type') == 'Pretrained')


def missing_components(model: Mapping[str, Any], task: str | None) -> list[str]:
    """Types of a model config, or of a single part, that we do not have; its own type if we lack the task."""
    if task is None:
        return [model['type']]
    registry = MODELS.of(task)
    return sorted({name for name in _types(model) if name not in registry})


def _types(node: Any) -> Iterator[str]:
    if isinstance(node, (list, tuple)):
        for each in node:
            yield from _types(each)
    elif isinstance(node, Mapping) and 'type' in node:
        yield node['type']
        for key in (*PARTS, 'loss', 'loss_decode', 'loss_keypoint', 'loss_cls', 'consensus'):
            yield from _types(node.get(key))
