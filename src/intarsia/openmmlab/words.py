"""Samples in the words of the second generation, and back: what its transforms and data sets call what is in them.

Shapes: k joints, h rows, w columns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

Results = dict[str, Any]

PIXEL_STD = 200.0
"""Pixels that ``scale`` counts in."""


def to_second_generation(results: Results) -> Results:
    """A copy with the second generation's words instead of ours; the same dict if it has none of ours."""
    if 'gt_semantic_seg' in results or 'seg_fields' in results:
        return _masks(results)
    return _people(results) if 'joints_3d' in results else results


def to_house(found: Mapping[str, Any], before: Results) -> Results:
    """A sample in our words again.

    Args:
        found: What a transform of the second generation made of :func:`to_second_generation` of a sample.
        before: That sample.
    """
    results = dict(found)
    if 'gt_seg_map' in results:
        results['gt_semantic_seg'] = results.pop('gt_seg_map')
    if 'seg_fields' in results:
        results['seg_fields'] = ['gt_semantic_seg' if f == 'gt_seg_map' else f for f in results['seg_fields']]
    if 'keypoints' in results and 'joints_3d' in before:
        _joints_of(results, before)
    return results


def _masks(results: Results) -> Results:
    named = dict(results)
    if 'gt_semantic_seg' in named:
        named['gt_seg_map'] = named.pop('gt_semantic_seg')
    named['seg_fields'] = ['gt_seg_map' if f == 'gt_semantic_seg' else f for f in named.get('seg_fields') or ()]
    return named


def _people(results: Results) -> Results:
    joints_k3, visible_k3 = results['joints_3d'], results['joints_3d_visible']
    named = {
        **results,
        'keypoints': joints_k3[None, :, :2].astype(np.float32),
        'keypoints_visible': visible_k3[None, :, 0].astype(np.float32),
        'img_path': results.get('image_file'),
    }
    if 'bbox' in results:
        x, y, width, height = results['bbox'][:4]
        named['bbox'] = np.array([[x, y, x + width, y + height]], np.float32)
    if 'center' in results:
        named['bbox_center'] = np.asarray(results['center'], np.float32)[None]
        named['bbox_scale'] = np.asarray(results['scale'], np.float32)[None] * PIXEL_STD
        named['bbox_rotation'] = np.array([results.get('rotation', 0.0)], np.float32)
    return named


def _joints_of(results: Results, before: Results) -> None:
    joints, visible = before['joints_3d'].copy(), before['joints_3d_visible'].copy()
    joints[:, :2] = results.pop('keypoints')[0]
    visible[:, :2] = np.asarray(results.pop('keypoints_visible'))[0].reshape(len(visible), -1)[:, :1]
    results['joints_3d'], results['joints_3d_visible'] = joints, visible
    if 'bbox' in results and np.ndim(results['bbox']) == 2:
        left, top, right, bottom = results['bbox'][0]
        results['bbox'] = np.array([left, top, right - left, bottom - top], np.float32)
    if 'bbox_center' in results:
        results['center'] = results.pop('bbox_center')[0]
        results['scale'] = results.pop('bbox_scale')[0] / PIXEL_STD
        results['rotation'] = float(results.pop('bbox_rotation', [0.0])[0])


def annotation(row: Mapping[str, Any]) -> Results:
    """An entry of ``load_data_list`` in our words."""
    found = dict(row)
    if 'seg_map_path' in found:
        found |= {'seg_prefix': None, 'ann_info': {'seg_map': found['seg_map_path']}}
    if 'img_path' in found:
        found.setdefault('img_prefix', None)
        found.setdefault('img_info', {'filename': os.fspath(found['img_path'])})
    return _person(found) if 'keypoints' in found and 'img_path' in found else found


def _person(row: Results) -> Results:
    keypoints_k2 = np.asarray(row['keypoints'], np.float32)[0]
    visible_k = np.asarray(row.get('keypoints_visible', np.ones((1, len(keypoints_k2)))), np.float32)[0]
    joints, visible = np.zeros((2, len(keypoints_k2), 3), np.float32)
    joints[:, :2] = keypoints_k2[:, :2]
    visible[:, :2] = np.minimum(1, visible_k.reshape(len(visible), -1)[:, :1])
    found = {**row, 'image_file': row['img_path'], 'joints_3d': joints, 'joints_3d_visible': visible, 'rotation': 0}
    if 'bbox' in row:
        left, top, right, bottom = np.asarray(row['bbox'], np.float32).reshape(-1, 4)[0]
        found['bbox'] = np.array([left, top, right - left, bottom - top], np.float32)
    found.setdefault('bbox_score', 1.0)
    found['image_id'] = row.get('img_id', row.get('image_id', 0))
    return found
