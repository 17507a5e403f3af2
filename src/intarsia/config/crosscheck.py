"""Checks across components: channels, class counts, files. They read literal declarations only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intarsia.config.components import Finding, find_signature
from intarsia.core.errors import RegistryError
from intarsia.core.local_weights import find_local_weights, missing_weights
from intarsia.core.registries import DATASETS, MODELS

EMBEDDED_DIR = Path(__file__).resolve().parent.parent / 'data' / 'embedded'

FILE_KEYS = frozenset({'data_prefix', 'ann_file', 'load_from', 'resume_from', 'checkpoint', 'pretrained', 'classes'})
"""Keys whose string values name files or folders."""


def check_channels_and_classes(values: Mapping[str, Any], task: str | None) -> Iterator[Finding]:
    """Channels of backbone and head, classes of head and data, where both are declared literally."""
    model, data = values.get('model'), values.get('data')
    if not isinstance(model, Mapping):
        return
    backbone, head = model.get('backbone'), model.get('head')
    if not isinstance(head, Mapping):
        return
    if isinstance(backbone, Mapping):
        yield from _check_channels(backbone, head, task)
    if isinstance(data, Mapping) and isinstance(head.get('num_classes'), int):
        for split in ('train', 'val', 'test'):
            yield from _check_class_count(data.get(split), head['num_classes'], f'data.{split}', task)


def _check_channels(backbone: Mapping[str, Any], head: Mapping[str, Any], task: str | None) -> Iterator[Finding]:
    channels = declared_channels(backbone, task)
    wanted = head.get('in_channels')
    if channels and isinstance(wanted, int) and wanted != channels[-1]:
        message = f'the head takes {wanted} channels, but {backbone["type"]} gives {channels[-1]}.'
        yield Finding('channel-mismatch', message, 'model.head.in_channels', str(channels[-1]))


def declared_channels(backbone: Mapping[str, Any], task: str | None) -> tuple[int, ...] | None:
    """Channels of a backbone's outputs as its class declares them; None where only building it can tell.

    A class declares ``STATIC_CHANNELS = {argument: {value: channels of every stage}}``; a single number stands for
    all stages. Any argument of the node
    that its ``CHANNEL_ARGUMENTS`` lists makes the declaration void.
    """
    try:
        declared = find_signature(backbone.get('type'), MODELS.of(task)).declared
    except (RegistryError, TypeError):
        return None
    if set(declared.get('CHANNEL_ARGUMENTS', ())) & backbone.keys():
        return None
    for argument, by_value in declared.get('STATIC_CHANNELS', {}).items():
        value = backbone.get(argument)
        stages = by_value.get(value) if isinstance(value, (int, str)) else None
        if stages:
            indices = backbone.get('out_indices', (len(stages) - 1,))
            picked = [indices] if isinstance(indices, int) else indices
            if len(stages) == 1:
                return tuple(stages) * len(picked)
            return tuple(stages[i] for i in picked if -len(stages) <= i < len(stages)) or None
    return None


def _check_class_count(dataset: Any, num_classes: int, path: str, task: str | None) -> Iterator[Finding]:
    if isinstance(dataset, (list, tuple)):
        for i, each in enumerate(dataset):
            yield from _check_class_count(each, num_classes, f'{path}.{i}', task)
    if not isinstance(dataset, Mapping):
        return
    if isinstance(dataset.get('dataset'), Mapping):
        yield from _check_class_count(dataset['dataset'], num_classes, f'{path}.dataset', task)
    classes = dataset.get('classes')
    try:
        declared = find_signature(dataset.get('type'), DATASETS.of(task)).declared
    except (RegistryError, TypeError):
        return
    known = len(classes) if isinstance(classes, (list, tuple)) else None if classes else _declared_count(declared)
    if known is not None and known != num_classes:
        message = f'the head has {num_classes} classes, but {dataset.get("type")} at {path} has {known}.'
        yield Finding('class-count', message, 'model.head.num_classes', str(known))


def _declared_count(declared: Mapping[str, Any]) -> int | None:
    """How many classes a data set class declares, by name or by number."""
    return len(declared['CLASSES']) if declared.get('CLASSES') else declared.get('NUM_CLASSES')


def check_files(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Values that name a file or folder which does not exist."""
    for name in ('model', 'load_from', 'resume_from'):
        yield from _missing_files(values.get(name), name)
    data = values.get('data')
    if isinstance(data, Mapping):
        for split in ('train', 'val', 'test'):
            yield from _missing_files(data.get(split), f'data.{split}')


def _missing_files(value: Any, path: str) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _missing_files(item, f'{path}.{key}')
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _missing_files(item, f'{path}.{i}')
    elif isinstance(value, str) and value and path.rpartition('.')[2] in FILE_KEYS and not file_exists(value):
        message = missing_weights(value) if '://' in value else f'{value} does not exist.'
        yield Finding('missing-file', message, path)


def file_exists(value: str) -> bool:
    """Whether a path, an embedded data set or, for a URL, a file of its name in the checkpoint folder exists."""
    if value.startswith('intarsia::'):
        return (EMBEDDED_DIR / value.removeprefix('intarsia::')).exists()
    return bool(find_local_weights(value)) if '://' in value else Path(value).exists()
