"""The loss modules of pose estimation: what goes into them, as the records describe it, and the comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tests.golden.fill import make_input
from tests.golden.outcome import Outcome

TOLERANCE = 1e-5
MAPS = (2, 17, 12, 8)
BOXES = (6, 2)

NEWER: dict[str, dict[str, Any]] = {'BCELoss': {'use_sigmoid': False}}
"""Loss of the newer generation -> defaults it has there, as the older one is the rule."""


def with_newer_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a loss of the newer generation as ours."""
    return {**NEWER.get(str(config['type']), {}), **config}


def compare(record: Mapping[str, Any], loss: nn.Module) -> Outcome:
    """Compare what a loss gives for the inputs of a record, and its gradients."""
    predictions, arguments = _inputs(record)
    values = loss(*arguments)
    values = values if isinstance(values, tuple) else (values,)
    total = torch.stack([value.sum() for value in values]).sum()
    total.backward()
    wrong = [_relative(total.item(), record['sum'])]
    kept_gradients = zip(predictions, record['grad_norm'], record['grad_first8'], strict=True)
    wrong += [_gradient_deviation(each.grad, norm, first) for each, norm, first in kept_gradients]
    same_shapes = [list(value.shape) for value in values] == record['output_shapes']
    equal = same_shapes and max(wrong) <= TOLERANCE
    return Outcome(built=True, keys_equal=True, equal=equal, max_rel=max(wrong) if same_shapes else math.inf)


def _gradient_deviation(gradient: Tensor | None, norm: float | str, first8: list[Any]) -> float:
    """Relative to the length of the gradient. Where the old one was not a number, ours has to be finite."""
    assert gradient is not None
    if norm == 'nan':
        return 0.0 if gradient.isfinite().all() else math.inf
    kept = torch.tensor(first8, dtype=torch.float64)
    first = gradient.double().reshape(-1)[:8]
    return max(_relative(gradient.double().norm().item(), float(norm)), (first - kept).abs().max().item() / float(norm))


def _relative(value: float, kept: float) -> float:
    return abs(value - kept) / max(abs(kept), 1e-12)


# ---------------------------------------------------------------------- inputs


def _inputs(record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    """The tensors that have gradients, and the arguments."""
    kind, is_newer = record['loss']['type'], record['gen'] == 1
    if kind in OTHERS:
        return OTHERS[kind](is_newer, record)
    shape = (2, 17, 3) if kind in ('BoneLoss', 'MPJPELoss') else (2, 17, 2)
    output, target = make_input('output', shape).requires_grad_(), make_input('target', shape)
    weights: list[Tensor] = [] if kind == 'BoneLoss' else [_pattern(17)[..., None].expand(shape)]
    return [output], [output, target, *weights]


def _of_maps(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    shape = (2, 51, 12, 8) if record['loss']['type'] == 'CombinedTargetMSELoss' else MAPS
    output, target = make_input('output', shape).requires_grad_(), _unit('target', shape)
    return [output], [output, target, _pattern(17) if is_newer else _pattern(17)[..., None]]


def _of_focal(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    output = make_input('output', MAPS).sigmoid().clamp(1e-4, 1 - 1e-4).requires_grad_()
    weights = [] if is_newer else [_pattern(17)[..., None, None].expand(MAPS)]
    return [output], [output, _unit('target', MAPS), *weights]


def _of_answers(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    shape = (4, 17) if is_newer else (2, 2)
    output = make_input('output', shape).sigmoid().requires_grad_()  # where logits are asked for, too
    weights = [_pattern(17, 4)] if is_newer else [torch.ones(shape)]
    return [output], [output, (make_input('target', shape) > 0).float(), *weights]


def _of_vectors(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    outputs = [make_input(f'output.{axis}', (2, 17, bins)).requires_grad_() for axis, bins in (('x', 48), ('y', 64))]
    targets = [make_input(f'target.{axis}', (2, 17, bins)).softmax(-1) for axis, bins in (('x', 48), ('y', 64))]
    return outputs, [outputs, targets, _pattern(17)]


def _of_probabilities(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    shapes = {'x': (6, 17, 24), 'y': (6, 17, 32)}
    outputs = [make_input(f'output.{axis}', s).softmax(-1).requires_grad_() for axis, s in shapes.items()]
    targets = [make_input(f'target.{axis}', s).softmax(-1) for axis, s in shapes.items()]
    return outputs, [outputs, targets, _pattern(17, 6)]


def _of_distributions(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    output = make_input('output', MAPS).flatten(2).softmax(-1).view(MAPS).requires_grad_()
    target = (3 * _unit('target', MAPS)).flatten(2).softmax(-1).view(MAPS)
    return [output], [output, target, _pattern(17)]


def _of_boxes(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    output = _boxes('output').requires_grad_()
    return [output], [output, _boxes('target')]


def _boxes(name: str) -> Tensor:
    center, half = 3 * make_input(f'{name}.c', BOXES) + 40, 4 * make_input(f'{name}.s', BOXES).abs() + 12
    return torch.cat([center - half, center + half], 1)


def _of_features(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    output = make_input('output', (6, 32)).requires_grad_()
    return [output], [output]


def _of_tags(is_newer: bool, record: Mapping[str, Any]) -> tuple[list[Tensor], list[Any]]:
    tags = make_input('output', (2, 5, 12, 8)).requires_grad_()
    n, p, k = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(5), indexing='ij')
    place, there = (31 * n + 37 * p + 11 * k) % 96, ((n + p + k) % 4 != 0).long()
    return [tags], [tags, torch.stack([place * there, there], -1)]


def _pattern(joints: int, people: int = 2) -> Tensor:
    n, k = torch.meshgrid(torch.arange(people), torch.arange(joints), indexing='ij')
    return ((n + k) % 5 != 0).float()


def _unit(name: str, shape: tuple[int, ...]) -> Tensor:
    return make_input(name, shape).abs().clamp(max=1)


OTHERS = {
    'AdaptiveWingLoss': _of_maps,
    'AssociativeEmbeddingLoss': _of_tags,
    'BCELoss': _of_answers,
    'CombinedTargetMSELoss': _of_maps,
    'FocalHeatmapLoss': _of_focal,
    'InfoNCELoss': _of_features,
    'IoULoss': _of_boxes,
    'JSDiscretLoss': _of_distributions,
    'JointsMSELoss': _of_maps,
    'JointsOHKMMSELoss': _of_maps,
    'KLDiscretLoss': _of_vectors,
    'KeypointMSELoss': _of_maps,
    'KeypointOHKMMSELoss': _of_maps,
    'MLECCLoss': _of_probabilities,
}
"""Loss -> its inputs, where they are not coordinates."""
