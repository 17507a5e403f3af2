"""The side of Intarsia in ``pose.py``, which starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from alternate import Case, serve

from intarsia.api.models import build_model
from intarsia.core.registries import CODECS, DATASETS, SAMPLERS
from intarsia.data.device import ToDevice
from intarsia.data.loader import Loader
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD

FOLDER = Path(sys.argv[1])
NODES = json.loads((FOLDER / 'nodes.json').read_text())
NEWER = dict(rules='1.x')
"""Decoding as in the newer toolbox, where it differs."""


def codec_node(name: str) -> dict[str, Any]:
    """The config of a codec."""
    node = NODES['codecs'][name]
    return node if name == 'simcc' else {**node, **NEWER}


def loader(chance: float, sampler: str) -> Loader:
    """Batches of people; ``chance`` is multiplied with every probability."""
    nodes: list[dict[str, Any]] = [
        dict(type='LoadImageFromFile'),
        dict(type='TopDownGetBboxCenterScale', padding=1.25),
        dict(type='TopDownRandomShiftBboxCenter', shift_factor=0.16, prob=0.3 * chance),
        dict(type='TopDownRandomFlip', flip_prob=0.5 * chance),
        dict(type='TopDownHalfBodyTransform', num_joints_half_body=8, prob_half_body=0.3 * chance),
        dict(type='TopDownGetRandomScaleRotation', rot_factor=40, scale_factor=0.5 * chance, rot_prob=0.6 * chance),
        dict(type='TopDownAffine'),
        dict(type='ToTensor'),
        dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        dict(type='GenerateTarget'),
        dict(type='Collect', keys=['img', 'target', 'target_weight']),
    ]
    node = dict(type='TopDownCocoDataset', ann_file=str(FOLDER / 'people.json'), img_prefix=str(FOLDER))
    dataset = DATASETS.of('pose').build({**node, 'pipeline': nodes, 'codec': codec_node('msra')})
    order = SAMPLERS.build(dict(type=sampler), dataset=dataset, seed=0)
    return Loader(dataset, order, batch_size=32, prepare=ToDevice('cpu'))


def pipeline() -> Case:
    """An epoch; gives the number of people, and the mean of each without draws: image, heat maps and weights."""
    means = []
    for batch in loader(0.0, 'SequentialSampler'):
        for key in ('img', 'target', 'target_weight'):
            means += batch[key].abs().flatten(1).mean(1).tolist()
    batches = loader(1.0, 'RandomSampler')

    def epoch(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        batches.start(repeat)
        return [sum(len(batch['img']) for batch in batches), *means]

    return epoch


def decode(name: str) -> Case:
    """All people, five times; gives coordinates and scores."""
    codec = CODECS.of('pose').build(codec_node(name))
    arrays = np.load(FOLDER / 'outputs.npz')
    x, y, maps = (torch.from_numpy(arrays[key]) for key in ('x', 'y', 'maps'))

    @torch.inference_mode()
    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        for _ in range(5):
            keypoints, scores = codec.decode((x, y) if name == 'simcc' else maps)
        return [*keypoints.flatten().tolist(), *scores.flatten().tolist()]

    return run


def predict(num_threads: int) -> Case:
    """A batch; gives coordinates and scores."""
    model = build_model({**NODES['net'], 'codec': codec_node('msra'), 'dataset_info': 'coco'})
    model.load_state_dict(torch.load(FOLDER / 'net.pth'))
    model.eval()
    crops = torch.load(FOLDER / 'crops.pth')
    boxes = zip(crops['center'].numpy(), crops['size'].numpy(), strict=True)
    metas = [dict(center=center, scale=size / PIXEL_STD) for center, size in boxes]

    @torch.inference_mode()
    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        results = model.predict(crops['img'], metas)
        return np.concatenate([each.ravel() for r in results for each in (r.keypoints, r.scores)]).tolist()

    return run


if __name__ == '__main__':
    cv2.setNumThreads(0)
    serve({'pipeline': pipeline, 'decode': decode, 'predict': predict})
