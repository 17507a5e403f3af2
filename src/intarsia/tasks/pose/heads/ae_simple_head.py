"""Heat maps and tags for every person in an image: joints whose tags are alike belong together.

Shapes: n images, m people at most, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.heatmap_head import SMALL_INIT, chosen_layers, deconv_layers, last_layers
from intarsia.tasks.pose.heads.pose_head import PoseHead

LOSS_NAMES = ('heatmap_loss', 'push_loss', 'pull_loss')


class AssociativeHead(PoseHead):
    """What heads have in common whose outputs, one a scale, are K heat maps, and tags after them.

    "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (Newell et al., 2016,
    arXiv:1611.05424).
    """

    default_init = SMALL_INIT

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``heatmap_loss``, ``push_loss`` and ``pull_loss``, each a sum over scales of means over images.

        Args:
            feats: Stages of the backbone or neck.
            targets: Lists with an entry a scale: ``targets`` (N, K, h, w), ``masks`` (N, h, w), 0 where nobody has
                marked the people, and ``joints`` (N, M, K, 2): where in the flattened maps a joint is, and whether.
        """
        of_scales = self.criterion(self(feats), targets['targets'], targets['masks'], targets['joints'])
        found = {
            name: [loss_n.mean() for loss_n in losses if loss_n is not None]
            for name, losses in zip(LOSS_NAMES, of_scales, strict=True)
        }
        return {name: sum(losses[1:], losses[0]) for name, losses in found.items() if losses}


@HEADS.register_module()
class AESimpleHead(AssociativeHead):
    """Transposed convolutions, and a last one: a heat map and a tag for each joint.

    Args:
        in_channels: Channels of the first stage.
        num_joints: K.
        num_deconv_layers: Number of transposed convolutions, each of which doubles the size.
        num_deconv_filters: Their channels.
        num_deconv_kernels: Their kernels: 2, 3 or 4.
        tag_per_joint: A tag for each joint, or one for all.
        with_ae_loss: One bool in a list: whether there are tags.
        extra: ``final_conv_kernel``: kernel of the last convolution, 0 for none; ``num_conv_layers`` and
            ``num_conv_kernels``: convolutions before it.
        loss_keypoint: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Arguments do not fit each other.
    """

    def __init__(
        self,
        in_channels: int,
        num_joints: int,
        num_deconv_layers: int = 3,
        num_deconv_filters: Sequence[int] = (256, 256, 256),
        num_deconv_kernels: Sequence[int] = (4, 4, 4),
        tag_per_joint: bool = True,
        with_ae_loss: Sequence[bool] = (True,),
        extra: Mapping[str, Any] | None = None,
        loss_keypoint: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss_keypoint, codec, init_cfg)
        self.num_joints = num_joints
        self.out_channels = num_joints + num_tags(num_joints, tag_per_joint, with_ae_loss[0])
        filters, kernels = chosen_layers(num_deconv_layers, num_deconv_filters, num_deconv_kernels)
        self.deconv_layers = deconv_layers(in_channels, filters, kernels)
        self.final_layer = last_layers(filters[-1] if filters else in_channels, self.out_channels, extra or {})

    def forward(self, feats: Features) -> list[Tensor]:
        """Heat maps and tags ``(N, K + tags, h, w)`` of the first stage, in a list of one."""
        return [self.final_layer(self.deconv_layers(feats[0]))]


def num_tags(num_joints: int, tag_per_joint: bool, has_tags: bool) -> int:
    """Maps of tags."""
    return (num_joints if tag_per_joint else 1) if has_tags else 0
