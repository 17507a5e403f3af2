"""Action recognition, compared with mmaction2 1.x: a training step of TSM and of SlowOnly.

Both toolboxes get the same clips, labels and weights, and what they answer is compared (``same_answer``). Each runs in
a process of its own, and they take turns. A step is the loss and the gradients; loading and optimizing are not in it.

    python benchmarks/recognition.py --reference-python OLD/bin/python [--out benchmarks/results/recognition.json]
    python benchmarks/recognition.py --cases tsm      # only those with this in their names; ours alone

- tsm: ResNet-50 with shifts, four clips of 8 frames of 112 x 112.
- slowonly: SlowOnly 4 x 16 with ResNet-50, four clips of 4 frames of 112 x 112.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alternate import Request
from compare import compare

REPEATS = {'step': 5}
"""By kind of case."""
NETS: dict[str, Any] = {
    'tsm': dict(
        type='Recognizer2D',
        backbone=dict(type='ResNetTSM', depth=50, num_segments=8, shift_div=8, norm_eval=False),
        cls_head=dict(type='TSMHead', num_classes=400, in_channels=2048, num_segments=8, dropout_ratio=0.0),
    ),
    'slowonly': dict(
        type='Recognizer3D',
        backbone=dict(
            type='ResNet3dSlowOnly', depth=50, lateral=False, conv1_kernel=(1, 7, 7), conv1_stride_t=1,
            pool1_stride_t=1, inflate=(0, 0, 1, 1), norm_eval=False,
        ),
        cls_head=dict(type='I3DHead', num_classes=400, in_channels=2048, dropout_ratio=0.0),
    ),
}  # fmt: skip
SHAPES = {'tsm': (4, 8, 3, 112, 112), 'slowonly': (4, 1, 3, 4, 112, 112)}

CASES: dict[str, Request] = {
    f'{name}, {threads} thread{"s" * (threads > 1)}': ('step', name, threads) for name in NETS for threads in (1, 2)
}


def write_inputs(folder: Path) -> None:
    """What both sides read: networks, their weights, clips and labels."""
    from intarsia.api.models import build_model

    rng = np.random.default_rng(0)
    for name, net in NETS.items():
        (folder / f'{name}.json').write_text(json.dumps(net))
        torch.manual_seed(0)
        torch.save(build_model(net).state_dict(), folder / f'{name}.pth')
        np.savez(
            folder / f'{name}.npz',
            clips=rng.normal(size=SHAPES[name]).astype(np.float32),
            labels=rng.integers(0, 400, SHAPES[name][0]),
        )


if __name__ == '__main__':
    packages = ('torch', 'numpy', 'mmcv-lite', 'mmaction2')
    compare(__doc__ or '', 'recognition', 'mmaction2', packages, write_inputs, CASES, REPEATS)
