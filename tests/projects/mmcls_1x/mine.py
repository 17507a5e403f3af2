import os.path as osp
import numpy as np
import torch
from typing import List, Optional, Sequence
from mmengine.hooks import Hook
from mmengine.evaluator import BaseMetric
from mmengine.registry import HOOKS
from mmpretrain.registry import DATASETS, METRICS, TRANSFORMS
from mmpretrain.datasets import BaseDataset
from mmcv.transforms import BaseTransform
from mmengine.model import BaseModule


@DATASETS.register_module()
class Blobs(BaseDataset):
    METAINFO = {'classes': ('low', 'high', 'mixed')}

    def load_data_list(self):
        rng = np.random.RandomState(0)
        out = []
        for i in range(24 if not self.test_mode else 12):
            label = i % 3
            img = (rng.rand(16, 16, 3) * 60 + label * 80).astype(np.uint8)
            out.append(dict(img=img, gt_label=label, img_id=i))
        assert self.ann_file.endswith('root/list.txt'), self.ann_file
        return out

    def get_data_info(self, idx):
        info = super().get_data_info(idx)
        info['extra'] = 1
        return info


@TRANSFORMS.register_module()
class AddNoise(BaseTransform):
    def __init__(self, sigma=1.0):
        self.sigma = sigma

    def transform(self, results):
        assert results['extra'] == 1 and 'gt_label' in results
        results['img'] = np.clip(results['img'] + np.random.randn(*results['img'].shape) * self.sigma, 0, 255).astype(np.uint8)
        return results


@METRICS.register_module()
class PerClass(BaseMetric):
    default_prefix = 'mine'

    def __init__(self, collect_device='cpu', prefix=None, thr=0.5):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.thr = thr

    def process(self, data_batch, data_samples: Sequence[dict]):
        for s in data_samples:
            self.results.append(dict(pred=s['pred_label'].cpu(), gt=s['gt_label'].cpu(), score=s['pred_score'].cpu()))

    def compute_metrics(self, results):
        hit = np.mean([int(r['pred'][0] == r['gt'][0]) for r in results])
        assert len(self.dataset_meta['classes']) == 3
        return dict(hit=hit, n=len(results))


@HOOKS.register_module()
class Speak(Hook):
    priority = 'LOW'

    def before_run(self, runner):
        runner.logger.info(f'speaks {runner.max_epochs} {runner.work_dir}')

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        assert data_batch is not None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.every_n_train_iters(runner, 3):
            runner.logger.info(f'iter {batch_idx} outputs {sorted(outputs)}')

    def after_val_epoch(self, runner, metrics=None):
        runner.logger.info(f'metrics {metrics}')
