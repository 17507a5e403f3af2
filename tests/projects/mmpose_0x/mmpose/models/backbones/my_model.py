import torch.nn as nn

from ..builder import BACKBONES

@BACKBONES.register_module()
class MyModel(nn.Module):

    def __init__(self, arg1, arg2):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, arg1, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(arg1, arg2, 3, stride=2, padding=1), nn.ReLU())

    def forward(self, x):  # should return a tuple
        return (self.conv(x),)

    def init_weights(self, pretrained=None):
        pass
