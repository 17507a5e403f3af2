"""Queries that look only where their masks are.

Shapes: n images, c channels, q queries, k classes, m masks, h rows, w columns, p points; a point is (x, y) in 0 ... 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import HEADS, MODELS
from intarsia.models.stage_input import Features
from intarsia.nn.init import caffe2_xavier_init
from intarsia.nn.module import InitCfg, ModuleList
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.heads.maskformer_head import MaskQueryHead, Node
from intarsia.tasks.segmentation.mask_queries.transformer import LookingDecoder, SinePositionalEncoding

POSITIONS: Node = {'num_feats': 128, 'normalize': True}
CLS_LOSS: Node = {'type': 'mmdet.CrossEntropyLoss', 'loss_weight': 2.0}
MASK_LOSS: Node = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 5.0}
DICE_LOSS: Node = {'type': 'mmdet.DiceLoss', 'naive_dice': True, 'eps': 1.0, 'loss_weight': 5.0}


@HEADS.register_module()
class Mask2FormerHead(MaskQueryHead):
    """Queries look at coarse stages in turns, each only where its mask after the layer before is.

    "Masked-attention Mask Transformer for Universal Image Segmentation" (Mask2Former; Cheng et al., 2021,
    arXiv:2112.01527). In training masks are compared at points, most of them uncertain ones.

    State keys: ``pixel_decoder``, ``transformer_decoder``, ``decoder_input_projs``, ``query_embed``, ``query_feat``,
    ``level_embed``, ``cls_embed``, ``mask_embed``.

    Args:
        in_channels: Channels of each stage.
        feat_channels: Channels of queries.
        out_channels: Channels of the features for masks.
        pixel_decoder: Config of what joins the stages; channels are added to it.
        transformer_decoder: ``num_layers`` and ``layer_cfg`` of the transformer.
        num_classes: Number of classes.
        align_corners: How bilinear resizing places the pixels elsewhere in the model.
        ignore_index: Label of pixels that belong to no mask.
        strides: Of no account.
        num_things_classes: Of no account.
        num_stuff_classes: Of no account.
        num_queries: Number of queries.
        num_transformer_feat_level: Number of maps that queries look at.
        enforce_decoder_input_project: Project these maps even if they have the channels of queries.
        positional_encoding: Arguments of the encoding of positions.
        loss_cls: Node of LOSSES of the classes of queries.
        loss_mask: Node of LOSSES of the pixels of masks.
        loss_dice: Node of LOSSES of whole masks.
        train_cfg: ``assigner`` and ``sampler``, see
            :class:`~intarsia.tasks.segmentation.heads.maskformer_head.MaskQueryHead`; ``num_points`` at which masks
            are compared, ``oversample_ratio`` of points drawn to those, ``importance_sample_ratio`` of uncertain ones.
        test_cfg: Of no account.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        pixel_decoder: Node,
        transformer_decoder: Node,
        num_classes: int,
        align_corners: bool = False,
        ignore_index: int = 255,
        strides: Sequence[int] = (4, 8, 16, 32),
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        num_queries: int = 100,
        num_transformer_feat_level: int = 3,
        enforce_decoder_input_project: bool = False,
        positional_encoding: Node = POSITIONS,
        loss_cls: Node = CLS_LOSS,
        loss_mask: Node = MASK_LOSS,
        loss_dice: Node = DICE_LOSS,
        train_cfg: Node | None = None,
        test_cfg: Node | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(
            feat_channels, out_channels, num_classes, num_queries, align_corners, ignore_index, loss_cls, loss_mask,
            loss_dice, train_cfg, init_cfg,
        )  # fmt: skip
        channels: Mapping[str, Any] = {
            'in_channels': in_channels, 'feat_channels': feat_channels, 'out_channels': out_channels
        }  # fmt: skip
        self.pixel_decoder = MODELS.of('segmentation').build({**pixel_decoder, **channels})
        self.transformer_decoder = LookingDecoder(**transformer_decoder)
        self.num_heads = transformer_decoder['layer_cfg']['cross_attn_cfg']['num_heads']
        width, self.num_levels = self.transformer_decoder.embed_dims, num_transformer_feat_level
        projects = width != feat_channels or enforce_decoder_input_project
        self.decoder_input_projs = ModuleList(
            nn.Conv2d(feat_channels, width, 1) if projects else nn.Identity() for _ in range(self.num_levels)
        )
        self.decoder_positional_encoding = SinePositionalEncoding(**positional_encoding)
        self.query_embed = nn.Embedding(num_queries, feat_channels)
        self.query_feat = nn.Embedding(num_queries, feat_channels)
        self.level_embed = nn.Embedding(self.num_levels, feat_channels)
        self.num_points = self.train_cfg.get('num_points', 12544)
        self.oversample_ratio = self.train_cfg.get('oversample_ratio', 3.0)
        self.importance_sample_ratio = self.train_cfg.get('importance_sample_ratio', 0.75)

    def init_own_weights(self) -> None:
        """Glorot initialization of the transformer."""
        for layer in self.decoder_input_projs:
            if isinstance(layer, nn.Conv2d):
                caffe2_xavier_init(layer)
        for parameter in self.transformer_decoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)

    # ------------------------------------------------------------------ the network

    def outputs(self, feats: Features) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of classes ``(N, Q, K + 1)`` and of masks ``(N, Q, h, w)`` before the first and after every layer."""
        feature_nchw, maps = self.pixel_decoder(feats)
        tokens, positions = self._tokens(maps)
        query_pos_nqc = self.query_embed.weight.expand(len(feature_nchw), -1, -1)
        query_nqc = self.query_feat.weight.expand(len(feature_nchw), -1, -1)
        score_nqk, mask_nqhw = self._predict(query_nqc, feature_nchw)
        scores, masks = [score_nqk], [mask_nqhw]
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % self.num_levels
            blocked = self._blocked(masks[-1], maps[level].shape[2:])
            query_nqc = layer(query_nqc, query_pos_nqc, tokens[level], positions[level], blocked)
            score_nqk, mask_nqhw = self._predict(query_nqc, feature_nchw)
            scores.append(score_nqk)
            masks.append(mask_nqhw)
        return scores, masks

    def _tokens(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Tokens ``(N, L, C)`` of each map, and their positions."""
        tokens, positions = [], []
        for project, x_nchw, level_c in zip(self.decoder_input_projs, maps, self.level_embed.weight, strict=True):
            tokens.append(project(x_nchw).flatten(2).transpose(1, 2) + level_c)
            positions.append(self.decoder_positional_encoding(x_nchw).flatten(2).transpose(1, 2))
        return tokens, positions

    def _predict(self, query_nqc: Tensor, feature_nchw: Tensor) -> tuple[Tensor, Tensor]:
        query_nqc = self.transformer_decoder.post_norm(query_nqc)
        masks = torch.einsum('nqc,nchw->nqhw', self.mask_embed(query_nqc), feature_nchw)
        return self.cls_embed(query_nqc), masks

    @torch.no_grad()
    def _blocked(self, mask_nqhw: Tensor, size: Sequence[int]) -> Tensor:
        """Where queries may not look, ``(N * heads, Q, L)``: outside of their masks; one without a mask sees all."""
        small_nql = resize(mask_nqhw, size=size, mode='bilinear', align_corners=False).flatten(2)
        outside_nql = small_nql.sigmoid() < 0.5
        outside_nql = outside_nql & ~outside_nql.all(dim=2, keepdim=True)
        return outside_nql.repeat_interleave(self.num_heads, dim=0)

    # ------------------------------------------------------------------ losses

    def match_cost_inputs(self, mask_qhw: Tensor, truth_mhw: Tensor) -> tuple[Tensor, Tensor]:
        """The masks of queries and the truth at the same random points."""
        point_1p2 = torch.rand(1, self.num_points, 2, device=mask_qhw.device)
        return sample_points(mask_qhw, point_1p2), sample_points(truth_mhw.to(mask_qhw.dtype), point_1p2)

    def mask_losses(self, mask_mhw: Tensor, truth_mhw: Tensor, num_masks: Tensor) -> tuple[Tensor, Tensor]:
        """Losses at points, most of them uncertain."""
        with torch.no_grad():
            point_mp2 = self._uncertain_points(mask_mhw)
            truth_mp = sample_points(truth_mhw.to(mask_mhw.dtype), point_mp2)
        mask_mp = sample_points(mask_mhw, point_mp2)
        loss_dice = self.loss_dice(mask_mp, truth_mp, num_masks)
        return self.loss_mask(mask_mp.flatten(), truth_mp.flatten(), num_masks * self.num_points), loss_dice

    def _uncertain_points(self, mask_mhw: Tensor) -> Tensor:
        """Of many random points those whose logits are nearest to 0, and some more, ``(M, P, 2)``."""
        num, device = len(mask_mhw), mask_mhw.device
        drawn_mp2 = torch.rand(num, int(self.num_points * self.oversample_ratio), 2, device=device)
        num_uncertain = int(self.importance_sample_ratio * self.num_points)
        chosen_mp = (-sample_points(mask_mhw, drawn_mp2).abs()).topk(num_uncertain, dim=1).indices
        uncertain_mp2 = drawn_mp2.gather(1, chosen_mp[..., None].expand(-1, -1, 2))
        if num_uncertain == self.num_points:
            return uncertain_mp2
        others_mp2 = torch.rand(num, self.num_points - num_uncertain, 2, device=device)
        return torch.cat((uncertain_mp2, others_mp2), dim=1)


def sample_points(x_mhw: Tensor, point_mp2: Tensor) -> Tensor:
    """Values of maps at points between their pixels, ``(M, P)``; one row of points serves for all maps."""
    if not len(x_mhw):
        return x_mhw.new_zeros(0, point_mp2.shape[1])
    grid = (2 * point_mp2 - 1).expand(len(x_mhw), -1, -1)[:, :, None].to(x_mhw.dtype)
    return F.grid_sample(x_mhw[:, None], grid, align_corners=False)[:, 0, :, 0]
