"""Steps of pipelines as old code calls and subclasses them: ``__call__(results)``, or ``transform(results)``."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from intarsia.data.transforms import transform
from intarsia.data.transforms.transform import Results, Transform
from intarsia.openmmlab.words import to_house, to_second_generation


class BaseTransform(ABC):
    """Base of steps of the second generation; they see its words, ``gt_seg_map`` or ``keypoints``."""

    def __call__(self, results: Results) -> Results | None:
        """Apply the step."""
        given = to_second_generation(results)
        found = self.transform(given)
        if found is None:
            return None
        return to_house(found, results) if given is not results else found

    @abstractmethod
    def transform(self, results: Results) -> Results | None:
        """Apply the step to the words of the second generation; None drops the sample."""


class Compose(transform.Compose):
    """Steps in order, called without a generator: they draw from what the global one gives."""

    def __init__(self, transforms: Sequence[Any] | None, task: str | None = None) -> None:
        super().__init__(list(transforms or ()), task)

    def __call__(self, results: Results, rng: np.random.Generator | None = None) -> Results | None:
        """Run all steps."""
        return super().__call__(results, fresh_generator() if rng is None else rng)


def fresh_generator() -> np.random.Generator:
    """A generator seeded from the global one, so that seeding that seeds this too."""
    return np.random.default_rng(np.random.randint(2**32, dtype=np.uint64))


@functools.cache
def callable_without_generator(target: Any) -> Any:
    """A transform of ours that may be called with the results alone; anything else stays as it is."""
    if not (inspect.isclass(target) and issubclass(target, Transform)) or inspect.isabstract(target):
        return target
    own_call: Callable[..., Any] = target.__call__

    def call(self: Any, results: Results, rng: np.random.Generator | None = None) -> Results | None:
        return own_call(self, results, fresh_generator() if rng is None else rng)

    def second_generation(self: Any, results: Results) -> Results | None:
        return call(self, results)

    words = {
        '__call__': call,
        'transform': second_generation,
        '__doc__': target.__doc__,
        '__module__': target.__module__,
    }
    return type(target.__name__, (target,), words)


def to_tensor(data: Any) -> Any:
    """A tensor of an array, a number or a sequence of numbers."""
    import torch

    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return torch.from_numpy(data)
    if isinstance(data, Sequence) and not isinstance(data, str):
        return torch.tensor(data)
    if isinstance(data, (int, float)):
        return torch.LongTensor([data]) if isinstance(data, int) else torch.FloatTensor([data])
    raise TypeError(f'{type(data).__name__} cannot become a tensor')


def cache_randomness(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself: a sample's draws are repeated by its seed."""
    return method
