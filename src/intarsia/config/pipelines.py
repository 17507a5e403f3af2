"""Pipelines in the configs of data sets, and what they say about the network's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def joined(node: Any) -> Mapping[str, Any]:
    """A list of data sets as one."""
    return dict(type='ConcatDataset', datasets=list(node)) if isinstance(node, (list, tuple)) else node


def pipeline_of(node: Any) -> Sequence[Mapping[str, Any]]:
    """The pipeline of a data set's config, through wrappers; empty if there is none."""
    while isinstance(node, Mapping) and 'pipeline' not in node:
        node = node.get('dataset') or next(iter(node.get('datasets') or ()), None)
    return node['pipeline'] if isinstance(node, Mapping) else ()


def with_pipeline(node: Mapping[str, Any], pipeline: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The config of a data set with another pipeline, through wrappers."""
    if isinstance(node.get('dataset'), Mapping):
        return {**node, 'dataset': with_pipeline(node['dataset'], pipeline)}
    if isinstance(node.get('datasets'), (list, tuple)):
        return {**node, 'datasets': [with_pipeline(each, pipeline) for each in node['datasets']]}
    return {**node, 'pipeline': pipeline}


def image_shape(values: Mapping[str, Any]) -> tuple[int, int, int]:
    """Channels, height and width of the images that a config trains with, as far as it says.

    Channels are those that the pipeline normalises, else what the backbone expects, else 3; sizes the backbone's
    ``img_size``, else the last size of the pipeline, else 224.
    """
    backbone = values['model'].get('backbone')
    backbone = backbone if isinstance(backbone, Mapping) else {}
    steps = pipeline_of(joined((values.get('data') or {}).get('train')))
    channels = next((len(step['mean']) for step in steps if step.get('type') == 'Normalize' and 'mean' in step), None)
    size: Any = backbone.get('img_size')
    for step in steps if size is None else ():
        size = step.get('size') or step.get('crop_size') or size
    if isinstance(size, int):
        size = (size, size)
    if not isinstance(size, (list, tuple)) or len(size) != 2 or min(size) <= 0:
        size = (224, 224)
    return channels or int(backbone.get('in_channels', 3)), int(size[0]), int(size[1])
