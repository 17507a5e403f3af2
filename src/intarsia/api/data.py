"""Data sections of a config -> data sets and loaders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intarsia.api.place import Place
from intarsia.api.tasks import Task
from intarsia.config.pipelines import joined, pipeline_of, with_pipeline
from intarsia.config.schema import DataConfig, LoaderConfig, RunConfig
from intarsia.core.arguments import signature_of
from intarsia.core.registries import DATASETS, SAMPLERS
from intarsia.core.registry import Registry
from intarsia.data.device import DeviceNormalize, ToDevice, split_normalize
from intarsia.data.loader import Loader
from intarsia.data.transforms.transform import Compose


def loader_config(data: DataConfig, split: str, evaluated_at_once: int | None = None) -> LoaderConfig:
    """The loader values of ``train``, ``val`` or ``test``: the common ones, overridden by ``data.SPLIT_dataloader``.

    Args:
        data: The section.
        split: Which data set.
        evaluated_at_once: Samples of a batch in evaluation; None for as many as in training.
    """
    common = {f.name: getattr(data, f.name) for f in dataclasses.fields(LoaderConfig)}
    if split != 'train' and evaluated_at_once is not None:
        common['samples_per_gpu'] = evaluated_at_once
    return LoaderConfig(**{**common, **dict(getattr(data, f'{split}_dataloader'))})


def build_loader(
    config: RunConfig, split: str, task: Task, place: Place, seed: int, *, for_loss: bool = False, dataset: Any = None
) -> Loader:
    """The loader of ``data.train``, ``data.val`` or ``data.test``.

    Args:
        config: The run.
        split: Which data set.
        task: Whose data sets and transforms bare names mean.
        place: Where batches go, and which part of the samples is this process's.
        seed: Seed of order and pipelines.
        for_loss: Whether losses are computed, which needs what the training pipeline collects.
        dataset: The data set, if it has been built already.
    """
    values = loader_config(config.data, split, None if for_loss else task.evaluated_at_once)
    is_train, normalize = split == 'train', None
    if dataset is None:
        node = joined(getattr(config.data, split))
        if for_loss and not is_train:
            node = with_pipeline(node, config.data.val_loss_pipeline or pipeline_of(joined(config.data.train)))
        node, normalize = take_normalize(node, task.name)
        dataset = build_dataset(node, task, test_mode=not is_train)
    shuffle = is_train if values.shuffle is None else values.shuffle
    sampler = values.sampler or dict(type='RandomSampler' if shuffle else 'SequentialSampler')
    return Loader(
        dataset,
        SAMPLERS.build(
            sampler, dataset=dataset, seed=seed, rank=place.world.rank, world_size=place.world.size, pad=is_train
        ),
        batch_size=values.samples_per_gpu,
        num_workers=values.workers_per_gpu,
        drop_last=values.drop_last,
        seed=seed,
        prepare=ToDevice(place.device, normalize, config.channels_last),
        persistent_workers=values.persistent_workers,
        prefetch_factor=values.prefetch_factor,
        pin_memory=values.pin_memory and place.device.type == 'cuda',
        start_method=config.mp_start_method,
    )


def build_dataset(node: Mapping[str, Any], task: Task, test_mode: bool) -> Any:
    """Build a data set, inner ones first; those of validation and testing are in test mode by default."""
    registry = DATASETS.of(task.name)
    if isinstance(node.get('dataset'), Mapping):
        return registry.build({**node, 'dataset': build_dataset(node['dataset'], task, test_mode)})
    if isinstance(node.get('datasets'), (list, tuple)):
        return registry.build({**node, 'datasets': [build_dataset(n, task, test_mode) for n in node['datasets']]})
    return registry.build({'test_mode': True, **node} if test_mode and _takes_mode(node, registry) else node)


def _takes_mode(node: Mapping[str, Any], registry: Registry) -> bool:
    """Whether a data set knows ``test_mode``; one of a user's own may not."""
    kind = node.get('type')
    signature = signature_of(registry.get(kind) if isinstance(kind, str) else kind)
    return signature.is_open or 'test_mode' in signature.arguments


def take_normalize(node: Mapping[str, Any], task: str) -> tuple[Mapping[str, Any], DeviceNormalize | None]:
    """Take the normalisation out of a data set's pipeline, through wrappers, if the device can do it."""
    if isinstance(node.get('pipeline'), (list, tuple)):
        pipeline, normalize = split_normalize(node['pipeline'], task)
        return {**node, 'pipeline': pipeline}, normalize
    if isinstance(node.get('dataset'), Mapping):
        inner, normalize = take_normalize(node['dataset'], task)
        return {**node, 'dataset': inner}, normalize
    return node, None


def test_pipeline_of(values: Mapping[str, Any], task: Task) -> Callable[[dict[str, Any]], dict[str, Any] | None] | None:
    """How a model of this config reads an image: the pipeline of ``data.test``, without what needs annotations."""
    data = values.get('data') or {}
    steps = pipeline_of(joined(data.get('test') or data.get('val')))
    if not steps:
        return None
    steps_of_images = Compose(task.images_pipeline(steps, values['model']), task.name)
    return lambda results: steps_of_images(results, np.random.default_rng(0))
