"""What a transform is, and how a list of them runs."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from intarsia.core.registries import TRANSFORMS

Results = dict[str, Any]


class Transform:
    """One step of a data pipeline.

    A subclass implements :meth:`__call__`: a dict of results in, a dict out (the same one, changed, or a new one).
    Arrays found in the dict are not changed in place. Every random draw comes from ``rng`` alone, so that a sample
    depends on nothing but its seed; a step that draws puts its draws into a method ``draw(...)`` of its own.
    Returning None drops the sample.

    Attributes:
        keeps_pixels: Whether the values of images stay as they are, so that they may be normalised afterwards.
    """

    keeps_pixels: ClassVar[bool] = False

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Apply the step.

        Args:
            results: What earlier steps produced; ``results['img']`` is uint8 ``(H, W, C)``, BGR unless said otherwise.
            rng: The only source of randomness.
        """
        raise NotImplementedError(f'{type(self).__name__} has no __call__')

    def __repr__(self) -> str:
        """``Name(argument=value, ...)`` of the public attributes."""
        shown = ', '.join(f'{k}={v!r}' for k, v in vars(self).items() if not k.startswith('_'))
        return f'{type(self).__name__}({shown})'


Step = Callable[..., 'Results | None']


class Compose:
    """Runs steps in order; stops and returns None when a step drops the sample.

    Steps are built from config nodes or given as callables. A step that takes only ``results`` (a user's old
    transform) gets the global generators of ``random``, NumPy and torch seeded from ``rng`` before it runs.

    Args:
        transforms: Config nodes (``dict(type=...)``) or callables.
        task: Task whose transforms bare names mean.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any] | Step], task: str | None = None) -> None:
        registry = TRANSFORMS.of(task)
        self.task = task
        self.transforms: list[Step] = [registry.build(t) if isinstance(t, Mapping) else t for t in transforms]
        self._steps = [(step, _takes_rng(step)) for step in self.transforms]

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Run all steps; see :class:`Transform`."""
        current: Results | None = results
        for step, takes_rng in self._steps:
            if takes_rng:
                current = step(current, rng)
            else:
                seed_globals(rng)
                current = step(current)
            if current is None:
                return None
        return current

    def __repr__(self) -> str:
        """The steps, one a line."""
        return 'Compose(\n' + ''.join(f'    {step}\n' for step in self.transforms) + ')'


def _takes_rng(step: Step) -> bool:
    try:
        parameters = inspect.signature(step).parameters
    except ValueError:
        return False
    return 'rng' in parameters


def seed_globals(rng: np.random.Generator) -> None:
    """Seed what an old transform draws from; torch only if the process has loaded it."""
    import sys

    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get('torch')
    if torch is not None:
        torch.manual_seed(seed)
