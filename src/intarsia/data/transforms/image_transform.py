"""What transforms of pixels have in common: draw first, then apply."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intarsia.core.errors import closest
from intarsia.data.transforms.transform import Results, Transform

Array = NDArray[Any]
Drawn = dict[str, Any]


class ImageTransform(Transform):
    """A step that makes an image of each image of the sample.

    The step first draws, then applies what it drew to ``results['img']`` (or to every field that
    ``results['img_fields']`` names), and notes an ``img_shape`` that changes.
    """

    apply: Callable[..., Array]
    """``apply(img, **drawn)``: the deterministic part. ``img`` is not changed; a view of it may be returned."""

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """The arguments of :attr:`apply`, or None to leave the sample alone.

        Args:
            rng: The source of randomness.
            img: The image that is about to be changed, ``(H, W, C)``.
        """
        return {}

    def draw_for(self, results: Results, rng: np.random.Generator) -> Drawn | None:
        """:meth:`draw` for the first image; a step that looks at more of the sample overrides this."""
        return self.draw(rng, results[_fields(results)[0]])

    def change(self, results: Results, drawn: Drawn) -> Results:
        """Apply what was drawn to every image."""
        fields = _fields(results)
        before = results[fields[0]].shape
        for field in fields:
            results[field] = self.apply(results[field], **drawn)
        after = results[fields[0]].shape
        if after != before or 'img_shape' not in results:
            results['img_shape'] = after
        return results

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw once, apply to every image."""
        drawn = self.draw_for(results, rng)
        return results if drawn is None else self.change(results, drawn)


def _fields(results: Results) -> Sequence[str]:
    return results.get('img_fields') or ('img',)


class Operation(ImageTransform):
    """A step that is taken with a probability; the building block of AutoAugment and RandAugment.

    Args:
        prob: Probability of taking it.
    """

    strength: str | None = None
    """The constructor's argument that says how much is done, if there is one."""

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = require_probability('prob', prob)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """Nothing but whether the step is taken."""
        return {} if rng.random() < self.prob else None


class SignedOperation(Operation):
    """An operation whose magnitude changes its sign with a probability.

    Args:
        magnitude: How much is done; 0 leaves the image as it is.
        prob: Probability of taking the step.
        random_negative_prob: Probability of the negative magnitude.
    """

    strength = 'magnitude'

    def __init__(self, magnitude: float, prob: float = 0.5, random_negative_prob: float = 0.5) -> None:
        super().__init__(prob)
        self.magnitude = magnitude
        self.random_negative_prob = require_probability('random_negative_prob', random_negative_prob)

    def draw(self, rng: np.random.Generator, img: Array) -> Drawn | None:
        """``{'magnitude': ...}`` with its sign."""
        if super().draw(rng, img) is None:
            return None
        return {'magnitude': -self.magnitude if rng.random() < self.random_negative_prob else self.magnitude}


def require_probability(what: str, value: float) -> float:
    """``value`` if it is a probability.

    Raises:
        ValueError: It is outside 0..1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f'{what} is a probability, 0 to 1, not {value}')
    return float(value)


def require_choice(what: str, value: str, choices: Collection[str]) -> Any:
    """``value`` if it is one of the ``choices``.

    Raises:
        ValueError: It is not; the message has the closest word.
    """
    if value not in choices:
        close = closest(str(value), choices)
        hint = f" Did you mean '{close}'?" if close else ''
        raise ValueError(f'{what} is one of {", ".join(choices)}, not {value!r}.{hint}')
    return value


def three_channels(what: str, value: float | Sequence[float]) -> tuple[float, ...]:
    """A colour: the number three times, or the three numbers given.

    Raises:
        ValueError: A sequence of another length.
    """
    color = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)
    if len(color) != 3:
        raise ValueError(f'{what} is a number or three of them, not {value!r}')
    return color
