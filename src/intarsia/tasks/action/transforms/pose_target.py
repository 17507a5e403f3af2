"""Skeletons as clips: heat maps of joints and limbs.

Shapes: m people, t frames, k joints or limbs, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform

LIMBS = (
    (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (5, 7), (7, 9), (0, 6), (6, 8), (8, 10), (5, 11), (11, 13), (13, 15),
    (6, 12), (12, 14), (14, 16), (11, 12),
)  # fmt: skip
"""Limbs between the joints of COCO."""
LEFT, RIGHT = (1, 3, 5, 7, 9, 11, 13, 15), (2, 4, 6, 8, 10, 12, 14, 16)
LEFT_LIMBS, RIGHT_LIMBS = (0, 2, 4, 5, 6, 10, 11, 12), (1, 3, 7, 8, 9, 13, 14, 15)

SURE = 1e-4
"""Joints with a smaller score are not drawn."""

REACH = 3
"""Gaussians are cut off at so many standard deviations."""


@TRANSFORMS.register_module()
class GeneratePoseTarget(Transform):
    """Draw each joint, or each limb, as a map of its own: ``imgs`` float32 ``(T, K, H, W)``, for PoseC3D.

    "Revisiting Skeleton-based Action Recognition" (Duan et al., 2021, arXiv:2104.13586). Beside frames the maps are
    called ``heatmap_imgs``.

    Args:
        sigma: Of the Gaussians, in pixels.
        use_score: Whether the scores of joints are the heights of their Gaussians, or 1 is.
        with_kp: Draw joints.
        with_limb: Draw limbs; after the joints if both are drawn.
        skeletons: The limbs, pairs of joints.
        double: Add the mirrored maps as further frames.
        left_kp: Joints that change places in them ...
        right_kp: ... with these.
        left_limb: Limbs that do, if only limbs are drawn ...
        right_limb: ... with these.
        scaling: Size of the maps in units of ``img_shape``.

    Raises:
        ValueError: Nothing is to be drawn.
    """

    def __init__(
        self,
        sigma: float = 0.6,
        use_score: bool = True,
        with_kp: bool = True,
        with_limb: bool = False,
        skeletons: Sequence[Sequence[int]] = LIMBS,
        double: bool = False,
        left_kp: Sequence[int] = LEFT,
        right_kp: Sequence[int] = RIGHT,
        left_limb: Sequence[int] = LEFT_LIMBS,
        right_limb: Sequence[int] = RIGHT_LIMBS,
        scaling: float = 1.0,
    ) -> None:
        if not (with_kp or with_limb):
            raise ValueError('GeneratePoseTarget: with_kp and with_limb are both False, so nothing is drawn')
        self.sigma, self.use_score, self.scaling, self.double = sigma, use_score, scaling, double
        self.with_kp, self.with_limb, self.skeletons = with_kp, with_limb, skeletons
        self.pairs = list(zip(left_kp, right_kp, strict=True) if with_kp else zip(left_limb, right_limb, strict=True))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw; nothing is left to chance."""
        joints_mtk2 = results['keypoint'][..., :2].astype(np.float32) * self.scaling
        score_mtk = np.ones(joints_mtk2.shape[:-1], np.float32)
        if self.use_score and 'keypoint_score' in results:
            score_mtk = results['keypoint_score'].astype(np.float32)
        height, width = (int(side * self.scaling + 0.5) for side in results['img_shape'])
        maps = []
        if self.with_kp:
            maps.append(joint_maps(joints_mtk2, score_mtk, (height, width), self.sigma))
        if self.with_limb:
            maps.append(limb_maps(joints_mtk2, score_mtk, (height, width), self.sigma, self.skeletons))
        map_tkhw = np.concatenate(maps, axis=1)
        if self.double:
            order = np.arange(map_tkhw.shape[1])
            for left, right in self.pairs:
                order[[left, right]] = right, left
            map_tkhw = np.concatenate([map_tkhw, map_tkhw[..., ::-1][:, order]])
        results['heatmap_imgs' if 'imgs' in results else 'imgs'] = map_tkhw
        return results


def _window(center: np.ndarray, length: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances of pixels from centres ``(..., length)``, and which of them a Gaussian reaches."""
    pixel = np.arange(length, dtype=np.float32)
    first = np.trunc(center - REACH * sigma)
    last = np.trunc(center + REACH * sigma)
    return (pixel - center[..., None]) ** 2, (pixel >= first[..., None]) & (pixel <= last[..., None])


def joint_maps(joints_mtk2: np.ndarray, score_mtk: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """A Gaussian at each joint, as high as its score; of several people the highest. ``(T, K, H, W)``."""
    map_tkhw = np.zeros((*joints_mtk2.shape[1:3], *size), np.float32)
    for joints_tk2, score_tk in zip(joints_mtk2, score_mtk, strict=True):
        column_tkw, near_tkw = _window(joints_tk2[..., 0], size[1], sigma)
        row_tkh, near_tkh = _window(joints_tk2[..., 1], size[0], sigma)
        scale = -0.5 / sigma**2
        across = np.where(near_tkw, np.exp(scale * column_tkw), 0)
        down = np.where(near_tkh, np.exp(scale * row_tkh), 0) * np.where(score_tk < SURE, 0, score_tk)[..., None]
        np.maximum(map_tkhw, down[..., :, None] * across[..., None, :], out=map_tkhw)
    return map_tkhw


def limb_maps(
    joints_mtk2: np.ndarray,
    score_mtk: np.ndarray,
    size: tuple[int, int],
    sigma: float,
    limbs: Sequence[Sequence[int]],
) -> np.ndarray:
    """A ridge along each limb, as high as the smaller score of its ends: ``(T, limbs, H, W)``."""
    num_people, num_frames = joints_mtk2.shape[:2]
    map_tlhw = np.zeros((num_frames, len(limbs), *size), np.float32)
    for m in range(num_people):
        for t in range(num_frames):
            for i, (a, b) in enumerate(limbs):
                ends, scores = joints_mtk2[m, t, [a, b]], score_mtk[m, t, [a, b]]
                _draw_limb(map_tlhw[t, i], ends, scores, sigma)
    return map_tlhw


def _draw_limb(map_hw: np.ndarray, ends_22: np.ndarray, scores_2: np.ndarray, sigma: float) -> None:
    if scores_2.min() < SURE:
        return
    low, high = ends_22.min(0) - REACH * sigma, ends_22.max(0) + REACH * sigma
    left, top = (max(int(value), 0) for value in low)
    right, bottom = (min(int(value) + 1, side) for value, side in zip(high, map_hw.shape[::-1], strict=True))
    if right <= left or bottom <= top:
        return
    start, end = ends_22
    length2 = ((start - end) ** 2).sum()
    if length2 < 1:  # both ends are in one pixel
        point = joint_maps(start[None, None, None], scores_2[None, None, :1], map_hw.shape, sigma)[0, 0]
        np.maximum(map_hw, point, out=map_hw)
        return
    y_hw, x_hw = np.mgrid[top:bottom, left:right].astype(np.float32)
    along_hw = ((x_hw - start[0]) * (end[0] - start[0]) + (y_hw - start[1]) * (end[1] - start[1])) / length2
    along_hw = np.clip(along_hw, 0, 1)
    dx_hw = x_hw - start[0] - along_hw * (end[0] - start[0])
    dy_hw = y_hw - start[1] - along_hw * (end[1] - start[1])
    ridge_hw = np.exp(-(dx_hw**2 + dy_hw**2) / 2 / sigma**2) * scores_2.min()
    part = map_hw[top:bottom, left:right]
    np.maximum(part, ridge_hw, out=part)


@TRANSFORMS.register_module()
class PoseCompact(Transform):
    """Cut out the part of the image that the skeletons move in: ``keypoint`` and ``img_shape`` change.

    Args:
        padding: By how much the part is larger than the skeletons.
        threshold: Smaller parts are not cut out, in pixels.
        hw_ratio: Least height in units of the width, and least width in units of ... one number, or both.
        allow_imgpad: Whether the part may reach beyond the image.

    Raises:
        ValueError: ``padding`` is negative.
    """

    def __init__(
        self,
        padding: float = 0.25,
        threshold: int = 10,
        hw_ratio: float | Sequence[float] | None = None,
        allow_imgpad: bool = True,
    ) -> None:
        if padding < 0:
            raise ValueError(f'PoseCompact: padding={padding} must not be negative')
        self.padding, self.threshold, self.allow_imgpad = padding, threshold, allow_imgpad
        self.hw_ratio = (hw_ratio, hw_ratio) if isinstance(hw_ratio, (int, float)) else hw_ratio

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Cut out; nothing is drawn. Coordinates that are 0 are of joints nobody found, and stay."""
        keypoint = np.nan_to_num(results['keypoint'], nan=0.0)
        results['keypoint'] = keypoint
        x, y = keypoint[..., 0], keypoint[..., 1]
        box = self.box(x, y, results['img_shape'])
        if box is None:
            return results
        left, top, right, bottom = box
        height, width = results['img_shape']
        keypoint[..., 0] = np.where(x != 0, x - left, x)
        keypoint[..., 1] = np.where(y != 0, y - top, y)
        results['img_shape'] = (bottom - top, right - left)
        before = results.get('crop_quadruple', (0.0, 0.0, 1.0, 1.0))
        part = (left / width, top / height, (right - left) / width, (bottom - top) / height)
        results['crop_quadruple'] = (
            before[0] + part[0] * before[2], before[1] + part[1] * before[3], before[2] * part[2], before[3] * part[3],
        )  # fmt: skip
        return results

    def box(self, x: np.ndarray, y: np.ndarray, img_shape: Sequence[int]) -> tuple[int, int, int, int] | None:
        """Left, top, right and bottom of the part; None for the whole image."""
        if not (x != 0).any() or not (y != 0).any():
            return None
        low = np.array([x[x != 0].min(), y[y != 0].min()], float)
        high = np.array([x[x != 0].max(), y[y != 0].max()], float)
        if (high - low < self.threshold).any():
            return None
        center, half = (low + high) / 2, (high - low) / 2 * (1 + self.padding)
        if self.hw_ratio is not None:
            half[1] = max(self.hw_ratio[0] * half[0], half[1])
            half[0] = max(half[1] / self.hw_ratio[1], half[0])
        low, high = center - half, center + half
        if not self.allow_imgpad:
            low, high = np.maximum(low, 0), np.minimum(high, [img_shape[1], img_shape[0]])
        left, top, right, bottom = (int(value) for value in (*low, *high))
        return left, top, right, bottom
