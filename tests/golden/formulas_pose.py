"""What formulas of pose fixtures are made of, besides what all are made of."""

from __future__ import annotations

import numpy as np

from tests.golden.formulas import NAMES, u, z


def gauss(points: np.ndarray, height: int, width: int, sigma: float = 2.0, peak: float = 1.0) -> np.ndarray:
    """Whole Gaussians at points ``(..., 2)``: x, y -> float32 ``(..., H, W)``."""
    x, y = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    across = np.exp(-((np.arange(width) - x[..., None]) ** 2) / (2 * sigma**2))
    down = np.exp(-((np.arange(height) - y[..., None]) ** 2) / (2 * sigma**2))
    return (peak * down[..., :, None] * across[..., None, :]).astype(np.float32)


def points(name: str, num: int, joints: int, width: float, height: float, margin: float = 0.0) -> np.ndarray:
    """Points in a rectangle that is wider by ``margin`` of its size on each side, float32 ``(N, K, 2)``."""
    return ((u(name, num, joints, 2) * (1 + 2 * margin) - margin) * (width, height)).astype(np.float32)


def heatmaps(
    name: str, num: int, joints: int, height: int, width: int, sigma: float = 2.0, noise: float = 0.02
) -> np.ndarray:
    """A Gaussian and noise in each map ``(N, K, H, W)``; the very last map is nowhere positive."""
    maps = gauss(points(name, num, joints, width - 1, height - 1, 0.05), height, width, sigma)
    maps += np.float32(noise) * z(f'{name}.noise', num, joints, height, width)
    maps[-1, -1] = -np.abs(maps[-1, -1])
    return maps


NAMES.update({f.__name__: f for f in (gauss, points, heatmaps)})
