from mmcv.runner import OPTIMIZERS
from torch.optim import Optimizer
import torch


@OPTIMIZERS.register_module
class MyOptimizer(Optimizer):
    def __init__(self, params, a, b, c):
        super().__init__(params, dict(lr=a, b=b, c=c))

    @torch.no_grad()
    def step(self, closure=None):
        for g in self.param_groups:
            for p in g['params']:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-g['lr'])
