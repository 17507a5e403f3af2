"""Heat maps and tags in the words of the newer toolbox.

Shapes: n images, p people, k joints, l numbers of a tag, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.parts import build_part
from intarsia.models.stage_input import Features
from intarsia.nn.resize import resize
from intarsia.tasks.pose.codecs.associative_embedding import People
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.codecs.flip import flip_heatmaps
from intarsia.tasks.pose.heads.bottomup_head import BottomupHead, Views
from intarsia.tasks.pose.heads.heatmap_head import SMALL_INIT, conv_layers, deconv_layers, last_conv

Maps = tuple[Tensor, Tensor]


@HEADS.register_module()
class AssociativeEmbeddingHead(BottomupHead):
    """Transposed convolutions, convolutions, and a last one: a heat map and a tag for each joint.

    "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (Newell et al., 2016,
    arXiv:1611.05424).

    Args:
        in_channels: Channels of the last stage.
        num_keypoints: K.
        tag_dim: L.
        tag_per_keypoint: A tag for each joint, or one for all.
        deconv_out_channels: Channels of the transposed convolutions, each of which doubles the size; none if empty.
        deconv_kernel_sizes: Their kernels: 2, 3 or 4.
        conv_out_channels: Channels of convolutions after them.
        conv_kernel_sizes: Their kernels.
        final_layer: ``kernel_size`` and other arguments of the last convolution; None leaves it out.
        keypoint_loss: Node of LOSSES, of heat maps.
        tag_loss: Node of LOSSES, of tags.
        codec: The codec of the model, or its node: an AssociativeEmbedding.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: Lists differ in length, or a kernel is none of 2, 3 and 4.
    """

    default_init = SMALL_INIT

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_keypoints: int,
        tag_dim: int = 1,
        tag_per_keypoint: bool = True,
        deconv_out_channels: Sequence[int] | None = (256, 256, 256),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = dict(kernel_size=1),
        keypoint_loss: Mapping[str, Any] | None = dict(type='pose.KeypointMSELoss'),
        tag_loss: Mapping[str, Any] | None = dict(type='pose.AssociativeEmbeddingLoss'),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(None, codec, init_cfg)
        self.num_keypoints, self.tag_dim, self.tag_per_keypoint = num_keypoints, tag_dim, tag_per_keypoint
        width = in_channels if isinstance(in_channels, int) else in_channels[-1]
        kernels = deconv_kernel_sizes if deconv_out_channels else None
        self.deconv_layers = deconv_layers(width, deconv_out_channels or (), kernels or ())
        width = deconv_out_channels[-1] if deconv_out_channels else width
        convs = conv_layers(width, conv_out_channels, conv_kernel_sizes or ()) if conv_out_channels else []
        self.conv_layers = nn.Sequential(*convs) if convs else nn.Identity()
        width = conv_out_channels[-1] if conv_out_channels else width
        num_tags = tag_dim * (num_keypoints if tag_per_keypoint else 1)
        self.final_layer = last_conv(width, num_keypoints + num_tags, final_layer)
        losses = {'keypoint_loss': build_part(keypoint_loss, 'pose'), 'tag_loss': build_part(tag_loss, 'pose')}
        self.loss_module = nn.ModuleDict(losses)

    def forward(self, feats: Features) -> Maps:
        """Heat maps ``(N, K, h, w)`` and tags ``(N, LK, h, w)`` of the last stage."""
        maps = self.final_layer(self.conv_layers(self.deconv_layers(feats[-1])))
        return maps[:, : self.num_keypoints], maps[:, self.num_keypoints :]

    def losses(self, feats: Features, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """``loss_kpt``, ``loss_pull`` and ``loss_push``.

        Args:
            feats: Stages of the backbone or neck.
            targets: ``target`` (N, K, h, w); for each image ``keypoint_indices`` (P, K, 2) of the codec; and
                ``heatmap_mask`` (N, h, w) if there is one: where pixels count.
        """
        maps, tags = self(feats)
        tags = tags if self.tag_per_keypoint else tags.repeat(1, self.num_keypoints, 1, 1)
        heat = self.loss_module['keypoint_loss'](maps, targets['target'], None, self.mask_of(targets))
        pull, push = self.loss_module['tag_loss'](tags, targets['keypoint_indices'])
        return {'loss_kpt': heat, 'loss_pull': pull, 'loss_push': push}

    # ------------------------------------------------------------------ prediction

    def people_of(
        self, views: Views, flip_index: Sequence[int] | None, input_width: int, skeleton: Sequence[Sequence[int]]
    ) -> list[People]:
        """See :meth:`BottomupHead.people_of`; heat maps are the mean of all sizes, tags those of the first."""
        size: Sequence[int] | None = None
        heats, tags = [], []
        for feats, mirrored in views:
            maps = [self(feats)]
            if mirrored is not None and flip_index is not None:
                maps.append(self._mirrored(self(mirrored), flip_index))
            if size is None:
                height, width = maps[0][0].shape[2:]
                grown = self.test_cfg.get('restore_heatmap_size', False)
                size = (round(height * input_width / width), input_width) if grown else (height, width)
                tags = [self._resized(tag, size) for _, tag in maps]
            heats.append(torch.stack([self._resized(heat, size) for heat, _ in maps]).mean(0))
        heat_nkhw = torch.stack(heats).mean(0)
        people = self.known_codec.decode((heat_nkhw, torch.cat(tags, 1)))
        stride, assumed = (
            self.known_codec.stride_of(each) for each in (self.known_codec.heatmap_size, heat_nkhw.shape[:1:-1])
        )
        factor = torch.as_tensor(stride / assumed, dtype=torch.float32, device=heat_nkhw.device)
        return [found._replace(keypoints=found.keypoints * factor) for found in people]

    def _mirrored(self, maps: Maps, flip_index: Sequence[int]) -> Maps:
        heat, tag = maps
        shift = bool(self.test_cfg.get('shift_heatmap', False))
        index = None
        if self.tag_per_keypoint:
            index = [joint + i * self.num_keypoints for i in range(self.tag_dim) for joint in flip_index]
        return flip_heatmaps(heat, flip_index, shift), flip_heatmaps(tag, index, shift)

    def _resized(self, x_nchw: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(x_nchw.shape[2:]) == tuple(size):
            return x_nchw
        align = bool(self.test_cfg.get('align_corners', False))
        return resize(x_nchw, size, mode='bilinear', align_corners=align, warning=False)
