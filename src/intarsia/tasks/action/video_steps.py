"""Pipelines of frames in files, for video files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Node = Mapping[str, Any]

OF_FRAMES = ('RawFrameDecode', 'ArrayDecode')
"""Steps that load what is no video file."""
OF_VIDEOS = ('DecordDecode', 'OpenCVDecode', 'PyAVDecode', 'PIMSDecode')


def reading_videos(nodes: Sequence[Node]) -> list[Node]:
    """A pipeline that begins with a video file; one that looks at neither frames nor videos stays as it is.

    Args:
        nodes: Steps of a data set of frames, or of videos.
    """
    kinds = [str(node.get('type', '')).rpartition('.')[2] for node in nodes]
    if any(kind.endswith('Init') for kind in kinds) or not set(kinds) & {*OF_FRAMES, *OF_VIDEOS}:
        return list(nodes)
    decode = {'type': 'DecordDecode'}
    steps = [decode if kind in OF_FRAMES else node for kind, node in zip(kinds, nodes, strict=True)]
    return [{'type': 'DecordInit'}, *steps]
