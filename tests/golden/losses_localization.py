"""The losses of temporal localization: targets as the records describe them, and what ours gives for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tests.golden.fill import make_input

KINDS = ('bmn', 'tem', 'pem')
"""Of records of whole models."""


def losses_of(record: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Losses of a model of the record."""
    inputs = make_input('input', record['input']['shape'])
    if record['kind'] == 'pem':
        return model.loss(inputs, {'reference_temporal_iou': unit('target', inputs.shape[:2])})
    num, _, scale = inputs.shape
    first = {'bmn': ('conf', (num, scale, scale)), 'tem': ('action', (num, scale))}[record['kind']]
    labels = [unit(f'target.{name}', shape) for name, shape in (first, ('start', (num, scale)), ('end', (num, scale)))]
    return model.loss_of(model(inputs), labels)


def module_inputs(record: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Scores with gradients, and labels, of a record of the logistic loss."""
    return make_input('output', (4, 10)).sigmoid().requires_grad_(), unit('target', (4, 10))


def unit(name: str, shape: Sequence[int] | torch.Size) -> Tensor:
    """Filled by its name, 0 ... 1."""
    return make_input(name, tuple(shape)).abs().clamp(max=1)
