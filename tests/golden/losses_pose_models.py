"""The targets with which whole pose models were trained for one step, as the records describe them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tests.golden.fill import make_input

Batch = dict[str, Any]

MAX_PEOPLE = 30
"""Rows for people in an image, most of them empty."""


def batch_of(record: Mapping[str, Any], model: Any) -> Batch:
    """The batch of a record: crops or images, and what the head needs.

    Args:
        record: A line of the loss fixtures.
        model: The model, which is asked for the shapes of its outputs.
    """
    img_nchw = make_input('input', record['input']['shape'])
    with torch.no_grad():
        outputs = model(img_nchw)
    return {'img': img_nchw, **TARGETS[record['kind']](record, outputs)}


def _of_maps(record: Mapping[str, Any], outputs: Any) -> Batch:
    """Heat maps; in sets of one width of peaks each, if the record says so."""
    recipe = record['targets'][0]
    shapes = _shapes(recipe)
    target = unit('target', shapes[0])
    if 'split' in recipe:
        target = target.unflatten(1, (int(_number_after('list of', recipe)), -1))
    joints = target.shape[-3] if target.dim() == 5 else shapes[1][-2]
    weight = pattern(len(target), joints)[..., None]
    if target.dim() == 5:
        weight = weight[:, None].expand(-1, target.shape[1], -1, -1)
    return {'target': target, 'target_weight': weight}


def _of_coordinates(record: Mapping[str, Any], outputs: Any) -> Batch:
    xy = outputs[0] if isinstance(outputs, tuple) else outputs
    shape = (*xy.shape[:2], 2)
    weight = pattern(*shape[:2])[..., None].expand(shape)
    return {'target': 0.5 + 0.2 * make_input('target', shape), 'target_weight': weight}


def _of_mean_places(record: Mapping[str, Any], outputs: Any) -> Batch:
    return {**_of_coordinates(record, outputs), 'target_heatmap': unit('target.heatmap', outputs[1].shape)}


def _of_vectors(record: Mapping[str, Any], outputs: Any) -> Batch:
    x, y = outputs
    weight = pattern(*x.shape[:2])
    return {'target_x': unit('target.x', x.shape), 'target_y': unit('target.y', y.shape), 'target_weight': weight}


def _of_tags(record: Mapping[str, Any], outputs: Any) -> Batch:
    joints = record['model']['keypoint_head']['num_joints']
    sizes = [tuple(output.shape[2:]) for output in outputs]
    num = len(outputs[0])
    masks = [torch.ones(num, *size) for size in sizes]
    for mask in masks:
        mask[:, :3, :5] = 0
    return {
        'targets': [unit(f'target.{i}', (num, joints, *size)) for i, size in enumerate(sizes)],
        'masks': masks,
        'joints': [_people(num, joints, height * width) for height, width in sizes],
    }


def _people(num: int, joints: int, places: int) -> Tensor:
    """Three people an image: where in the flattened maps a joint is, and whether, int64 ``(num, 30, joints, 2)``."""
    n, p, k = torch.meshgrid(torch.arange(num), torch.arange(MAX_PEOPLE), torch.arange(joints), indexing='ij')
    there = ((n + p + k) % 4 != 0) & (p < 3)
    place = k * places + (31 * n + 37 * p + 11 * k) % places
    return torch.stack([place * there, there.long()], -1)


def _of_ways(record: Mapping[str, Any], outputs: Any) -> Batch:
    """Heat maps of joints and middles, and ways to joints; the newer one calls them otherwise."""
    maps, ways = outputs[0] if isinstance(outputs, list) else outputs
    mask = torch.ones(maps.shape)
    mask[:, :, :3, :5] = 0.1
    values = (unit('target', maps.shape), mask, make_input('target.offset', ways.shape),
              unit('target.offset_weight', ways.shape))  # fmt: skip
    older = ('heatmaps', 'masks', 'offsets', 'offset_weights')
    newer = ('heatmaps', 'heatmap_weights', 'displacements', 'displacement_weights')
    return dict(zip(older if isinstance(outputs, list) else newer, values, strict=True))


TARGETS: dict[str, Callable[[Mapping[str, Any], Any], Batch]] = {
    'hm': _of_maps, 'reg': _of_coordinates, 'simcc': _of_vectors, 'dsnt': _of_mean_places, 'ae': _of_tags,
    'dekr': _of_ways,
}  # fmt: skip
"""Kind of a record -> what makes its targets from the record and the outputs of the model."""


def unit(name: str, shape: Any) -> Tensor:
    """Filled by its name, 0 ... 1."""
    return make_input(name, tuple(shape)).abs().clamp(max=1)


def pattern(people: int, joints: int) -> Tensor:
    """Weights ``(people, joints)``: every fifth joint does not count."""
    n, k = torch.meshgrid(torch.arange(people), torch.arange(joints), indexing='ij')
    return ((n + k) % 5 != 0).float()


def _shapes(recipe: str) -> list[tuple[int, ...]]:
    """All shapes that a recipe writes out."""
    return [tuple(map(int, found.split(','))) for found in re.findall(r'\((\d+(?:, \d+)+)\)', recipe)]


def _number_after(words: str, recipe: str) -> str:
    return recipe.split(words, 1)[1].split()[0]
