"""The side of mmaction2 1.x in ``localization.py``, which starts it; cases as in ``localization_ours.py``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from alternate import Case, serve
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules

FOLDER = Path(sys.argv[1])
INPUTS = np.load(FOLDER / 'inputs.npz')
META = dict(video_name='v_a', duration_second=100.0, duration_frame=1600, feature_frame=1600)


def network() -> Any:
    """BMN with the weights both sides have."""
    model = MODELS.build(json.loads((FOLDER / 'net.json').read_text()))
    model.load_state_dict(torch.load(FOLDER / 'net.pth'))
    return model


def maps(num_threads: int) -> Case:
    """Gives the scores of begins and ends, and of each 50th segment."""
    model, features = network().eval(), torch.from_numpy(INPUTS['features'])

    @torch.no_grad()
    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        confidence, start, end = model._forward(features)
        return torch.cat([confidence.flatten()[::50], start.flatten(), end.flatten()]).tolist()

    return run


def train(num_threads: int) -> Case:
    """Gives the loss and the norm of the gradients of each layer."""
    model, features = network(), torch.from_numpy(INPUTS['features'])
    segments = map(torch.from_numpy, INPUTS['segments'][:2])
    samples = [SimpleNamespace(gt_instances={'gt_bbox': each}) for each in segments]

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        torch.manual_seed(0)
        model.zero_grad()
        loss = model.loss(features, samples)['loss']
        loss.backward()
        return [loss.item(), *(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)]

    return run


def labels() -> Case:
    """Gives the targets, of each 50th segment."""
    model, segments = network(), [torch.from_numpy(each) for each in INPUTS['segments']]

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        iou, start, end = model.generate_labels(segments)
        inside = iou * model.bm_mask
        return torch.cat([inside.flatten()[::50], start.flatten(), end.flatten()]).tolist()

    return run


def results() -> Case:
    """Gives begins, ends and scores."""
    model = network()
    confidence, boundaries = torch.from_numpy(INPUTS['confidence']), torch.from_numpy(INPUTS['boundaries'])
    model._forward = lambda x: (confidence[None], boundaries[:1], boundaries[1:])

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        found = model.predict(None, [SimpleNamespace(metainfo=META)])[0]['proposal_list']
        segments = [at for each in found for at in each['segment']]
        return [*segments, *(float(each['score']) for each in found)]

    return run


if __name__ == '__main__':
    register_all_modules()
    logging.disable(logging.INFO)
    serve({'maps': maps, 'train': train, 'labels': labels, 'results': results})
