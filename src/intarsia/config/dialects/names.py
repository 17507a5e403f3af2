"""Names of components as configs of other packages write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.lazy import ObjectName
from intarsia.core.index import by_name

SCOPES = {
    'mmcls': 'classification', 'mmpretrain': 'classification', 'mmseg': 'segmentation', 'mmpose': 'pose',
    'mmaction': 'action', 'mmdet': None, 'mmengine': None, 'mmcv': None, 'torch': None,
}  # fmt: skip
"""Packages whose components we have, and our task for those of a task."""


NAMING = ('type', 'constructor', 'ema_type')
"""Keys whose values name components."""

OF_TORCH = {
    'BatchNorm1d': 'BN1d', 'BatchNorm2d': 'BN', 'BatchNorm3d': 'BN3d', 'SyncBatchNorm': 'SyncBN', 'GroupNorm': 'GN',
    'LayerNorm': 'LN', 'InstanceNorm2d': 'IN',
}  # fmt: skip
"""Layers that have other names here."""


WRAPPERS = {'torchvision': 'TorchVisionWrapper', 'pytorchvideo': 'PytorchVideoWrapper'}
"""Packages whose transforms of clips are wrapped."""


MODELS = {'torchvision': 'TorchVisionModel', 'timm': 'TimmModel'}
"""Packages whose networks are wrapped."""


def bare(name: str) -> str:
    """``'mmcls.ResNet'`` and ``'mmpretrain.models.ResNet'`` are ``'ResNet'``; other packages' names stay."""
    package, dot, rest = name.partition('.')
    if not dot or package not in SCOPES or (package == 'mmdet' and name in by_name()):  # parts of other networks
        return name
    last = rest.rpartition('.')[2]
    return OF_TORCH.get(last, last) if package == 'torch' else last


def with_bare_names(value: Any, in_pipeline: bool = False) -> Any:
    """A config tree whose types are names of ours, and without what only says whose names they are.

    Args:
        value: The tree; not changed.
        in_pipeline: Whether its nodes are transforms.
    """
    if isinstance(value, Mapping):
        found = {
            key: with_bare_names(each, in_pipeline or key == 'pipeline')
            for key, each in value.items()
            if key != '_scope_'
        }
        found |= {key: bare(found[key]) for key in NAMING if isinstance(found.get(key), str)}
        package, _, name = str(found.get('type')).partition('.')
        if in_pipeline and package in WRAPPERS:
            return {**found, 'type': WRAPPERS[package], 'op': name}
        return {**found, 'type': MODELS[package], 'model_name': name} if package in MODELS else found
    if type(value) in (list, tuple):
        return type(value)(with_bare_names(each, in_pipeline) for each in value)
    return value


def modules_of(value: Any) -> set[str]:
    """Modules of the user's own whose classes a config of the lazy style names as types."""
    if isinstance(value, Mapping):
        own = value.get('type')
        found: set[str] = set()
        if isinstance(own, ObjectName) and own.partition('.')[0] not in SCOPES:
            found = {own.rpartition('.')[0]}
        return found.union(*(modules_of(each) for each in value.values()))
    return set().union(*map(modules_of, value)) if isinstance(value, (list, tuple)) else set()
