"""Data sets, loaders and settings as scripts of the first generation build them, over ours."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import torch

from intarsia.api.data import build_dataset as build_ours
from intarsia.api.tasks import task_named
from intarsia.config.dialects.names import with_bare_names
from intarsia.config.pipelines import joined
from intarsia.core.registries import DATASETS, SAMPLERS
from intarsia.data.loader import Loader
from intarsia.data.wrappers import DatasetWrapper
from intarsia.openmmlab.builders import for_task
from intarsia.openmmlab.datasets import OldDataset, OldPoseDataset
from intarsia.openmmlab.datasets_second import BaseDataset as SecondDataset
from intarsia.openmmlab.parallel import DataContainer, get_dist_info
from intarsia.openmmlab.runners import init_random_seed


@for_task
def build_dataset(cfg: Any, default_args: Mapping[str, Any] | None = None, *, task: str) -> Any:
    """Build a data set that has, beside the methods of ours, those of the old toolbox.

    Args:
        cfg: Its config; a list of them gives one of all.
        default_args: Arguments used where ``cfg`` has none.
        task: Whose data set it is.
    """
    node = dict(joined(with_bare_names(cfg)))
    node = {**(default_args or {}), **node}
    return build_ours(_with_old_classes(node, task), task_named(task), test_mode=False)


def _with_old_classes(node: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The config with classes in place of names, through wrappers."""
    found = dict(node)
    for key in ('dataset', 'datasets'):
        inner = found.get(key)
        if isinstance(inner, Mapping):
            found[key] = _with_old_classes(inner, task)
        elif isinstance(inner, (list, tuple)):
            found[key] = [_with_old_classes(each, task) for each in inner]
    if isinstance(found.get('type'), str):
        found['type'] = old_class(DATASETS.of(task).get(found['type']), task)
    return found


@functools.cache
def old_class(kind: Any, task: str) -> Any:
    """A data set's class with the old methods; one that has methods of its own stays, and a wrapper too."""
    is_old = not inspect.isclass(kind) or issubclass(kind, (OldDataset, SecondDataset, DatasetWrapper))
    if is_old or not kind.__module__.startswith('intarsia.'):
        return kind
    words = {'task': task, '__module__': kind.__module__, '__doc__': kind.__doc__}
    return type(kind.__name__, (OldPoseDataset if task == 'pose' else OldDataset, kind), words)


@for_task
def build_dataloader(
    dataset: Any,
    samples_per_gpu: int = 1,
    workers_per_gpu: int = 0,
    num_gpus: int = 1,
    dist: bool = True,
    shuffle: bool = True,
    seed: int | None = None,
    drop_last: bool = False,
    *,
    pin_memory: bool = True,
    persistent_workers: bool = True,
    task: str | None = None,
    **kwargs: Any,
) -> Loader:
    """The batches of a data set, in containers as the old wrappers of models take them.

    Args:
        dataset: The data set.
        samples_per_gpu: Samples of a batch.
        workers_per_gpu: Worker processes.
        num_gpus: Not used: one process trains on one GPU.
        dist: Whether processes that have joined share the samples.
        shuffle: Whether each epoch has an order of its own.
        seed: Of order and pipelines; None draws one.
        drop_last: Leave out a last batch that is not full.
        pin_memory: Page-locked batches.
        persistent_workers: Keep workers between epochs.
        task: Whose containers they are.
        kwargs: ``videos_per_gpu`` and ``prefetch_factor``; others mean nothing here.
    """
    seed = init_random_seed(seed)
    rank, size = get_dist_info() if dist else (0, 1)
    kind = dict(type='RandomSampler' if shuffle else 'SequentialSampler')
    is_test = bool(getattr(dataset, 'test_mode', not shuffle))
    return Loader(
        dataset,
        SAMPLERS.build(kind, dataset=dataset, seed=seed, rank=rank, world_size=size, pad=not is_test),
        batch_size=kwargs.get('videos_per_gpu', samples_per_gpu),
        num_workers=workers_per_gpu,
        drop_last=drop_last,
        seed=seed,
        prepare=_Contained(task == 'segmentation', is_test),
        persistent_workers=persistent_workers,
        prefetch_factor=kwargs.get('prefetch_factor', 2),
        pin_memory=pin_memory,
    )


class _Contained:
    """Puts batches of ours into the containers that they had.

    Args:
        all_stacked: Whether images and masks of training are in containers too, not only what pipelines noted.
        is_test: Whether these are batches of a test, where versions of images come in lists.
    """

    def __init__(self, all_stacked: bool, is_test: bool) -> None:
        self.all_stacked, self.is_test = all_stacked, is_test

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch, without the numbers of its samples."""
        in_list = self.all_stacked and self.is_test and isinstance(batch.get('img'), torch.Tensor)
        found = {name: self._contained(name, value) for name, value in batch.items() if name != 'sample_idx'}
        return {name: [value] for name, value in found.items()} if in_list else found

    def _contained(self, name: str, value: Any) -> Any:
        if name.endswith('_metas') or name == 'img_metas':
            versions = value if isinstance(value[0], list) else None
            if versions is not None:
                return [DataContainer([each], cpu_only=True) for each in versions]
            return DataContainer([value], cpu_only=True)
        if self.all_stacked and not self.is_test and isinstance(value, torch.Tensor):
            return DataContainer([value], stack=True)
        return value


# ---------------------------------------------------------------------- settings


def get_device() -> str:
    """The kind of the best device there is."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def setup_multi_processes(cfg: Any) -> None:
    """Settings of threads: OpenCV's, as ``opencv_num_threads`` of the config says."""
    import cv2

    cv2.setNumThreads(int(cfg.get('opencv_num_threads', 0)))
