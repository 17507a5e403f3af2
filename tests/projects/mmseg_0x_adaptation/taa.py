from copy import deepcopy
import numpy as np
import torch
import torch.nn as nn
from mmcv.parallel import MMDistributedDataParallel, DataContainer as DC
from mmcv.runner import HOOKS, Hook, IterBasedRunner, OptimizerHook, build_optimizer
from mmcv.utils import print_log, Registry, build_from_cfg
from mmseg.models import BaseSegmentor, build_segmentor, SEGMENTORS as S2
from mmseg.models.builder import SEGMENTORS
from mmseg.core import add_prefix
from mmseg.datasets.builder import PIPELINES, DATASETS
from mmseg.datasets import CustomDataset
from mmseg.datasets.pipelines.formatting import to_tensor


def get_module(module):
    if isinstance(module, MMDistributedDataParallel):
        return module.module
    return module


@SEGMENTORS.register_module()
class SelfTraining(BaseSegmentor):
    def __init__(self, **cfg):
        super(BaseSegmentor, self).__init__()
        self.model = build_segmentor(deepcopy(cfg['model']))
        self.train_cfg = cfg['model']['train_cfg']
        self.test_cfg = cfg['model']['test_cfg']
        self.num_classes = cfg['model']['decode_head']['num_classes']
        self.local_iter = 0
        self.ema_model = build_segmentor(deepcopy(cfg['model']))
        for p in self.ema_model.parameters():
            p.requires_grad = False

    def get_model(self):
        return get_module(self.model)

    def extract_feat(self, img):
        return self.get_model().extract_feat(img)

    def encode_decode(self, img, img_metas):
        return self.get_model().encode_decode(img, img_metas)

    def forward_train(self, img, img_metas, gt_semantic_seg):
        log_vars = {}
        for e, m in zip(self.ema_model.parameters(), self.model.parameters()):
            e.data.mul_(0.9).add_(m.data, alpha=0.1)
        clean_losses = self.get_model().forward_train(img, img_metas, gt_semantic_seg)
        clean_loss, clean_log_vars = self._parse_losses(clean_losses)
        log_vars.update(clean_log_vars)
        clean_loss.backward()
        with torch.no_grad():
            ema_logits = self.ema_model.encode_decode(img, img_metas)
        prob, pseudo = torch.max(torch.softmax(ema_logits.detach(), dim=1), dim=1)
        mix_losses = self.get_model().forward_train(img, img_metas, pseudo.unsqueeze(1))
        mix_losses = add_prefix(mix_losses, 'mix')
        mix_loss, mix_log_vars = self._parse_losses(mix_losses)
        log_vars.update(mix_log_vars)
        mix_loss.backward()
        self.local_iter += 1
        return log_vars

    def train_step(self, data_batch, optimizer, **kwargs):
        optimizer.zero_grad()
        log_vars = self(**data_batch)
        optimizer.step()
        log_vars.pop('loss', None)
        outputs = dict(log_vars=log_vars, num_samples=len(data_batch['img_metas']))
        return outputs

    def inference(self, img, img_meta, rescale):
        return self.get_model().inference(img, img_meta, rescale)

    def simple_test(self, img, img_meta, rescale=True):
        return self.get_model().simple_test(img, img_meta, rescale)

    def aug_test(self, imgs, img_metas, rescale=True):
        return self.get_model().aug_test(imgs, img_metas, rescale)


@PIPELINES.register_module(force=True)
class MyFormat(object):
    def __call__(self, results):
        img = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        results['img'] = DC(to_tensor(img), stack=True)
        results['gt_semantic_seg'] = DC(to_tensor(results['gt_semantic_seg'][None, ...].astype(np.int64)), stack=True)
        return results
