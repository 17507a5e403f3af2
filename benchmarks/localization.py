"""Temporal localization, compared with mmaction2 1.x: the maps of BMN, its training, its labels, proposals to results.

Both toolboxes get the same features, weights and segments, and what they answer is compared (``same_answer``). Each
runs in a process of its own, and they take turns. Wall time says what a user waits for; the CPU time of the process is
the one to trust, for cases of one thread, on a machine that others use as well.

    python benchmarks/localization.py --reference-python OLD/bin/python [--out benchmarks/results/localization.json]
    python benchmarks/localization.py --cases maps      # only those with this in their names; ours alone

- maps: two streams of 100 positions with 400 features, as ActivityNet's, to the scores of all segments; no gradients.
- train: the same two streams with their segments to the loss, and back to the gradients.
- labels: the targets of 16 streams with three segments each; one thread.
- results: scores of one stream to its 100 proposals, Soft-NMS included; one thread.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alternate import Request
from compare import compare

REPEATS = {'maps': 5, 'train': 5, 'labels': 7, 'results': 9}
"""By kind of case."""
NET: dict[str, Any] = dict(
    type='BMN',
    temporal_dim=100,
    boundary_ratio=0.5,
    num_samples=32,
    num_samples_per_bin=3,
    feat_dim=400,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.5,
    soft_nms_high_threshold=0.9,
    post_process_top_k=100,
)
NUM_STREAMS, NUM_SEGMENTS = 16, 3

CASES: dict[str, Request] = {
    'maps, 1 thread': ('maps', 1),
    'maps, 2 threads': ('maps', 2),
    'train, 1 thread': ('train', 1),
    'train, 2 threads': ('train', 2),
    'labels': ('labels',),
    'results': ('results',),
}


def write_inputs(folder: Path) -> None:
    """What both sides read: a network, its weights, features, segments, and scores of a stream."""
    from intarsia.api.models import build_model

    (folder / 'net.json').write_text(json.dumps(NET))
    torch.manual_seed(0)
    torch.save(build_model({**NET, 'keeps_bm_mask': True}, init=False).state_dict(), folder / 'net.pth')
    rng = np.random.default_rng(0)
    scale = NET['temporal_dim']
    np.savez(
        folder / 'inputs.npz',
        features=rng.normal(size=(2, NET['feat_dim'], scale)).astype(np.float32),
        segments=np.sort(rng.random((NUM_STREAMS, NUM_SEGMENTS, 2)), axis=2),
        confidence=rng.random((2, scale, scale)).astype(np.float32),
        boundaries=rng.random((2, scale)).astype(np.float32),
    )


if __name__ == '__main__':
    packages = ('torch', 'numpy', 'mmcv-lite', 'mmaction2')
    compare(__doc__ or '', 'localization', 'mmaction2', packages, write_inputs, CASES, REPEATS)
