"""What leaves a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.transforms.transform import Results, Transform


class CollectKeys(Transform):
    """Keep what the model needs; usually the last step. Each task registers its ``Collect``.

    Args:
        keys: Must be there, are kept as they are.
        meta_keys: Go into a dict, as far as they are there; None takes :attr:`META_KEYS`.
        meta_name: Name of that dict.
    """

    keeps_pixels = True
    META_KEYS: tuple[str, ...] = ()
    """What a task wants to know of a sample unless told otherwise."""

    def __init__(
        self, keys: Sequence[str], meta_keys: Sequence[str] | None = None, meta_name: str = 'img_metas'
    ) -> None:
        self.keys = keys
        self.meta_keys = self.META_KEYS if meta_keys is None else meta_keys
        self.meta_name = meta_name

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """A new dict; nothing is drawn.

        Raises:
            DataError: A key is missing.
        """
        missing = [key for key in self.keys if key not in results]
        if missing:
            raise DataError(f'Collect wants {", ".join(missing)}, but the sample has only {", ".join(results)}')
        metas = {key: results[key] for key in self.meta_keys if key in results}
        return {self.meta_name: metas, **{key: results[key] for key in self.keys}}
