"""Numbers that a head shares with the codec of its model: said once, or twice alike."""

from __future__ import annotations

from typing import Any

from intarsia.tasks.pose.codecs.codec import Codec

STRIDE = 32
"""Pixels of the input that one of a backbone's last maps covers, where no size of the map is given."""


def agreed(owner: str, name: str, given: Any, codec: Codec | None, of_codec: Any) -> Any:
    """The codec's number, or the one given where the codec has none; sizes as tuples.

    Args:
        owner: The class that asks.
        name: The argument.
        given: Its value, or None.
        codec: The codec of the model, or None.
        of_codec: What the codec says, or None.

    Raises:
        ValueError: They contradict each other, or there is neither.
    """
    given, of_codec = _as_tuple(given), _as_tuple(of_codec)
    if of_codec is None and given is None:
        raise ValueError(
            f'{owner} does not know {name}: give the model a codec that does, '
            f"codec=dict(type='SimCCLabel', input_size=(192, 256)), or give it to the head"
        )
    if of_codec is not None and given is not None and given != of_codec:
        raise ValueError(f'{owner}: {name} is {given}, but {of_codec} by the {type(codec).__name__} of the model')
    return given if of_codec is None else of_codec


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
