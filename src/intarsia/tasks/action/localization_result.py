"""The prediction for one stream: when what happens.

Shapes: n segments, t positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

SHOWN = 5
"""Segments in the short text about a stream."""


@dataclass(frozen=True, eq=False)
class LocalizationResult:
    """Segments of a stream in which something happens, the best first.

    Attributes:
        segments: Begin and end, float64 ``(N, 2)``, in seconds; as shares of the stream, 0 ... 1, if nobody knows its
            length.
        scores: How sure the network is, ``(N,)``.
        labels: What happens, int64 ``(N,)``; None from a network that only proposes segments.
        duration: Length of the stream in seconds, if known.
        video: Name of the stream, if known.
        classes: Names of the classes, if the model knows them.
    """

    segments: np.ndarray
    scores: np.ndarray
    labels: np.ndarray | None = None
    duration: float | None = None
    video: str | None = None
    classes: Sequence[str] | None = None

    def __len__(self) -> int:
        """How many segments."""
        return len(self.segments)

    def lasting(self, duration: float) -> Self:
        """The same in seconds, if the length of the stream was not known."""
        if self.duration is not None:
            return self
        return replace(self, segments=self.segments * duration, duration=duration)

    def best(self, min_score: float) -> Self:
        """Only segments with at least this score."""
        keep = self.scores >= min_score
        labels = None if self.labels is None else self.labels[keep]
        return replace(self, segments=self.segments[keep], scores=self.scores[keep], labels=labels)

    def name(self, i: int) -> str | None:
        """What happens in a segment: the name of its class, or its number; None if nobody said."""
        if self.labels is None:
            return None
        label = int(self.labels[i])
        return self.classes[label] if self.classes is not None else str(label)

    def __str__(self) -> str:
        """``walk 3.5-12.0 s (0.91), run 14.2-20.1 s (0.64), ...``: the five best segments."""
        if not len(self):
            return 'nothing'
        unit = ' s' if self.duration is not None else ''
        digits = 1 if unit else 3
        rows = list(zip(self.segments[:SHOWN].tolist(), self.scores[:SHOWN].tolist(), strict=True))
        texts = [
            f'{self.name(i) or ""} {start:.{digits}f}-{end:.{digits}f}{unit} ({score:.2f})'.strip()
            for i, ((start, end), score) in enumerate(rows)
        ]
        return ', '.join(texts) + (f' and {len(self) - SHOWN} more' if len(self) > SHOWN else '')

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values, for JSON; ``segments`` are as ActivityNet's server takes them."""
        rows = zip(self.segments.tolist(), self.scores.tolist(), strict=True)
        return {
            'video': self.video,
            'duration': self.duration,
            'segments': [
                {'segment': segment, 'score': score, **({} if self.labels is None else {'label': self.name(i)})}
                for i, (segment, score) in enumerate(rows)
            ],
        }


@dataclass(frozen=True, eq=False)
class BoundaryResult(LocalizationResult):
    """What the first stage of a boundary-sensitive network says of each position.

    Its segments are those that begin and end where boundaries are likely.

    Attributes:
        positions: Scores of action, begin and end, begin and end of the position as shares of the stream, and scores of
            all classes but the background if the network knows classes; float32 ``(T, 5 + C)``.
    """

    positions: np.ndarray = None  # type: ignore[assignment]
