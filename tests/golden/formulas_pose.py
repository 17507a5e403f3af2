"""What formulas of pose fixtures are made of, besides what all are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.formulas import NAMES, ints, u, z

FIGURES = Path(__file__).resolve().parents[2] / 'data/figures/annotations'


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


def coco(
    name: str, images: int = 4, people: int = 4, k: int = 17, size: int = 400, cats: int = 1, **extra: Any
) -> dict[str, Any]:
    """A file of COCO with edge cases: an image without people, people without joints, crowds; three sizes in turn."""
    listed, found = [], []
    for i in range(images):
        more = {key: values[i % len(values)] for key, values in extra.items()}
        listed.append(dict(id=i + 1, file_name=f'{i + 1:012d}.jpg', width=size, height=size, **more))
        for j in range(people if i != 1 else 0):
            found.append(_annotation(f'{name}.{i}.{j}', len(found), i + 1, k, size, cats))
    names = [f'k{a}' for a in range(k)]
    kinds = [dict(id=c + 1, name=f'c{c + 1}', supercategory='x', keypoints=names, skeleton=[]) for c in range(cats)]
    return dict(info={}, licenses=[], images=listed, annotations=found, categories=kinds)


def _annotation(tag: str, c: int, image: int, k: int, size: int, cats: int) -> dict[str, Any]:
    side = [24, 70, 160][c % 3] * (1 + 0.2 * u(tag + '.s', 1)[0])
    xy = np.round(u(tag + '.o', 2) * (size - side), 1)
    joints = np.round(xy + side * u(tag, k, 2), 1)
    v = np.array([0, 1, 2, 2, 2])[ints(tag + '.v', 0, 5, k)]
    if c % 5 == 4:
        v[:] = 0
    keypoints = np.concatenate([joints * (v > 0)[:, None], v[:, None]], 1)
    box = [float(xy[0]), float(xy[1]), round(float(side), 2), round(float(side), 2)]
    return dict(
        id=c + 1, image_id=image, category_id=1 + c % cats, iscrowd=int(c % 7 == 6), bbox=box,
        area=round(0.6 * box[2] * box[3], 2), num_keypoints=int((v > 0).sum()),
        keypoints=[float(a) for a in keypoints.reshape(-1)],
    )  # fmt: skip


def figures(split: str, n: int | None = None) -> dict[str, Any]:
    """The first ``n`` annotations of ``data/figures``, and their images."""
    content = json.loads((FIGURES / f'person_keypoints_{split}.json').read_text())
    if n is not None:
        content['annotations'] = content['annotations'][:n]
        kept = {annotation['image_id'] for annotation in content['annotations']}
        content['images'] = [image for image in content['images'] if image['id'] in kept]
    for annotation in content['annotations']:
        annotation.pop('segmentation', None)
    return content


def detections(
    name: str, gt: dict[str, Any], noise: float = 0.05, miss: float = 0.1, extra: int = 1, k: int | None = None
) -> list[dict[str, Any]]:
    """The people of a file with noise that grows from joint to joint; some missing, the first of each image twice."""
    out = []
    for image in gt['images']:
        mine = [annotation for annotation in gt['annotations'] if annotation['image_id'] == image['id']]
        for j, annotation in enumerate(mine + mine[:1] * extra):
            tag = f'{name}.{annotation["id"]}.{j}'
            if u(tag + '.miss', 1)[0] >= miss:
                out.append(_detection(tag, annotation, noise))
    return out


def _detection(tag: str, annotation: dict[str, Any], noise: float) -> dict[str, Any]:
    joints = np.array(annotation['keypoints'], np.float64).reshape(-1, 3)
    count, box = len(joints), np.array(annotation['bbox'])
    where = np.where(joints[:, 2:] > 0, joints[:, :2], box[:2] + box[2:] / 2)
    spread = noise * max(annotation['bbox'][2:]) * (0.2 + np.arange(count) / count)[:, None]
    xy, score = where + spread * z(tag, count, 2), np.clip(0.9 - 0.3 * np.abs(z(tag + '.c', count)), 0.05, 1)
    return dict(
        image_id=annotation['image_id'], category_id=annotation['category_id'], id=annotation['id'],
        bbox=[float(b) for b in annotation['bbox']], area=float(annotation['area']),
        keypoints=[round(float(b), 3) for b in np.concatenate([xy, score[:, None]], 1).reshape(-1)],
        score=round(float(score.mean() * (1 - 0.3 * u(tag + '.q', 1)[0])), 6),
    )  # fmt: skip


NAMES.update({f.__name__: f for f in (gauss, points, heatmaps, coco, figures, detections)})
