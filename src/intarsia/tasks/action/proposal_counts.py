"""How many proposals of each kind a structured segment network sees of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

POSITIVE, INCOMPLETE, BACKGROUND = 0, 1, 2
"""Kinds of proposals: right; within an action, but much shorter or longer; where nothing happens."""


class ProposalCounts(NamedTuple):
    """Proposals of a stream in training, by kind.

    Attributes:
        positive: Right ones.
        incomplete: Incomplete ones.
        background: Where nothing happens.
    """

    positive: int
    incomplete: int
    background: int

    @classmethod
    def of(cls, sampler: Mapping[str, Any]) -> Self:
        """From ``num_per_video``, ``positive_ratio``, ``background_ratio`` and ``incomplete_ratio`` of a config."""
        total = sum(sampler[f'{kind}_ratio'] for kind in ('positive', 'background', 'incomplete'))
        number = sampler['num_per_video']
        positive, background = (int(number * (sampler[f'{kind}_ratio'] / total)) for kind in ('positive', 'background'))
        return cls(positive, number - positive - background, background)
