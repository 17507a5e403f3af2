import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import mmcv
from mmcv.cnn import build_norm_layer, build_activation_layer, xavier_init
from mmcv.runner import BaseModule, HOOKS, Hook, OptimizerHook, force_fp32
from mmcls.models.builder import BACKBONES, NECKS, HEADS, LOSSES, CLASSIFIERS, build_head, build_backbone, build_neck, build_loss
from mmcls.models.heads import ClsHead
from mmcls.models.classifiers import BaseClassifier, ImageClassifier
from mmcls.datasets.builder import DATASETS, PIPELINES
from mmcls.datasets import BaseDataset


@BACKBONES.register_module()
class Tiny(BaseModule):
    def __init__(self, width=8, norm_cfg=dict(type='BN'), init_cfg=[dict(type='Kaiming', layer='Conv2d')]):
        super(Tiny, self).__init__(init_cfg)
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, width, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.act = build_activation_layer(dict(type='ReLU'))

    @property
    def norm1(self):
        return getattr(self, self.norm1_name)

    def forward(self, x):
        return (self.act(self.norm1(self.conv1(x))),)


@NECKS.register_module(name='MyPool')
class Pool(nn.Module):
    def forward(self, inputs):
        return tuple(x.mean((2, 3)) for x in inputs)


@HEADS.register_module()
class OldHead(ClsHead):
    def __init__(self, num_classes, in_channels, init_cfg=dict(type='Normal', layer='Linear', std=0.01), *args, **kwargs):
        super(OldHead, self).__init__(init_cfg=init_cfg, *args, **kwargs)
        self.num_classes = num_classes
        self.fc = nn.Linear(in_channels, num_classes)

    def pre_logits(self, x):
        if isinstance(x, tuple):
            x = x[-1]
        return x

    def simple_test(self, x, softmax=True, post_process=True):
        x = self.pre_logits(x)
        cls_score = self.fc(x)
        pred = F.softmax(cls_score, dim=1) if softmax else cls_score
        return self.post_process(pred) if post_process else pred

    def forward_train(self, x, gt_label, **kwargs):
        x = self.pre_logits(x)
        cls_score = self.fc(x)
        losses = self.loss(cls_score, gt_label, **kwargs)
        return losses

    def loss(self, cls_score, gt_label, **kwargs):
        num_samples = len(cls_score)
        losses = dict()
        loss = self.compute_loss(cls_score, gt_label, avg_factor=num_samples, **kwargs)
        if self.cal_acc:
            acc = self.compute_accuracy(cls_score, gt_label)
            assert len(acc) == len(self.topk)
            losses['accuracy'] = {f'top-{k}': a for k, a in zip(self.topk, acc)}
        losses['loss'] = loss
        return losses


@LOSSES.register_module(force=True)
class CrossEntropyLoss(nn.Module):
    def __init__(self, loss_weight=1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, cls_score, label, weight=None, avg_factor=None, reduction_override=None, **kwargs):
        return self.loss_weight * F.cross_entropy(cls_score, label)


@CLASSIFIERS.register_module()
class OwnClassifier(BaseClassifier):
    def __init__(self, backbone, neck=None, head=None, pretrained=None, train_cfg=None, init_cfg=None):
        super(OwnClassifier, self).__init__(init_cfg)
        self.backbone = build_backbone(backbone)
        if neck is not None:
            self.neck = build_neck(neck)
        if head is not None:
            self.head = build_head(head)

    def extract_feat(self, img):
        x = self.backbone(img)
        if self.with_neck:
            x = self.neck(x)
        return x

    def forward_train(self, img, gt_label, **kwargs):
        x = self.extract_feat(img)
        losses = dict()
        loss = self.head.forward_train(x, gt_label)
        losses.update(loss)
        return losses

    def simple_test(self, img, img_metas=None, **kwargs):
        x = self.extract_feat(img)
        return self.head.simple_test(x, **kwargs)


@DATASETS.register_module()
class Rows(BaseDataset):
    CLASSES = ['a', 'b', 'c']

    def load_annotations(self):
        rng = np.random.RandomState(1)
        data_infos = []
        for i in range(18):
            info = {'img_prefix': self.data_prefix, 'img_info': {'filename': f'{i}.png'}}
            info['gt_label'] = np.array(i % 3, dtype=np.int64)
            info['img'] = (rng.rand(16, 16, 3) * 60 + (i % 3) * 80).astype(np.uint8)
            data_infos.append(info)
        return data_infos

    def evaluate(self, results, metric='accuracy', metric_options=None, indices=None, logger=None):
        results = np.vstack(results)
        assert len(results) == len(self.data_infos) == 18
        gt = self.get_gt_labels()
        base = super().evaluate(list(results), metric='accuracy', metric_options=dict(topk=(1,)))
        return dict(own_acc=float((results.argmax(1) == gt).mean()), **base)


@PIPELINES.register_module()
class Gray(object):
    def __call__(self, results):
        for key in results.get('img_fields', ['img']):
            img = mmcv.rgb2gray(results[key], keepdim=True)
            results[key] = np.repeat(img, 3, axis=2)
        results['img'] = mmcv.imresize(results['img'], (16, 16))
        return results


@HOOKS.register_module()
class DistOptHook(OptimizerHook):
    def __init__(self, update_interval=1, grad_clip=None, coalesce=True, bucket_size_mb=-1, use_fp16=False):
        super().__init__(grad_clip=grad_clip)
        self.update_interval = update_interval

    def before_run(self, runner):
        runner.optimizer.zero_grad()

    def after_train_iter(self, runner):
        runner.outputs['loss'] /= self.update_interval
        runner.outputs['loss'].backward()
        if self.every_n_iters(runner, self.update_interval):
            if self.grad_clip is not None:
                self.clip_grads(runner.model.parameters())
            runner.optimizer.step()
            runner.optimizer.zero_grad()
