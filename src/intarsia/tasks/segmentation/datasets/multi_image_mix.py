"""Samples made of several samples."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS, TRANSFORMS
from intarsia.data.seeding import SampleKey
from intarsia.data.transforms.transform import Compose, Results, seed_globals
from intarsia.data.wrappers import DatasetWrapper


@DATASETS.register_module()
class MultiImageMixDataset(DatasetWrapper):
    """Sends samples of a data set, together with others of it, through further steps (``RandomMosaic``).

    A step with a method ``get_indexes(dataset, rng)`` gets the samples of those numbers as ``results['mix_results']``.

    Args:
        dataset: Config node, or a data set; its pipeline loads images and masks.
        pipeline: Config nodes of the further steps.
        skip_type_keys: Types of steps to leave out.
    """

    def __init__(
        self, dataset: Any, pipeline: Sequence[Mapping[str, Any]], skip_type_keys: Sequence[str] | None = None
    ) -> None:
        self.dataset = DATASETS.of('segmentation').build(dataset) if isinstance(dataset, Mapping) else dataset
        self.adopt(self.dataset)
        registry = TRANSFORMS.of('segmentation')
        self._steps = [(str(node['type']), registry.build(node)) for node in pipeline]
        self._skipped = frozenset(skip_type_keys or ())

    def update_skip_type_keys(self, skip_type_keys: Sequence[str]) -> None:
        """Leave out steps of these types from now on."""
        self._skipped = frozenset(skip_type_keys)

    def __len__(self) -> int:
        return len(self.dataset)

    def locate(self, index: int) -> tuple[Any, int]:
        """The sample itself."""
        return self.dataset, index

    def __getitem__(self, key: SampleKey | int) -> Results:
        """The sample of a key, mixed with others; their pipelines draw from streams of their own."""
        key = key if isinstance(key, SampleKey) else SampleKey(int(key), position=int(key))
        results = super().__getitem__(key)
        # The inner pipeline has drawn from the start of the key's stream; this is another part of it.
        rng = np.random.Generator(key.generator().bit_generator.jumped())  # type: ignore[attr-defined]
        for name, step in self._steps:
            if name not in self._skipped:
                results = self._mixed(step, results, key, rng)
        return {**results, 'sample_idx': key.index}

    def _mixed(self, step: Callable[..., Any], results: Results, key: SampleKey, rng: np.random.Generator) -> Results:
        get_indexes = getattr(step, 'get_indexes', None)
        if get_indexes is not None:
            others = [key._replace(index=i, seed=int(rng.integers(2**63))) for i in self._drawn(get_indexes, rng)]
            results = {**results, 'mix_results': [super(MultiImageMixDataset, self).__getitem__(o) for o in others]}
        mixed = Compose([step])(results, rng)
        if mixed is None:
            raise DataError(f'{step} dropped a sample of {type(self).__name__}')
        mixed.pop('mix_results', None)
        return mixed

    def _drawn(self, get_indexes: Callable[..., Any], rng: np.random.Generator) -> Sequence[int]:
        """Numbers of the other samples; a step of the user's own may draw them from the global generators."""
        if 'rng' in inspect.signature(get_indexes).parameters:
            found = get_indexes(self.dataset, rng)
        else:
            seed_globals(rng)
            found = get_indexes(self.dataset)
        return found if isinstance(found, Sequence) else [int(found)]
