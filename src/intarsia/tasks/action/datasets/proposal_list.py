"""Lists of proposals of structured segment networks: the files, and what is learned from them.

Frames are counted from 0; a segment has its first frame and the one behind its last. Shapes: n proposals, g true
segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.data.transforms.image_transform import Array
from intarsia.tasks.action.temporal_overlap import temporal_iou

LABEL, IOU, OVERLAP, START, END = range(5)
"""Columns of proposals; the IoU is that with the nearest true segment, the overlap the share of it in that segment."""


def read_proposal_list(file: str | Path) -> Iterator[dict[str, Any]]:
    """Videos of a file, each with ``video_id``, ``total_frames``, and float64 ``gts`` and ``proposals`` ``(N, 5)``.

    A video is a line ``# NUMBER``, its name, its number of frames, a factor of that, the number of true segments, these
    (label, first frame, end), the number of proposals, and these (label, IoU, overlap, first frame, end). Labels begin
    with 1. Segments without frames in the video are left out.

    Raises:
        DataError: The file is missing, or another format.
    """
    try:
        text = Path(file).read_text(encoding='utf-8')
    except OSError as error:
        raise DataError(f'ann_file: {file} cannot be read: {error}') from error
    for block in text.split('#')[1:]:
        lines = [line.strip() for line in block.splitlines()][1:]
        try:
            yield _video(lines)
        except (ValueError, IndexError) as error:
            name = lines[0] if lines else '?'
            raise DataError(f'ann_file: {file} is no list of proposals: {name} has {error}') from error


def _video(lines: list[str]) -> dict[str, Any]:
    total = int(float(lines[1]) * float(lines[2]))
    num_gts = int(lines[3])
    true_g3 = _rows(lines[4 : 4 + num_gts], 3)
    count = int(lines[4 + num_gts])
    gts_g5 = np.column_stack([true_g3[:, 0], np.ones(num_gts), np.zeros(num_gts), true_g3[:, 1:]])
    found_n5 = _rows(lines[5 + num_gts : 5 + num_gts + count], 5)
    return {
        'video_id': lines[0],
        'total_frames': total,
        'gts': _within(gts_g5, total),
        'proposals': _within(found_n5, total),
    }


def _rows(lines: list[str], columns: int) -> Array:
    return np.array([line.split()[:columns] for line in lines], np.float64).reshape(-1, columns)


def _within(rows_n5: Array, total: int) -> Array:
    return rows_n5[(rows_n5[:, END].astype(int) > rows_n5[:, START].astype(int)) & (rows_n5[:, START] < total)]


def kinds_of(video: Mapping[str, Any], assigner: Mapping[str, float]) -> tuple[Array, Array, Array]:
    """Which proposals of a video are right, incomplete, and background: indices of each.

    Args:
        video: Of :func:`read_proposal_list`.
        assigner: Thresholds of a config.
    """
    found_n5 = video['proposals']
    iou_n, overlap_n = found_n5[:, IOU], found_n5[:, OVERLAP]
    coverage_n = (found_n5[:, END] - found_n5[:, START]) / video['total_frames']
    is_incomplete_n = (iou_n < assigner['incomplete_iou_threshold']) & (
        overlap_n > assigner['incomplete_overlap_threshold']
    )
    is_background_n = (
        ~is_incomplete_n
        & (iou_n < assigner['background_iou_threshold'])
        & (coverage_n > assigner['background_coverage_threshold'])
    )
    right = np.flatnonzero(iou_n > assigner['positive_iou_threshold'])
    return right, np.flatnonzero(is_incomplete_n), np.flatnonzero(is_background_n)


def bounded(rows_n5: Array, total: int) -> Array:
    """First frames, and those behind the last, within the video; int64 ``(N, 2)``."""
    return np.stack([rows_n5[:, START], np.minimum(rows_n5[:, END].astype(int), total)], 1).astype(np.int64)


def regression_targets(segment_n2: Array, true_g2: Array) -> Array:
    """How far the nearest true segment's centre is off, in lengths, and the logarithm of its length, ``(N, 2)``."""
    iou_ng = temporal_iou(segment_n2[:, :1], segment_n2[:, 1:], true_g2[None, :, 0], true_g2[None, :, 1])
    best_n2 = true_g2[iou_ng.argmax(1)]
    length_n, true_length_n = (each[:, 1] - each[:, 0] for each in (segment_n2, best_n2))
    moved_n = (best_n2.sum(1) - segment_n2.sum(1)) / 2 / length_n
    return np.stack([moved_n, np.log(true_length_n / length_n)], 1)


def valid_range(segment_n2: Array, total: int, span: int, aug_ratio: Sequence[float]) -> Array:
    """Where the stage before each segment begins, and the one behind it ends; int64 ``(N, 2)``.

    Args:
        segment_n2: Segments.
        total: Frames of the video.
        span: Frames that a clip covers.
        aug_ratio: How long the stages are, as parts of the segment.
    """
    length_n = segment_n2[:, 1] - segment_n2[:, 0]
    begin_n = np.maximum(0, segment_n2[:, 0] - (length_n * aug_ratio[0]).astype(np.int64))
    end_n = np.minimum(total - span + 1, segment_n2[:, 1] - 1 + (length_n * aug_ratio[1]).astype(np.int64))
    return np.stack([begin_n, end_n], 1)


def stage_scales(segment_n2: Array, total: int, span: int, aug_ratio: Sequence[float]) -> Array:
    """How much of the stages before and behind each segment lies within the video, ``(N, 2)``."""
    length_n = segment_n2[:, 1] - segment_n2[:, 0]
    range_n2 = valid_range(segment_n2, total, span, aug_ratio)
    before_n = segment_n2[:, 0] - range_n2[:, 0] + 1
    behind_n = range_n2[:, 1] - segment_n2[:, 1] + 2
    return np.stack([before_n / (length_n * aug_ratio[0]), behind_n / (length_n * aug_ratio[1])], 1)


def ticks_of(share_n2: Array, aug_ratio: Sequence[float], num_positions: int) -> tuple[Array, Array]:
    """For testing: positions of the four borders of stages int32 ``(N, 4)``, and their scales float32 ``(N, 2)``.

    Args:
        share_n2: Segments as shares of the video.
        aug_ratio: As in :func:`valid_range`.
        num_positions: Frames that are looked at.
    """
    around_n2 = (share_n2[:, 1:] - share_n2[:, :1]) * np.asarray(aug_ratio)
    low_n = np.maximum(0.0, share_n2[:, 0] - around_n2[:, 0])
    high_n = np.minimum(1.0, share_n2[:, 1] + around_n2[:, 1])
    borders_n4 = np.column_stack([low_n, share_n2, high_n])
    scale_n2 = np.stack([share_n2[:, 0] - low_n, high_n - share_n2[:, 1]], 1) / around_n2
    return (borders_n4 * num_positions).astype(np.int32), scale_n2.astype(np.float32)
