"""What leaves an action pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.collect import CollectKeys
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class Collect(CollectKeys):
    """See :class:`intarsia.data.transforms.collect.CollectKeys`.

    Args:
        keys: Must be there, are kept as they are.
        meta_keys: Go into a dict, as far as they are there; None takes :attr:`META_KEYS`.
        meta_name: Name of that dict.
        nested: Make a list of each value, as models tested with several views of a sample expect.
    """

    META_KEYS = (
        'filename',
        'label',
        'original_shape',
        'img_shape',
        'pad_shape',
        'flip_direction',
        'img_norm_cfg',
    )

    def __init__(
        self,
        keys: Sequence[str],
        meta_keys: Sequence[str] | None = None,
        meta_name: str = 'img_metas',
        nested: bool = False,
    ) -> None:
        super().__init__(keys, meta_keys, meta_name)
        self.nested = nested

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """A new dict; nothing is drawn."""
        collected = super().__call__(results, rng)
        return {key: [value] for key, value in collected.items()} if self.nested else collected


@TRANSFORMS.register_module()
class Rename(Transform):
    """Give values other keys.

    Args:
        mapping: New names by old ones; values that are not there are left out.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.mapping = mapping

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Rename; nothing is drawn.

        Raises:
            DataError: A new name is taken.
        """
        for old, new in self.mapping.items():
            if old in results:
                if new in results:
                    raise DataError(f'Rename cannot call {old} {new}: the sample has {new} already')
                results[new] = results.pop(old)
        return results
