"""Heat maps and tags from every stage of an hourglass network.

Shapes: n images, m people at most, k joints, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.ae_simple_head import AssociativeHead
from intarsia.tasks.pose.heads.heatmap_head import chosen_layers, deconv_layers, last_layers


@HEADS.register_module()
class AEMultiStageHead(AssociativeHead):
    """Every stage of the backbone has layers of its own: transposed convolutions, and a last one.

    "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (Newell et al., 2016,
    arXiv:1611.05424).

    Args:
        in_channels: Channels of every stage.
        out_channels: K heat maps and the tags.
        num_stages: How many stages the backbone has.
        num_deconv_layers: Number of transposed convolutions, each of which doubles the size.
        num_deconv_filters: Their channels.
        num_deconv_kernels: Their kernels: 2, 3 or 4.
        extra: ``final_conv_kernel``: kernel of the last convolutions, 0 for none.
        loss_keypoint: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_stages: int = 1,
        num_deconv_layers: int = 3,
        num_deconv_filters: Sequence[int] = (256, 256, 256),
        num_deconv_kernels: Sequence[int] = (4, 4, 4),
        extra: Mapping[str, Any] | None = None,
        loss_keypoint: Mapping[str, Any] | None = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss_keypoint, codec, init_cfg)
        self.out_channels, self.num_stages = out_channels, num_stages
        filters, kernels = chosen_layers(num_deconv_layers, num_deconv_filters, num_deconv_kernels)
        width = filters[-1] if filters else in_channels
        stages = range(num_stages)
        self.multi_deconv_layers = nn.ModuleList(deconv_layers(in_channels, filters, kernels) for _ in stages)
        self.multi_final_layers = nn.ModuleList(last_layers(width, out_channels, extra or {}) for _ in stages)

    def forward(self, feats: Features) -> list[Tensor]:
        """Heat maps and tags ``(N, K + tags, h, w)`` of all stages."""
        stages = zip(self.multi_deconv_layers, self.multi_final_layers, feats, strict=True)
        return [final(deconv(x_nchw)) for deconv, final, x_nchw in stages]

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """As in :class:`AESimpleHead`, with lists for each stage in a list of the stages."""
        flat = {key: list(chain.from_iterable(targets[key])) for key in ('targets', 'masks', 'joints')}
        return super().losses(feats, flat)
