"""The side of mmpose 1.x in ``pose.py``, which starts it; cases as in ``pose_ours.py``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from alternate import Case, serve
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import DATASETS, KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules

FOLDER = Path(sys.argv[1])
NODES = json.loads((FOLDER / 'nodes.json').read_text())
INPUT_SIZE = tuple(NODES['codecs']['msra']['input_size'])


def loader(chance: float, shuffle: bool) -> Any:
    """Samples by batches; ``chance`` is multiplied with every probability."""
    steps = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=1.25),
        dict(type='RandomFlip', prob=0.5 * chance, direction='horizontal'),
        dict(type='RandomHalfBody', prob=0.3 * chance),
        dict(type='RandomBBoxTransform', shift_prob=0.3 * chance, scale_prob=chance, rotate_prob=0.6 * chance),
        dict(type='TopdownAffine', input_size=INPUT_SIZE),
        dict(type='GenerateTarget', encoder=NODES['codecs']['msra']),
        dict(type='PackPoseInputs'),
    ]
    node = dict(type='CocoDataset', ann_file=str(FOLDER / 'people.json'), data_prefix=dict(img=str(FOLDER)))
    dataset = DATASETS.build({**node, 'pipeline': steps})
    return torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=shuffle, collate_fn=pseudo_collate)


def pipeline() -> Case:
    """An epoch; gives the number of people, and the mean of each without draws: image, heat maps and weights."""
    prepare = PoseDataPreprocessor([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], bgr_to_rgb=True)
    means = []
    for raw in loader(0.0, shuffle=False):
        batch = prepare(raw, True)
        samples = batch['data_samples']
        targets = [sample.gt_fields.heatmaps for sample in samples]
        weights = [sample.gt_instance_labels.keypoint_weights for sample in samples]
        for tensors in (batch['inputs'], targets, weights):
            means += [float(each.abs().mean()) for each in tensors]
    batches = loader(1.0, shuffle=True)

    def epoch(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        np.random.seed(repeat)
        torch.manual_seed(repeat)
        return [sum(len(prepare(batch, True)['inputs']) for batch in batches), *means]

    return epoch


def decode(name: str) -> Case:
    """All people, five times; gives coordinates and scores."""
    codec = KEYPOINT_CODECS.build(NODES['codecs'][name])
    arrays = np.load(FOLDER / 'outputs.npz')
    people = list(zip(*(arrays[key] for key in (('x', 'y') if name == 'simcc' else ('maps',)))))  # noqa: B905

    def run(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        for _ in range(5):
            found = [codec.decode(*outputs) for outputs in people]
        return np.concatenate([np.ravel(part) for parts in zip(*found) for part in parts]).tolist()  # noqa: B905

    return run


def predict(num_threads: int) -> Case:
    """A batch; gives coordinates and scores."""
    node = ConfigDict(NODES['net'])
    node.head.decoder = NODES['codecs']['msra']
    model = MODELS.build(node)
    model.load_state_dict(torch.load(FOLDER / 'net.pth'))
    model.eval()
    crops = torch.load(FOLDER / 'crops.pth')
    shared = dict(input_size=INPUT_SIZE, flip_indices=parse_pose_metainfo(CocoDataset.METAINFO)['flip_indices'])
    samples = []
    for center, size in zip(crops['center'].numpy(), crops['size'].numpy()):  # noqa: B905
        box = np.concatenate([center - size / 2, center + size / 2])
        person = InstanceData(bboxes=box[None], bbox_scores=np.ones(1, np.float32))
        metainfo = dict(input_center=center, input_scale=size, **shared)
        samples.append(PoseDataSample(gt_instances=person, metainfo=metainfo))

    @torch.no_grad()
    def run(repeat: int) -> list[float]:
        torch.set_num_threads(num_threads)
        found = [sample.pred_instances for sample in model.predict(crops['img'], samples)]
        return np.concatenate([each.ravel() for f in found for each in (f.keypoints, f.keypoint_scores)]).tolist()

    return run


if __name__ == '__main__':
    cv2.setNumThreads(0)
    register_all_modules()
    logging.disable(logging.INFO)
    serve({'pipeline': pipeline, 'decode': decode, 'predict': predict})
