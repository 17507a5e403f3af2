"""The side of Intarsia in ``segmentation.py``, which starts it."""

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
from intarsia.core.registries import DATASETS, SAMPLERS
from intarsia.data.device import ToDevice, split_normalize
from intarsia.data.loader import Loader
from intarsia.tasks.segmentation.metrics.evaluator import SegmentationEvaluator
from intarsia.tasks.segmentation.results import SegmentationResult

FOLDER = Path(sys.argv[1])
CROP = (512, 1024)
PIPELINE: list[dict[str, Any]] = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', img_scale=(2048, 1024), ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=CROP, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
    dict(type='Pad', size=CROP, pad_val=0, seg_pad_val=255),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg']),
]


def load(name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """A network with its weights, and the tensors of the batch."""
    model = build_model(json.loads((FOLDER / 'nets.json').read_text())[name])
    model.load_state_dict(torch.load(FOLDER / f'{name}.pth'))
    return model, torch.load(FOLDER / 'batch.pth')


def train(name: str, num_threads: int) -> Case:
    """One step; gives the loss."""
    model, tensors = load(name)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    batch = {'img': tensors['img'], 'gt_semantic_seg': tensors['gt'], 'img_metas': [{}, {}]}

    def step(repeat: int) -> float:
        torch.set_num_threads(num_threads)
        outputs = model.train_step(batch)
        optimizer.zero_grad()
        outputs['loss'].backward()
        optimizer.step()
        return float(outputs['loss'])

    return step


def pipeline(suffix: str) -> Case:
    """Two epochs of batches; gives the number of images."""
    nodes, normalize = split_normalize(PIPELINE, 'segmentation')
    node = dict(type='CityscapesDataset', data_root=str(FOLDER), img_dir='img', ann_dir='ann', pipeline=nodes)
    dataset = DATASETS.of('segmentation').build({**node, 'img_suffix': f'.{suffix}', 'seg_map_suffix': '.png'})
    sampler = SAMPLERS.build(dict(type='RandomSampler'), dataset=dataset, seed=0)
    loader = Loader(dataset, sampler, batch_size=2, prepare=ToDevice('cpu', normalize))

    def epochs(repeat: int) -> int:
        torch.set_num_threads(1)
        count = 0
        for epoch in (2 * repeat, 2 * repeat + 1):
            loader.start(epoch)
            count += sum(len(batch['img']) for batch in loader)
        return count

    return epochs


def slide(name: str) -> Case:
    """One image to its mask; gives the pixels of each class."""
    model, tensors = load(name)
    model.eval()
    meta = dict(ori_shape=(512, 1024, 3), img_shape=(512, 1024, 3), flip=False)

    @torch.inference_mode()
    def predict(repeat: int) -> list[int]:
        torch.set_num_threads(1)
        (result,) = model.predict(tensors['image'], [meta])
        return np.bincount(result.mask.reshape(-1), minlength=19).tolist()

    return predict


def metric(num_classes: int) -> Case:
    """All masks; gives the mean IoU and accuracies in percent."""
    masks = np.load(FOLDER / f'masks_{num_classes}.npz')
    answered, true = masks['answered'], torch.from_numpy(masks['true'])[:, None]
    evaluator = SegmentationEvaluator(num_classes=num_classes)

    def evaluate(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        evaluator.reset()
        for i, mask in enumerate(answered):
            evaluator.update([SegmentationResult(mask)], {'gt_semantic_seg': true[i : i + 1]})
        values = evaluator.compute()
        return [round(100 * values[key], 2) for key in ('aAcc', 'mIoU', 'mAcc')]

    return evaluate


if __name__ == '__main__':
    cv2.setNumThreads(0)
    serve({'train': train, 'pipeline': pipeline, 'slide': slide, 'metric': metric})
