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

FILE_KEYS = frozenset(
    {'data_prefix', 'ann_file', 'load_from', 'resume_from', 'checkpoint', 'pretrained', 'classes', 'data_root'}
)
"""Keys whose string values name files or folders."""

ROOTED_KEYS = frozenset({'img_dir', 'ann_dir', 'split'})
"""The same, below the data set's ``data_root`` if it has one."""


HEADS = ('head', 'decode_head', 'auxiliary_head', 'keypoint_head', 'cls_head')
"""Fields of a model that hold a head, or a list of heads."""


def check_length(values: Mapping[str, Any]) -> Iterator[Finding]:
    """A run that is told both its epochs and its iterations, as happens when one of them is inherited."""
    runner = values.get('runner')
    if isinstance(runner, Mapping) and runner.get('max_epochs') and runner.get('max_iters'):
        message = (
            f'max_epochs={runner["max_epochs"]} and max_iters={runner["max_iters"]} both say how long the run is. '
            'Set the one that is inherited to None.'
        )
        yield Finding('two-lengths', message, 'runner')


def check_channels_and_classes(values: Mapping[str, Any], task: str | None) -> Iterator[Finding]:
    """Channels of backbone and heads, classes of heads and data, where both are declared literally."""
    model, data = values.get('model'), values.get('data')
    if not isinstance(model, Mapping):
        return
    backbone = model.get('backbone')
    # a neck after a classification backbone only pools
    knows_channels = isinstance(backbone, Mapping) and (task == 'classification' or not model.get('neck'))
    for path, head in _heads_of(model):
        if knows_channels:
            yield from _check_channels(backbone, head, path, task)  # type: ignore[arg-type]
        if isinstance(data, Mapping) and isinstance(head.get('num_classes'), int) and _tells_classes(head, task):
            for split in ('train', 'val', 'test'):
                yield from _check_class_count(data.get(split), head['num_classes'], f'data.{split}', path, task)


def _tells_classes(head: Mapping[str, Any], task: str | None) -> bool:
    """Whether the classes of a head are those of the data: not of one that declares ``OWN_CLASSES = True``."""
    try:
        return not find_signature(head.get('type'), MODELS.of(task)).declared.get('OWN_CLASSES')
    except (RegistryError, TypeError):
        return False


def _heads_of(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The heads of a model with their key paths."""
    for name in HEADS:
        node = model.get(name)
        several = list(enumerate(node)) if isinstance(node, (list, tuple)) else []
        named = [(f'model.{name}.{i}', each) for i, each in several] or [(f'model.{name}', node)]
        yield from ((path, each) for path, each in named if isinstance(each, Mapping))


def _check_channels(
    backbone: Mapping[str, Any], head: Mapping[str, Any], path: str, task: str | None
) -> Iterator[Finding]:
    channels, wanted = declared_channels(backbone, task), head.get('in_channels')
    place = head.get('in_index', -1)
    if not channels or not isinstance(wanted, int) or not isinstance(place, int):
        return
    if not -len(channels) <= place < len(channels):
        message = f'the head takes stage {place}, but {backbone["type"]} gives {len(channels)}.'
        yield Finding('channel-mismatch', message, f'{path}.in_index')
    elif wanted != channels[place]:
        message = f'the head takes {wanted} channels, but {backbone["type"]} gives {channels[place]}.'
        yield Finding('channel-mismatch', message, f'{path}.in_channels', str(channels[place]))


def declared_channels(backbone: Mapping[str, Any], task: str | None) -> tuple[int, ...] | None:
    """Channels of a backbone's outputs as its class declares them; None where only building it can tell.

    A class declares ``STATIC_CHANNELS = {argument: {value: channels of every stage}}``; a single number stands for
    all stages, and ``STATIC_OUT_INDICES`` the stages it gives by default if those are not the last alone. Any argument
    of the node that its ``CHANNEL_ARGUMENTS`` lists makes the declaration void.
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
            indices = backbone.get('out_indices', declared.get('STATIC_OUT_INDICES', (len(stages) - 1,)))
            picked = [indices] if isinstance(indices, int) else indices
            if len(stages) == 1:
                return tuple(stages) * len(picked)
            return tuple(stages[i] for i in picked if -len(stages) <= i < len(stages)) or None
    return None


def _check_class_count(dataset: Any, num_classes: int, path: str, head: str, task: str | None) -> Iterator[Finding]:
    if isinstance(dataset, (list, tuple)):
        for i, each in enumerate(dataset):
            yield from _check_class_count(each, num_classes, f'{path}.{i}', head, task)
    if not isinstance(dataset, Mapping):
        return
    if isinstance(dataset.get('dataset'), Mapping):
        yield from _check_class_count(dataset['dataset'], num_classes, f'{path}.dataset', head, task)
    classes = dataset.get('classes')
    try:
        declared = find_signature(dataset.get('type'), DATASETS.of(task)).declared
    except (RegistryError, TypeError):
        return
    known = len(classes) if isinstance(classes, (list, tuple)) else None if classes else _declared_count(declared)
    if known is not None and known != num_classes:
        message = f'the head has {num_classes} classes, but {dataset.get("type")} at {path} has {known}.'
        yield Finding('class-count', message, f'{head}.num_classes', str(known))


def _declared_count(declared: Mapping[str, Any]) -> int | None:
    """How many classes a data set class declares, by name or by number."""
    return len(declared['CLASSES']) if declared.get('CLASSES') else declared.get('NUM_CLASSES')


def check_files(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Values that name a file or folder which does not exist."""
    for name in ('model', 'load_from', 'resume_from'):
        yield from _missing_files(values.get(name), name, name)
    data = values.get('data')
    if isinstance(data, Mapping):
        for split in ('train', 'val', 'test'):
            yield from _missing_files(data.get(split), f'data.{split}')


def _missing_files(value: Any, path: str, key: str = '', root: str | None = None) -> Iterator[Finding]:
    """Walks a node; ``key`` is its name without the places in lists, ``root`` the folder of a data set's paths."""
    if isinstance(value, Mapping):
        own_root = value.get('data_root') if isinstance(value.get('data_root'), str) else None
        is_theirs = isinstance(value.get('type'), str) and DATASETS.user_component(value['type']) is not None
        for name, item in value.items():
            if is_theirs and isinstance(item, str):  # a data set of the user's own joins paths as it likes
                continue
            yield from _missing_files(item, f'{path}.{name}', str(name), own_root)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _missing_files(item, f'{path}.{i}', key if key in ROOTED_KEYS else '', root)
    elif isinstance(value, str) and value and key in FILE_KEYS | ROOTED_KEYS:
        file = str(Path(root) / value) if root and key in ROOTED_KEYS else value
        is_name = key == 'split' and not Path(value).suffix  # of a part of an annotation file
        if not is_name and not file_exists(file):
            message = missing_weights(file) if '://' in file else f'{file} does not exist.'
            yield Finding('missing-file', message, path)


def file_exists(value: str) -> bool:
    """Whether a path, an embedded data set or, for a URL, a file of its name in the checkpoint folder exists."""
    if value.startswith('intarsia::'):
        return (EMBEDDED_DIR / value.removeprefix('intarsia::')).exists()
    return bool(find_local_weights(value)) if '://' in value else Path(value).exists()
