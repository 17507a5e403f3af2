"""A model of the newer toolboxes in the words of the house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def house_model(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same model: without its preprocessor, which the pipeline does here; a pose head's decoder as the codec.

    Args:
        model: A node of either generation; not changed.
    """
    head = model.get('head')
    found = {key: value for key, value in model.items() if key not in ('data_preprocessor', 'metainfo')}
    if isinstance(head, Mapping) and isinstance(head.get('decoder'), Mapping):
        found['codec'] = head['decoder']
        found['head'] = {key: value for key, value in head.items() if key != 'decoder'}
    elif isinstance(head, Mapping) and isinstance(head.get('pose_cfg'), Mapping):  # a head around another
        inner = house_model({'head': head['pose_cfg']})
        found |= {**inner, 'head': {**head, 'pose_cfg': inner['head']}}
    if model.get('metainfo') is not None:
        found['dataset_info'] = model['metainfo']
    return found
