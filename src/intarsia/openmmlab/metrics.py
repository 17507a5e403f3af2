"""Metrics of the second generation, which see data samples, as evaluators of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.openmmlab.samples import SAMPLES
from intarsia.openmmlab.structures import BaseDataElement


class BaseMetric(ABC):
    """Base of metrics: a subclass has ``process`` and ``compute_metrics``.

    Args:
        collect_device: Not used: results of all processes are collected by the engine.
        prefix: What stands before the names of values; None takes that of the class.
        collect_dir: Not used.
    """

    takes_results = True
    default_prefix: ClassVar[str | None] = None
    task: str = 'classification'
    dataset: Any = None

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None, collect_dir: str | None = None) -> None:
        self._dataset_meta: dict[str, Any] | None = None
        self.collect_device, self.collect_dir = collect_device, collect_dir
        self.results: list[Any] = []
        self.prefix = prefix or self.default_prefix

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Names and colours of the classes."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta: dict[str, Any] | None) -> None:
        self._dataset_meta = meta

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Append what a batch gives to ``self.results``."""

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Values by name."""

    def evaluate(self, size: int) -> dict[str, Any]:
        """Values by their full names, of at most ``size`` results; forgets the results."""
        values = self._named(self.compute_metrics(self.results[:size]))
        self.results.clear()
        return values

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {f'{self.prefix}/{name}' if self.prefix else name: value for name, value in values.items()}

    # ------------------------------------------------------------------ an evaluator of ours

    def observe(self, dataset: Any, task: str) -> None:
        """Be told what is measured."""
        self.dataset, self.task = dataset, task
        own = getattr(dataset, 'metainfo', None) or {}
        self.dataset_meta = {
            'classes': getattr(dataset, 'CLASSES', None),
            'palette': getattr(dataset, 'PALETTE', None),
            **own,
        }

    def update(self, results: Sequence[Any], batch: Mapping[str, Any]) -> None:
        """Count one batch."""
        converter = SAMPLES[self.task]
        samples = converter.of_batch({**batch, 'img_metas': batch.get('img_metas') or [{}] * len(results)})
        indices = batch.get('sample_idx')
        for i, (sample, result) in enumerate(zip(samples, results, strict=True)):
            index = int(indices[i]) if indices is not None else None
            sample.set_metainfo({'sample_idx': index})
            converter.add_truth(sample, self.dataset, index)
            converter.add_result(sample, result)
        plain = [as_plain(sample) for sample in samples]
        inputs = next((value for value in batch.values() if isinstance(value, torch.Tensor)), None)
        self.process({'inputs': inputs, 'data_samples': samples}, plain)

    def compute(self) -> dict[str, Any]:
        """Values by their full names."""
        if not self.results:
            raise DataError(f'{type(self).__name__}.process has added nothing to self.results')
        return self._named(self.compute_metrics(list(self.results)))

    def table(self) -> str:
        """Nothing."""
        return ''

    def state(self) -> list[Any]:
        """What was counted."""
        return list(self.results)

    def merge(self, state: Sequence[Any]) -> None:
        """Add what another process counted."""
        self.results.extend(state)

    def reset(self) -> None:
        """Forget what was counted."""
        self.results = []


class DumpResults(BaseMetric):
    """Not a metric: ``intarsia predict --json`` writes results.

    Args:
        args: Not used.
        kwargs: Not used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError('intarsia predict CONFIG CHECKPOINT FILES --json writes results')

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Never called."""

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Never called."""
        return {}


def as_plain(value: Any) -> Any:
    """A data sample as nested dicts, as metrics get it."""
    if isinstance(value, BaseDataElement):
        return {name: as_plain(each) for name, each in value.all_items()}
    return value


def _to_cpu(value: Any) -> Any:
    """Tensors, in nested containers too, on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, BaseDataElement):
        return value.to('cpu')
    if isinstance(value, Mapping):
        return {name: _to_cpu(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)) and not isinstance(value, (str, np.ndarray)):
        return type(value)(_to_cpu(each) for each in value)
    return value
