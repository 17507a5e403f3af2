import torch.nn as nn
from mmcv.cnn import ConvModule, build_norm_layer
from mmcv.runner import load_checkpoint
from mmseg.utils import get_root_logger

from ..registry import BACKBONES


@BACKBONES.register_module
class MobileNet(nn.Module):
    def __init__(self, arg1=8, arg2=16, norm_cfg=dict(type='BN')):
        super().__init__()
        self.stem = ConvModule(3, arg1, 3, stride=2, padding=1, norm_cfg=norm_cfg)
        self.conv = nn.Conv2d(arg1, arg2, 3, padding=1)
        self.norm = build_norm_layer(norm_cfg, arg2)[1]

    def forward(self, x):
        a = self.stem(x)
        return a, self.norm(self.conv(a)).relu()

    def init_weights(self, pretrained=None):
        if isinstance(pretrained, str):
            logger = get_root_logger()
            load_checkpoint(self, pretrained, strict=False, logger=logger)
