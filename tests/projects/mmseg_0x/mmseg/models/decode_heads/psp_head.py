import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmseg.ops import resize
from ..builder import HEADS
from .decode_head import BaseDecodeHead


@HEADS.register_module()
class PSPHead(BaseDecodeHead):

    def __init__(self, pool_scales=(1, 2, 3, 6), **kwargs):
        super(PSPHead, self).__init__(**kwargs)
        self.pool_scales = pool_scales
        self.mods = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(s), ConvModule(self.in_channels, self.channels, 1, norm_cfg=None, act_cfg=self.act_cfg)) for s in pool_scales)
        self.bottleneck = ConvModule(self.in_channels + len(pool_scales) * self.channels, self.channels, 3, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def init_weights(self):
        super().init_weights()

    def forward(self, inputs):
        x = self._transform_inputs(inputs)
        outs = [x] + [resize(m(x), size=x.size()[2:], mode='bilinear', align_corners=self.align_corners) for m in self.mods]
        return self.cls_seg(self.bottleneck(torch.cat(outs, 1)))
