import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset
from mmengine.model import BaseModel
from mmengine.registry import MODELS as MMENGINE_MODELS, Registry
from mmengine.registry import DATASETS, METRICS
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement, LabelData
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

MODELS = Registry('model', parent=MMENGINE_MODELS, locations=['mine'])


@MODELS.register_module()
class Net(BaseModel):
    def __init__(self, width=8, data_preprocessor=None, init_cfg=None):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.fc = nn.Linear(width, 3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = self.fc(self.conv(inputs).relu().mean((2, 3)))
        if mode == 'loss':
            return {'loss': F.cross_entropy(x, torch.cat([s.gt_label for s in data_samples]))}
        if mode == 'predict':
            for s, score in zip(data_samples, x.softmax(1)):
                s.set_pred_score(score).set_pred_label(score.argmax())
            return data_samples
        return x


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class HalfRate(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, **kwargs):
        for name, p in module.named_parameters():
            params.append(dict(params=[p], lr=self.base_lr * (0.5 if 'fc' in name else 1.0)))


@DATASETS.register_module()
class Plain(Dataset):
    CLASSES = ('a', 'b', 'c')

    def __init__(self, n=12):
        self.n = n

    def __len__(self):
        return self.n

    def get_gt_labels(self):
        return np.arange(self.n) % 3

    def __getitem__(self, i):
        rng = np.random.RandomState(i)
        return dict(img=torch.from_numpy(rng.rand(3, 8, 8).astype('f') + i % 3), gt_label=torch.tensor(i % 3), sample_idx=i)
