import torch.nn as nn
from mmcv.runner import BaseModule, load_checkpoint
from mmseg.models.builder import BACKBONES
from mmseg.utils import get_root_logger


@BACKBONES.register_module()
class TinyNet(BaseModule):
    def __init__(self, width=8, pretrained=None, init_cfg=None):
        super().__init__(init_cfg)
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def init_weights(self, pretrained=None):
        if isinstance(pretrained, str):
            load_checkpoint(self, pretrained, strict=False, logger=get_root_logger())

    def forward(self, x):
        x = self.conv1(x).relu()
        return [x, self.conv2(x).relu()]
