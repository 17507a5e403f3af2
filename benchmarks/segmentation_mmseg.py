"""The side of mmsegmentation 1.x in ``segmentation.py``, which starts it; cases as in ``segmentation_ours.py``."""

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
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

FOLDER = Path(sys.argv[1])
CROP = (512, 1024)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=CROP, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]


def load(name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """A network with its weights, and the tensors of the batch."""
    model = MODELS.build(ConfigDict(json.loads((FOLDER / 'nets.json').read_text())[name]))
    model.load_state_dict(torch.load(FOLDER / f'{name}.pth'))
    return model, torch.load(FOLDER / 'batch.pth')


def train(name: str, num_threads: int) -> Case:
    """One step; gives the loss."""
    model, tensors = load(name)
    model.train()
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4))
    metas = dict(img_shape=(128, 256), ori_shape=(128, 256), pad_shape=(128, 256))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=mask.long()), metainfo=dict(metas)) for mask in tensors['gt']]

    def step(repeat: int) -> float:
        torch.set_num_threads(num_threads)
        loss, _ = model.parse_losses(model.loss(tensors['img'], samples))
        optimizer.update_params(loss)
        return float(loss)

    return step


def pipeline(suffix: str) -> Case:
    """Two epochs of batches; gives the number of images."""
    node = dict(type='CityscapesDataset', data_root=str(FOLDER), img_suffix=f'.{suffix}', seg_map_suffix='.png')
    dataset = DATASETS.build({**node, 'data_prefix': dict(img_path='img', seg_map_path='ann'), 'pipeline': PIPELINE})
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, shuffle=True, collate_fn=pseudo_collate)
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    prepare = SegDataPreProcessor(mean, std, size=CROP, bgr_to_rgb=True, pad_val=0, seg_pad_val=255)

    def epochs(repeat: int) -> int:
        torch.set_num_threads(1)
        np.random.seed(repeat)
        torch.manual_seed(repeat)
        return sum(len(prepare(batch, True)['inputs']) for _ in range(2) for batch in loader)

    return epochs


def slide(name: str) -> Case:
    """One image to its mask; gives the pixels of each class."""
    model, tensors = load(name)
    model.eval()
    meta = dict(ori_shape=(512, 1024), img_shape=(512, 1024), pad_shape=(512, 1024), padding_size=[0] * 4)

    @torch.no_grad()
    def predict(repeat: int) -> list[int]:
        torch.set_num_threads(1)
        (sample,) = model.predict(tensors['image'], [SegDataSample(metainfo=dict(meta))])
        return np.bincount(sample.pred_sem_seg.data.numpy().reshape(-1), minlength=19).tolist()

    return predict


def metric(num_classes: int) -> Case:
    """All masks; gives the mean IoU and accuracies in percent."""
    masks = np.load(FOLDER / f'masks_{num_classes}.npz')
    answered, true = (torch.from_numpy(masks[key]).long()[:, None] for key in ('answered', 'true'))
    evaluator = IoUMetric()
    evaluator.dataset_meta = dict(classes=[str(i) for i in range(num_classes)])

    def evaluate(repeat: int) -> list[float]:
        torch.set_num_threads(1)
        evaluator.results.clear()
        for mask, target in zip(answered, true):  # noqa: B905
            evaluator.process({}, [dict(pred_sem_seg=dict(data=mask), gt_sem_seg=dict(data=target))])
        values = evaluator.compute_metrics(evaluator.results)
        return [float(values[key]) for key in ('aAcc', 'mIoU', 'mAcc')]

    return evaluate


if __name__ == '__main__':
    cv2.setNumThreads(0)
    register_all_modules()
    MMLogger.get_instance('benchmark', log_level='ERROR')
    logging.disable(logging.INFO)
    serve({'train': train, 'pipeline': pipeline, 'slide': slide, 'metric': metric})
