"""HigherHRNet: heat maps at two scales or more, tags at the first.

Shapes: n images, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.backbones.residual import BasicBlock
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.ae_simple_head import AssociativeHead, num_tags
from intarsia.tasks.pose.heads.heatmap_head import deconv_layers, last_layers


@HEADS.register_module()
class AEHigherResolutionHead(AssociativeHead):
    """Each scale is the one before, with its heat maps beside it, transposed to twice the size and refined.

    "HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human Pose Estimation" (Cheng et al., 2019,
    arXiv:1908.10357).

    Args:
        in_channels: Channels of the first stage.
        num_joints: K.
        tag_per_joint: A tag for each joint, or one for all.
        extra: ``final_conv_kernel``: kernel of the last convolutions, 1 or 3.
        num_deconv_layers: Number of scales after the first.
        num_deconv_filters: Channels of each.
        num_deconv_kernels: Kernels of the transposed convolutions: 2, 3 or 4.
        num_basic_blocks: Residual blocks after each.
        cat_output: For each, whether it is given the maps of the scale before.
        with_ae_loss: For each scale, the first included, whether it has tags.
        loss_keypoint: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists do not have an entry for each scale.
    """

    def __init__(
        self,
        in_channels: int,
        num_joints: int,
        tag_per_joint: bool = True,
        extra: Mapping[str, Any] | None = None,
        num_deconv_layers: int = 1,
        num_deconv_filters: Sequence[int] = (32,),
        num_deconv_kernels: Sequence[int] = (4,),
        num_basic_blocks: int = 4,
        cat_output: Sequence[bool] = (True,),
        with_ae_loss: Sequence[bool] = (True, False),
        loss_keypoint: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss_keypoint, codec, init_cfg)
        lists = (num_deconv_filters, num_deconv_kernels, cat_output, with_ae_loss[1:])
        if any(len(each) != num_deconv_layers for each in lists):
            raise ValueError(
                f'AEHigherResolutionHead: num_deconv_layers={num_deconv_layers}, so num_deconv_filters, '
                'num_deconv_kernels and cat_output need as many entries, and with_ae_loss one more'
            )
        self.num_joints, self.cat_output = num_joints, list(cat_output)
        widths = [in_channels, *num_deconv_filters]
        maps = [num_joints + num_tags(num_joints, tag_per_joint, has_tags) for has_tags in with_ae_loss]
        self.out_channels = maps[0]
        self.final_layers = nn.ModuleList(last_layers(w, m, extra or {}) for w, m in zip(widths, maps, strict=True))
        self.deconv_layers = nn.ModuleList()
        settings = zip(pairwise(widths), maps[:-1], num_deconv_kernels, cat_output, strict=True)
        for (before, after), beside, kernel, has_maps in settings:
            up = deconv_layers(before + beside * has_maps, [after], [kernel])
            blocks = [nn.Sequential(BasicBlock(after, after)) for _ in range(num_basic_blocks)]
            self.deconv_layers.append(nn.Sequential(up, *blocks))

    def forward(self, feats: Features) -> list[Tensor]:
        """Heat maps and tags ``(N, K + tags, h, w)`` of all scales, from the first stage."""
        x_nchw = feats[0]
        outputs = [self.final_layers[0](x_nchw)]
        for deconv, final, has_maps in zip(self.deconv_layers, self.final_layers[1:], self.cat_output, strict=True):
            x_nchw = deconv(torch.cat([x_nchw, outputs[-1]], 1) if has_maps else x_nchw)
            outputs.append(final(x_nchw))
        return outputs
