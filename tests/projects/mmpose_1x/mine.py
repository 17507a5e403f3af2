from typing import Optional, Sequence, Tuple, Union, Dict
import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from mmcv.cnn import build_conv_layer
from mmcv.transforms import BaseTransform
from mmengine.evaluator import BaseMetric
from mmengine.structures import InstanceData, PixelData
from mmengine.model import BaseModule
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.evaluation.functional import simcc_pck_accuracy
from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import DATASETS, KEYPOINT_CODECS, METRICS, MODELS, TRANSFORMS
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import ConfigType, Features, OptConfigType, OptSampleList, Predictions

OptIntSeq = Optional[Sequence[int]]


@MODELS.register_module()
class Conv(BaseModule):
    def __init__(self, width=8, init_cfg=None):
        super().__init__(init_cfg)
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU())

    def forward(self, x):
        return (self.layers(x),)


@KEYPOINT_CODECS.register_module()
class Blob(BaseKeypointCodec):
    auxiliary_encode_keys = set()

    def __init__(self, input_size, heatmap_size, sigma=2.0):
        super().__init__()
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.sigma = sigma
        self.scale_factor = (np.array(input_size) / heatmap_size).astype(np.float32)

    def encode(self, keypoints: np.ndarray, keypoints_visible: Optional[np.ndarray] = None) -> dict:
        assert keypoints.shape[0] == 1 and keypoints.ndim == 3
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], dtype=np.float32)
        W, H = self.heatmap_size
        xs, ys = np.arange(W), np.arange(H)[:, None]
        maps = [np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * self.sigma ** 2)) * v for (x, y), v in zip(keypoints[0] / self.scale_factor, keypoints_visible[0])]
        return dict(heatmaps=np.stack(maps).astype(np.float32), keypoint_weights=keypoints_visible.astype(np.float32))

    def decode(self, encoded: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        K, H, W = encoded.shape
        flat = encoded.reshape(K, -1)
        idx, scores = flat.argmax(1), flat.max(1)
        keypoints = np.stack([idx % W, idx // W], 1).astype(np.float32) * self.scale_factor
        return keypoints[None], scores[None]


@MODELS.register_module()
class MapHead(BaseHead):
    _version = 2

    def __init__(self, in_channels: Union[int, Sequence[int]], out_channels: int, loss: ConfigType = dict(type='KeypointMSELoss', use_target_weight=True), decoder: OptConfigType = None, init_cfg: OptConfigType = None):
        if init_cfg is None:
            init_cfg = self.default_init_cfg
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.loss_module = MODELS.build(loss)
        if decoder is not None:
            self.decoder = KEYPOINT_CODECS.build(decoder)
        else:
            self.decoder = None
        self.final = build_conv_layer(dict(type='Conv2d'), in_channels, out_channels, kernel_size=1)

    @property
    def default_init_cfg(self):
        return [dict(type='Normal', layer=['Conv2d'], std=0.001)]

    def forward(self, feats: Tuple[Tensor]) -> Tensor:
        return self.final(feats[-1])

    def loss(self, feats, batch_data_samples: OptSampleList, train_cfg: ConfigType = {}) -> dict:
        pred_fields = self.forward(feats)
        gt_heatmaps = torch.stack([d.gt_fields.heatmaps for d in batch_data_samples])
        keypoint_weights = torch.cat([d.gt_instance_labels.keypoint_weights for d in batch_data_samples])
        losses = dict()
        loss = self.loss_module(pred_fields, gt_heatmaps, keypoint_weights)
        losses.update(loss_kpt=loss)
        if train_cfg.get('compute_acc', True):
            losses.update(acc_pose=torch.tensor(0.5, device=gt_heatmaps.device))
        return losses

    def predict(self, feats: Features, batch_data_samples: OptSampleList, test_cfg: ConfigType = {}) -> Predictions:
        batch_heatmaps = self.forward(feats)
        preds = self.decode(batch_heatmaps)
        return preds


@TRANSFORMS.register_module()
class Jitter(BaseTransform):
    def __init__(self, amount=1.0):
        self.amount = amount

    def transform(self, results: Dict) -> Optional[dict]:
        kpts = results['keypoints']
        assert kpts.shape[0] == 1 and results['bbox_center'].shape == (1, 2)
        results['bbox_center'] = results['bbox_center'] + np.random.uniform(-self.amount, self.amount, (1, 2)).astype(np.float32)
        return results


@DATASETS.register_module()
class Figures(BaseCocoStyleDataset):
    METAINFO: dict = dict(from_file='configs/_base_/datasets/coco.py')


@METRICS.register_module()
class Dist(BaseMetric):
    default_prefix = 'own'

    def process(self, data_batch, data_samples):
        for s in data_samples:
            pred = s['pred_instances']['keypoints']
            gt = s['gt_instances']['keypoints']
            vis = s['gt_instances']['keypoints_visible'].astype(bool)
            self.results.append(float(np.linalg.norm(pred - gt, axis=-1)[vis].mean()))

    def compute_metrics(self, results):
        return {'dist': np.mean(results)}
