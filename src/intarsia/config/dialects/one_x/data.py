"""``*_dataloader`` and ``*_evaluator`` -> ``data`` and ``evaluation.metric``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.dialects.one_x.data_sets import WRAPPERS, known_data_sets, translate_data_set
from intarsia.config.dialects.one_x.pipelines import translate_pipeline
from intarsia.config.dialects.reader import House, Reader, moved
from intarsia.core.index import by_name

LOADER = {
    'batch_size': 'samples_per_gpu', 'num_workers': 'workers_per_gpu', 'persistent_workers': 'persistent_workers',
    'pin_memory': 'pin_memory', 'drop_last': 'drop_last', 'prefetch_factor': 'prefetch_factor', 'shuffle': 'shuffle',
}  # fmt: skip
"""Arguments of loaders, and what they are called here."""

SAMPLERS = ('DefaultSampler', 'InfiniteSampler')
"""Samplers that only shuffle or do not."""

COLLATES = ('default_collate', 'pseudo_collate')

OF_FILES = frozenset(
    {'ann_file', 'dump_config', 'metric_type', 'collect_device', 'collect_dir', 'backend_args', 'file_client_args'}
)
"""Arguments of metrics that repeat what the data set says."""


def translate_data(top: Reader, house: House, task: str, preprocessor: Mapping[str, Any]) -> None:
    """Translate loaders, data sets with their pipelines, and metrics.

    Args:
        top: The whole config.
        house: Gets ``data`` and ``evaluation``.
        task: Of the model.
        preprocessor: What the model's ``data_preprocessor`` does.
    """
    for split in ('train', 'val', 'test'):
        name = f'{split}_dataloader'
        node = top.take(name)
        if node is None:
            continue
        loader = Reader(node, name, top.findings)
        values = moved(loader, LOADER)
        values.update(_order(loader))
        translator = _DataSets(house, task, preprocessor, split == 'train')
        dataset = loader.take('dataset')
        house.put(f'data.{split}', translator(dataset, f'data.{split}', f'{name}.dataset', top.findings))
        house.trace(f'data.{split}', f'{name}.dataset')
        collate = loader.take('collate_fn')
        if collate is not None and (not isinstance(collate, Mapping) or collate.get('type') not in COLLATES):
            loader.report('collate_fn', 'batches are collated in one way here; leave collate_fn out.')
        loader.done()
        house.put(f'data.{name}', values, name)
    _translate_metrics(top, house)


def _order(loader: Reader) -> dict[str, Any]:
    """``shuffle``, or the node of a sampler that does more."""
    sampler = loader.take('sampler')
    if not isinstance(sampler, Mapping):
        return {}
    if sampler.get('type') in SAMPLERS:
        return {'shuffle': bool(sampler.get('shuffle', True))}
    return {'sampler': dict(sampler)}


class _DataSets:
    """Translates a data set and those that it wraps."""

    def __init__(self, house: House, task: str, preprocessor: Mapping[str, Any], is_training: bool) -> None:
        self.house, self.task, self.preprocessor, self.is_training = house, task, preprocessor, is_training

    def __call__(self, node: Any, path: str, source: str, findings: list[Any]) -> Any:
        """The data set of ours for a node at ``source``, which will stand at ``path``."""
        if isinstance(node, (list, tuple)):
            return [self(each, f'{path}.{i}', f'{source}.{i}', findings) for i, each in enumerate(node)]
        if not isinstance(node, Mapping):
            return node
        reader = Reader(node, source, findings)
        inner = {
            key: self(reader.take(key), f'{path}.{key}', f'{source}.{key}', findings)
            for key in ('dataset', 'datasets')
            if key in reader
        }
        if 'pipeline' in reader:
            steps = translate_pipeline(reader.take('pipeline') or (), self.task, self.preprocessor, self.is_training)
            inner['pipeline'] = [step for step, _ in steps]
            for i, (_, number) in enumerate(steps):
                self.house.trace(f'{path}.pipeline.{i}', f'{source}.pipeline.{number}')
        if node.get('type') in WRAPPERS:
            return {**reader.rest(), **inner}
        found = {**translate_data_set(reader, self.task), **inner}
        is_theirs = str(node.get('type')) not in known_data_sets(self.task)
        return found if self.is_training or is_theirs else {**found, 'test_mode': True}


def _is_ours(metric: Any) -> bool:
    """Whether a metric is not one of the user's own, whose arguments nobody knows."""
    return isinstance(metric, Mapping) and any(
        e.registry == 'METRICS' for e in by_name().get(str(metric.get('type')), ())
    )


def _translate_metrics(top: Reader, house: House) -> None:
    val, test = top.take('val_evaluator'), top.take('test_evaluator')
    asked, source = (val, 'val_evaluator') if val is not None else (test, 'test_evaluator')
    if asked is None:
        return
    nodes = [asked] if isinstance(asked, Mapping) else list(asked)
    metrics = [
        {key: value for key, value in node.items() if key not in OF_FILES} if _is_ours(node) else node for node in nodes
    ]
    house.put('evaluation.metric', metrics, source)
