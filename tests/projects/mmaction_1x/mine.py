import os.path as osp
from typing import Callable, Dict, List, Optional, Union
import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from mmengine.fileio import exists, list_from_file
from mmengine.model import BaseModule
from mmengine.model.weight_init import constant_init, kaiming_init, normal_init, trunc_normal_
from mmengine.logging import MMLogger
from mmcv.transforms import BaseTransform, to_tensor
from mmaction.registry import DATASETS, METRICS, MODELS, TRANSFORMS, HOOKS
from mmaction.models.heads import BaseHead
from mmaction.datasets.base import BaseActionDataset
from mmaction.evaluation import AccMetric
from mmaction.utils import ConfigType, OptConfigType
from mmengine.evaluator import BaseMetric


@MODELS.register_module()
class Frames(BaseModule):
    def __init__(self, width=8, pretrained=None, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.conv = nn.Conv3d(3, width, (3, 7, 7), stride=(1, 4, 4), padding=(1, 3, 3))

    def init_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv3d):
                trunc_normal_(m.weight, std=.02)

    def forward(self, x):
        return self.conv(x).relu()


@MODELS.register_module()
class PoolHead(BaseHead):
    def __init__(self, num_classes: int, in_channels: int, loss_cls: ConfigType = dict(type='CrossEntropyLoss'), dropout_ratio: float = 0.5, init_std: float = 0.01, **kwargs) -> None:
        super().__init__(num_classes, in_channels, loss_cls, **kwargs)
        self.init_std = init_std
        self.dropout = nn.Dropout(p=dropout_ratio) if dropout_ratio != 0 else None
        self.fc_cls = nn.Linear(self.in_channels, self.num_classes)

    def init_weights(self) -> None:
        normal_init(self.fc_cls, std=self.init_std)

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        x = x.mean((2, 3, 4))
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc_cls(x)


@DATASETS.register_module()
class Videos(BaseActionDataset):
    def __init__(self, ann_file: str, pipeline: List[Union[dict, Callable]], data_prefix: ConfigType = dict(video=''), multi_class: bool = False, num_classes: Optional[int] = None, start_index: int = 0, modality: str = 'RGB', test_mode: bool = False, delimiter: str = ' ', **kwargs) -> None:
        self.delimiter = delimiter
        super().__init__(ann_file, pipeline=pipeline, data_prefix=data_prefix, multi_class=multi_class, num_classes=num_classes, start_index=start_index, modality=modality, test_mode=test_mode, **kwargs)

    def load_data_list(self) -> List[dict]:
        exists(self.ann_file)
        data_list = []
        for line in list_from_file(self.ann_file):
            filename, label = line.strip().split(self.delimiter)
            if self.data_prefix['video'] is not None:
                filename = osp.join(self.data_prefix['video'], filename)
            data_list.append(dict(filename=filename, label=int(label)))
        return data_list


@METRICS.register_module()
class TopOne(BaseMetric):
    default_prefix = 'own'

    def process(self, data_batch, data_samples: List[Dict]) -> None:
        for s in data_samples:
            self.results.append(dict(pred=s['pred_score'].cpu().numpy(), label=s['gt_label'].item()))

    def compute_metrics(self, results: List) -> Dict:
        return dict(top1=float(np.mean([r['pred'].argmax() == r['label'] for r in results])))
