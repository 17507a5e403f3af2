import os.path as osp
from typing import List
import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from mmcv.cnn import ConvModule
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.model import BaseModule
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmengine.hooks import Hook
from mmengine.structures import PixelData
from mmseg.registry import MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS
from mmseg.datasets import BaseSegDataset
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.utils import ConfigType, OptConfigType, SampleList, OptMultiConfig, add_prefix
from mmseg.structures import SegDataSample
from mmseg.evaluation import IoUMetric


@MODELS.register_module()
class Net(BaseModule):
    def __init__(self, width=8, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.a = ConvModule(3, width, 3, padding=1, norm_cfg=dict(type='BN'))
        self.b = ConvModule(width, width * 2, 3, stride=2, padding=1, norm_cfg=dict(type='SyncBN', requires_grad=True))

    def forward(self, x):
        a = self.a(x)
        return a, self.b(a)


@MODELS.register_module()
class Head(BaseDecodeHead):
    def __init__(self, extra=1, **kwargs):
        super().__init__(**kwargs)
        self.conv = ConvModule(self.in_channels, self.channels, 1, norm_cfg=self.norm_cfg)
        self.extra = extra

    def forward(self, inputs):
        x = self._transform_inputs(inputs)
        return self.cls_seg(self.conv(x))

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> dict:
        assert isinstance(batch_data_samples[0].gt_sem_seg.data, Tensor)
        loss = super().loss_by_feat(seg_logits, batch_data_samples)
        loss['loss_extra'] = 0.01 * seg_logits.pow(2).mean()
        return loss


@MODELS.register_module()
class Seg(EncoderDecoder):
    def __init__(self, backbone: ConfigType, decode_head: ConfigType, neck: OptConfigType = None, auxiliary_head: OptConfigType = None, train_cfg: OptConfigType = None, test_cfg: OptConfigType = None, data_preprocessor: OptConfigType = None, pretrained=None, init_cfg: OptMultiConfig = None):
        super().__init__(backbone=backbone, decode_head=decode_head, neck=neck, auxiliary_head=auxiliary_head, train_cfg=train_cfg, test_cfg=test_cfg, data_preprocessor=data_preprocessor, pretrained=pretrained, init_cfg=init_cfg)
        assert self.test_cfg.mode == 'whole'

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        x = self.extract_feat(inputs)
        losses = dict()
        loss_decode = self.decode_head.loss(x, data_samples, self.train_cfg)
        losses.update(add_prefix(loss_decode, 'decode'))
        return losses


@DATASETS.register_module()
class CellSet(BaseSegDataset):
    METAINFO = dict(classes=('background', 'cytoplasm', 'nucleus'), palette=[[0, 0, 0], [0, 160, 80], [220, 60, 60]])

    def __init__(self, img_suffix='.png', seg_map_suffix='.png', reduce_zero_label=False, **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label, **kwargs)


@TRANSFORMS.register_module()
class Shade(BaseTransform):
    def __init__(self, low=0.8, high=1.2):
        self.low, self.high = low, high

    @cache_randomness
    def _draw(self):
        return np.random.uniform(self.low, self.high)

    def transform(self, results: dict) -> dict:
        assert results['gt_seg_map'].shape == results['img'].shape[:2]
        assert 'gt_seg_map' in results['seg_fields']
        results['img'] = np.clip(results['img'] * self._draw(), 0, 255).astype(np.uint8)
        results['gt_seg_map'] = results['gt_seg_map'].copy()
        return results


@METRICS.register_module()
class PixAcc(BaseMetric):
    def __init__(self, ignore_index=255, collect_device='cpu', output_dir=None, prefix=None, **kwargs):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples) -> None:
        num_classes = len(self.dataset_meta['classes'])
        for data_sample in data_samples:
            pred_label = data_sample['pred_sem_seg']['data'].squeeze()
            label = data_sample['gt_sem_seg']['data'].squeeze().to(pred_label)
            mask = label != self.ignore_index
            self.results.append(((pred_label == label) & mask).sum().item() / mask.sum().item())

    def compute_metrics(self, results: list):
        logger = MMLogger.get_current_instance()
        print_log('pixels', logger)
        return dict(pix=float(np.mean(results)))
