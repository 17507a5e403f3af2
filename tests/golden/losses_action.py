"""The labels with which recognizers were trained for one step, as the records describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tests.golden.fill import make_input

KINDS = ('act', 'act3', 'gcn')
"""Records of recognizers: of frames, of clips, of skeletons."""


def batch_of(record: Mapping[str, Any]) -> dict[str, Tensor]:
    """The batch of a record: clips and their labels.

    Args:
        record: A line of the loss fixtures.
    """
    num, num_classes = record['input']['shape'][0], record['model']['cls_head']['num_classes']
    n, c = torch.arange(num), torch.arange(num_classes)
    is_multi_class = 'onehots' in record['targets'][0]
    label = ((5 * c + 3 * n[:, None]) % 7 == 0).float() if is_multi_class else ((7 * n + 3) % num_classes)[:, None]
    return {'img': make_input('input', record['input']['shape']), 'label': label}
