"""The side of Intarsia in ``localization.py``, which starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alternate import Case, serve

from intarsia.api.models import build_model
from intarsia.tasks.action.localizers.localizer import pad_segments

FOLDER = Path(sys.argv[1])
INPUTS = np.load(FOLDER / 'inputs.npz')
META = dict(video_name='v_a', duration_second=100.0, duration_frame=1600)


def network() -> Any:
    """BMN with the weights both sides have."""
    model = build_model({**json.loads((FOLDER / 'net.json').read_text()), 'keeps_bm_mask': True}, init=False)
    model.load_state_dict(torch.load(FOLDER / 'net.pth'))
    return model


def maps(num_threads: int) -> Case:
    """Gives the scores of begins and ends, and of each 50th segment."""
    model, features = network().eval(), torch.from_numpy(INPUTS['features'])

    @torch.no_grad()
    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        confidence, start, end = model(features)
        return torch.cat([confidence.flatten()[::50], start.flatten(), end.flatten()]).tolist()

    return run


def train(num_threads: int) -> Case:
    """Gives the loss and the norm of the gradients of each layer."""
    model, features = network(), torch.from_numpy(INPUTS['features'])
    segments = [torch.from_numpy(each) for each in INPUTS['segments'][:2]]

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        torch.manual_seed(0)
        model.zero_grad()
        loss = model.loss(features, {'gt_bbox': segments})['loss_bmn']
        loss.backward()
        return [loss.item(), *(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)]

    return run


def labels() -> Case:
    """Gives the targets, of each 50th segment."""
    model, segments = network(), [torch.from_numpy(each) for each in INPUTS['segments']]

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        iou, start, end = model.labels_of(pad_segments(segments, torch.zeros(1)))
        inside = iou * model.bm_mask  # elsewhere the old ones go on beyond the stream
        return torch.cat([inside.flatten()[::50], start.flatten(), end.flatten()]).tolist()

    return run


def results() -> Case:
    """Gives begins, ends and scores."""
    model = network()

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        found = model.result_of(META, INPUTS['confidence'], *INPUTS['boundaries'])
        return [*found.segments.ravel().tolist(), *found.scores.tolist()]

    return run


if __name__ == '__main__':
    serve({'maps': maps, 'train': train, 'labels': labels, 'results': results})
