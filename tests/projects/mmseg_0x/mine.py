import os.path as osp
import numpy as np
import torch
from mmcv.runner import HOOKS, Hook, BaseModule
from mmseg.datasets.builder import DATASETS, PIPELINES
from mmseg.datasets.custom import CustomDataset
from mmseg.models.builder import SEGMENTORS, build_head, build_backbone
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models import builder
from mmseg.core import add_prefix
from mmseg.ops import resize


@PIPELINES.register_module()
class Brighten(object):
    def __init__(self, amount=10):
        self.amount = amount

    def __call__(self, results):
        img = results['img'].astype(np.float32) + np.random.uniform(-self.amount, self.amount)
        results['img'] = np.clip(img, 0, 255).astype(np.uint8)
        for key in results.get('seg_fields', []):
            assert results[key].ndim == 2
        return results


@DATASETS.register_module()
class Cells(CustomDataset):
    CLASSES = ('background', 'cytoplasm', 'nucleus')
    PALETTE = [[0, 0, 0], [0, 160, 80], [220, 60, 60]]

    def __init__(self, **kwargs):
        super(Cells, self).__init__(img_suffix='.png', seg_map_suffix='.png', reduce_zero_label=False, **kwargs)
        assert osp.exists(self.img_dir)
        self.count = len(self.img_infos)


@HOOKS.register_module()
class MyHook(Hook):
    def __init__(self, a, b):
        self.a = a

    def before_run(self, runner):
        runner.logger.info(f'MyHook says {self.a} {runner.max_iters}')

    def after_train_iter(self, runner):
        if self.every_n_iters(runner, 2):
            runner.logger.info('loss is %.3f' % runner.outputs['loss'].item())


@SEGMENTORS.register_module()
class MySegmentor(BaseSegmentor):
    def __init__(self, backbone, decode_head, neck=None, auxiliary_head=None, train_cfg=None, test_cfg=None, pretrained=None, init_cfg=None):
        super(MySegmentor, self).__init__(init_cfg)
        self.backbone = builder.build_backbone(backbone)
        self.decode_head = builder.build_head(decode_head)
        self.align_corners = self.decode_head.align_corners
        self.num_classes = self.decode_head.num_classes
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg
        assert self.with_decode_head

    def extract_feat(self, img):
        return self.backbone(img)

    def encode_decode(self, img, img_metas):
        x = self.extract_feat(img)
        out = self.decode_head.forward_test(x, img_metas, self.test_cfg)
        return resize(input=out, size=img.shape[2:], mode='bilinear', align_corners=self.align_corners)

    def forward_train(self, img, img_metas, gt_semantic_seg):
        x = self.extract_feat(img)
        losses = dict()
        loss_decode = self.decode_head.forward_train(x, img_metas, gt_semantic_seg, self.train_cfg)
        losses.update(add_prefix(loss_decode, 'decode'))
        return losses

    def inference(self, img, img_meta, rescale):
        assert self.test_cfg.mode in ['slide', 'whole']
        ori_shape = img_meta[0]['ori_shape']
        seg_logit = self.encode_decode(img, img_meta)
        return seg_logit.softmax(1)

    def simple_test(self, img, img_meta, rescale=True):
        seg_pred = self.inference(img, img_meta, rescale).argmax(dim=1)
        return list(seg_pred.cpu().numpy())

    def aug_test(self, imgs, img_metas, rescale=True):
        raise NotImplementedError

    def train_step(self, data_batch, optimizer, **kwargs):
        losses = self(**data_batch)
        loss, log_vars = self._parse_losses(losses)
        return dict(loss=loss, log_vars=log_vars, num_samples=len(data_batch['img_metas']))
