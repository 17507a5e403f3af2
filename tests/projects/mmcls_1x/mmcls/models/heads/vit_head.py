import torch.nn as nn

from mmcls.registry import MODELS
from .cls_head import ClsHead


@MODELS.register_module()
class MyClsHead(ClsHead):

    def __init__(self, num_classes, in_channels, hidden_dim, **kwargs):
        super().__init__(**kwargs)
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.hidden_dim = hidden_dim
        self.fc1 = nn.Linear(in_channels, hidden_dim)
        self.act = nn.Tanh()
        self.fc2 = nn.Linear(hidden_dim, num_classes)

    def pre_logits(self, feats):
        feat = feats[-1] if isinstance(feats, tuple) else feats
        return self.act(self.fc1(feat))

    def forward(self, feats):
        return self.fc2(self.pre_logits(feats))

    def loss(self, feats, data_samples, **kwargs):
        cls_score = self(feats)
        assert data_samples[0].gt_label.ndim == 1 or 'gt_score' in data_samples[0]
        losses = self._get_loss(cls_score, data_samples, **kwargs)
        losses['loss_small'] = 0.001 * cls_score.pow(2).mean()
        return losses
