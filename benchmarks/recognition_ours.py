"""The side of Intarsia in ``recognition.py``, which starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from alternate import Case, serve

from intarsia.api.models import build_model

FOLDER = Path(sys.argv[1])


def step(name: str, num_threads: int) -> Case:
    """Gives the loss and the norm of the gradients of each layer."""
    model = build_model(json.loads((FOLDER / f'{name}.json').read_text()), init=False)
    model.load_state_dict(torch.load(FOLDER / f'{name}.pth'))
    model.train()
    inputs = np.load(FOLDER / f'{name}.npz')
    clips, labels = torch.from_numpy(inputs['clips']), torch.from_numpy(inputs['labels'])

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        model.zero_grad()
        loss = model.loss(clips, {'label': labels[:, None]})['loss_cls']
        loss.backward()
        return [loss.item(), *(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)]

    return run


if __name__ == '__main__':
    serve({'step': step})
