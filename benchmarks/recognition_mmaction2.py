"""The side of mmaction2 1.x in ``recognition.py``, which starts it; cases as in ``recognition_ours.py``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from alternate import Case, serve
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import register_all_modules

FOLDER = Path(sys.argv[1])


def step(name: str, num_threads: int) -> Case:
    """Gives the loss and the norm of the gradients of each layer."""
    model = MODELS.build(json.loads((FOLDER / f'{name}.json').read_text()))
    model.load_state_dict(torch.load(FOLDER / f'{name}.pth'))
    model.train()
    inputs = np.load(FOLDER / f'{name}.npz')
    clips = torch.from_numpy(inputs['clips'])
    samples = [ActionDataSample().set_gt_label(int(label)) for label in inputs['labels']]

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        model.zero_grad()
        loss = model.loss(clips, samples)['loss_cls']
        loss.backward()
        return [loss.item(), *(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)]

    return run


if __name__ == '__main__':
    register_all_modules()
    logging.disable(logging.INFO)
    serve({'step': step})
