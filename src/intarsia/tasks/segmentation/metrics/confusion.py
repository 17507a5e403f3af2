"""Which classes pixels have, and which were answered: the counts that every metric of segmentation is made of.

Shapes: h rows, w columns, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from intarsia.core.errors import DataError

BYTES = 256
FLOAT32_EXACT = 2**24
"""OpenCV counts in float32, which is exact up to here: larger images are counted in parts."""


def count_pairs(pred_hw: np.ndarray, target_hw: np.ndarray, num_classes: int, ignore_index: int | None) -> np.ndarray:
    """Count how often each class was answered for each.

    Masks of bytes, the usual ones, are counted by OpenCV in one pass; others take a few times longer.

    Args:
        pred_hw: Answered class of each pixel, any integers.
        target_hw: True class of each pixel, any integers.
        num_classes: C.
        ignore_index: Pixels with this true class do not count; None counts all.

    Returns:
        Int64 ``(C + 1, C + 1)``: rows are true classes, columns answers; the last ones are all other values.

    Raises:
        DataError: The masks have different sizes.
    """
    if pred_hw.shape != target_hw.shape:
        raise DataError(f'a result has the size {pred_hw.shape}, but its mask has {target_hw.shape} (rows, columns)')
    pred, target = _as_bytes(pred_hw), _as_bytes(target_hw)
    if pred is None or target is None or num_classes >= BYTES:
        return _count_any(pred_hw.reshape(-1), target_hw.reshape(-1), num_classes, ignore_index)
    pairs = np.zeros((BYTES, BYTES), np.int64)
    for start in range(0, pred.size, FLOAT32_EXACT):
        part = slice(start, start + FLOAT32_EXACT)
        both = [target[None, part], pred[None, part]]
        pairs += cv2.calcHist(both, [0, 1], None, [BYTES, BYTES], [0, BYTES, 0, BYTES]).astype(np.int64)
    if ignore_index is not None and 0 <= ignore_index < BYTES:
        pairs[ignore_index] = 0
    classes_and_rest = np.arange(num_classes + 1)
    return np.add.reduceat(np.add.reduceat(pairs, classes_and_rest, axis=0), classes_and_rest, axis=1)


def _as_bytes(mask_hw: np.ndarray) -> np.ndarray | None:
    """The mask as a flat uint8 array; None if it has other values."""
    flat = np.ascontiguousarray(mask_hw).reshape(-1)
    if flat.dtype != np.uint8 and flat.size and not 0 <= flat.min() <= flat.max() < BYTES:
        return None
    return flat.astype(np.uint8, copy=False)


def _count_any(pred: np.ndarray, target: np.ndarray, num_classes: int, ignore_index: int | None) -> np.ndarray:
    if ignore_index is not None:
        counted = target != ignore_index
        pred, target = pred[counted], target[counted]
    size = num_classes + 1
    row, column = (np.where((mask < 0) | (mask >= num_classes), num_classes, mask) for mask in (target, pred))
    return np.bincount(row.astype(np.int64) * size + column, minlength=size**2).reshape(size, size)


def relabel(
    target_hw: np.ndarray, label_map: Mapping[int, int] | None, reduce_zero_label: bool, ignore_index: int | None = 255
) -> np.ndarray:
    """Change the labels of a mask as an evaluation asks for.

    Args:
        target_hw: Any integers; not changed.
        label_map: New labels by old ones, all at once. One below 0 becomes ``ignore_index``.
        reduce_zero_label: After that: 0 becomes 255, and all other labels but 255 become smaller by one.
        ignore_index: What pixels without a class have; 255 if it is None.

    Returns:
        A mask of the same type.
    """
    if not label_map and not reduce_zero_label:
        return target_hw
    if target_hw.dtype == np.uint8:
        table = _relabelled(np.arange(BYTES), label_map or {}, reduce_zero_label, ignore_index)
        return cv2.LUT(target_hw, table.astype(np.uint8)).reshape(target_hw.shape)
    return _relabelled(target_hw, label_map or {}, reduce_zero_label, ignore_index)


def _relabelled(
    target: np.ndarray, label_map: Mapping[int, int], reduce_zero_label: bool, ignore_index: int | None
) -> np.ndarray:
    result = target.copy()
    for old, new in label_map.items():
        without_class = 255 if ignore_index is None else ignore_index
        result[target == old] = new if new >= 0 else without_class
    return np.where((result == 0) | (result == 255), 255, result - 1) if reduce_zero_label else result
