import torch.nn as nn
from mmcv.cnn import normal_init
from ..builder import HEADS
from .base import BaseHead


@HEADS.register_module()
class TSNHead(BaseHead):

    def __init__(self, num_classes, in_channels, arg1=0.4, **kwargs):
        super().__init__(num_classes, in_channels, **kwargs)
        self.dropout = nn.Dropout(arg1)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def forward(self, x, num_segs):
        x = x.mean((2, 3)).reshape((-1, num_segs, x.shape[1])).mean(1)
        return self.fc_cls(self.dropout(x))

    def init_weights(self):
        normal_init(self.fc_cls, std=0.01)
