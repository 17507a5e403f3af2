import torch.nn as nn
from mmcv.cnn import build_upsample_layer, normal_init, constant_init
from mmpose.models.builder import build_loss
from mmpose.core.evaluation import pose_pck_accuracy
from ..builder import HEADS
from ..heads.topdown_heatmap_base_head import TopdownHeatmapBaseHead


@HEADS.register_module()
class MyHead(nn.Module):

    def __init__(self, arg1, arg2):
        super().__init__()
        self.final = nn.Conv2d(arg1, arg2, 1)

    def forward(self, x):
        return self.final(x[0] if isinstance(x, tuple) else x)

    def init_weights(self):
        pass


@HEADS.register_module()
class BaseDerivedHead(TopdownHeatmapBaseHead):
    def __init__(self, in_channels, out_channels, loss_keypoint=None, train_cfg=None, test_cfg=None):
        super().__init__()
        self.in_channels = in_channels
        self.loss = build_loss(loss_keypoint)
        self.train_cfg = {} if train_cfg is None else train_cfg
        self.test_cfg = {} if test_cfg is None else test_cfg
        self.target_type = self.test_cfg.get('target_type', 'GaussianHeatmap')
        self.final = nn.Conv2d(in_channels, out_channels, 1)

    def get_loss(self, output, target, target_weight):
        losses = dict()
        assert target.dim() == 4 and target_weight.dim() == 3
        losses['heatmap_loss'] = self.loss(output, target, target_weight)
        return losses

    def get_accuracy(self, output, target, target_weight):
        accuracy = dict()
        _, avg_acc, _ = pose_pck_accuracy(output.detach(), target.detach(), target_weight.detach().squeeze(-1) > 0)
        accuracy['acc_pose'] = float(avg_acc)
        return accuracy

    def forward(self, x):
        return self.final(x[0])

    def inference_model(self, x, flip_pairs=None):
        output = self.forward(x)
        return output.detach().cpu().numpy()

    def init_weights(self):
        normal_init(self.final, std=0.001, bias=0)
