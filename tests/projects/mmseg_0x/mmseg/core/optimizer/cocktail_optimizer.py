from mmcv.utils import build_from_cfg
from mmcv.runner.optimizer import OPTIMIZER_BUILDERS, OPTIMIZERS


@OPTIMIZER_BUILDERS.register_module
class CocktailOptimizerConstructor(object):

    def __init__(self, optimizer_cfg, paramwise_cfg=None):
        self.cfg = optimizer_cfg

    def __call__(self, model):
        cfg = dict(self.cfg); cfg['params'] = model.parameters()
        return build_from_cfg(cfg, OPTIMIZERS)
