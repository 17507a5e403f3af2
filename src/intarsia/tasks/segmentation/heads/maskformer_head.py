"""Queries that each find the mask of one class.

Shapes: n images, c channels, q queries, k classes, m masks of an image, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from intarsia.core.registries import HEADS, MODELS, PIXEL_SAMPLERS
from intarsia.models.stage_input import Features
from intarsia.nn.init import caffe2_xavier_init
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize
from intarsia.tasks.segmentation.mask_queries.transformer import Decoder, SinePositionalEncoding

Node = Mapping[str, Any]
POSITIONS: Node = {'num_feats': 128, 'normalize': True}
CLS_LOSS: Node = {'type': 'mmdet.CrossEntropyLoss', 'loss_weight': 1.0}
FOCAL_LOSS: Node = {'type': 'mmdet.FocalLoss', 'loss_weight': 20.0}
DICE_LOSS: Node = {'type': 'mmdet.DiceLoss', 'naive_dice': True, 'loss_weight': 1.0}


class Truth(NamedTuple):
    """What an image shows: the class of each mask ``(M,)``, and the masks ``(M, H, W)``, 0 or 1."""

    label_m: Tensor
    mask_mhw: Tensor


class Matched(NamedTuple):
    """What queries should have found in a batch.

    Attributes:
        label_nq: Class of each query; the number of classes for none.
        is_matched_nq: Whether a query answers for a mask.
        mask_mhw: The masks of those, image by image.
        num_masks: How many there are, the mean over processes, at least 1.
    """

    label_nq: Tensor
    is_matched_nq: Tensor
    mask_mhw: Tensor
    num_masks: Tensor


class MaskQueryHead(BaseModule):
    """What heads of queries have in common: the last layers, the prediction, the losses.

    A subclass implements :meth:`outputs`, :meth:`match_cost_inputs` and :meth:`mask_losses`.

    Args:
        feat_channels: Channels of queries.
        out_channels: Channels of the features for masks.
        num_classes: Number of classes.
        num_queries: Number of queries.
        align_corners: How bilinear resizing places the pixels elsewhere in the model.
        ignore_index: Label of pixels that belong to no mask.
        loss_cls: Node of LOSSES of the classes of queries.
        loss_mask: Node of LOSSES of the pixels of masks.
        loss_dice: Node of LOSSES of whole masks.
        train_cfg: ``assigner``, a node of MODELS that says which query answers for which mask; ``sampler``, a node of
            PIXEL_SAMPLERS; and numbers of the subclass.
        init_cfg: How weights are initialized.
    """

    threshold = None

    def __init__(
        self,
        feat_channels: int,
        out_channels: int,
        num_classes: int,
        num_queries: int,
        align_corners: bool,
        ignore_index: int,
        loss_cls: Node,
        loss_mask: Node,
        loss_dice: Node,
        train_cfg: Node | None,
        init_cfg: InitCfg,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = self.out_channels = num_classes
        self.num_queries, self.align_corners, self.ignore_index = num_queries, align_corners, ignore_index
        self.cls_embed = nn.Linear(feat_channels, num_classes + 1)
        self.mask_embed = nn.Sequential(
            nn.Linear(feat_channels, feat_channels),
            nn.ReLU(inplace=True),
            nn.Linear(feat_channels, feat_channels),
            nn.ReLU(inplace=True),
            nn.Linear(feat_channels, out_channels),
        )
        view = MODELS.of('segmentation')
        self.class_weight = list(loss_cls.get('class_weight') or [*([1.0] * num_classes), 0.1])
        self.loss_cls = view.build({**loss_cls, 'class_weight': self.class_weight})
        self.loss_mask, self.loss_dice = view.build(loss_mask), view.build(loss_dice)
        self.train_cfg = dict(train_cfg or {})
        self.assigner = view.build(self.train_cfg['assigner']) if 'assigner' in self.train_cfg else None
        if 'sampler' in self.train_cfg:
            PIXEL_SAMPLERS.build(self.train_cfg['sampler'], context=self)

    # ------------------------------------------------------------------ prediction

    def outputs(self, feats: Features) -> tuple[Any, Any]:
        """Logits of classes ``(N, Q, K + 1)`` and of masks ``(N, Q, h, w)`` after every layer."""
        raise NotImplementedError(f'{type(self).__name__} has no outputs')

    def forward(self, feats: Features) -> Tensor:
        """Scores ``(N, K, h, w)``, 0 or more, at the size of the masks."""
        return self.logits_at(feats, None)

    def logits_at(self, feats: Features, size: Sequence[int] | None) -> Tensor:
        """Scores ``(N, K, H, W)`` at another size; masks are brought to it before they are scored."""
        scores, masks = self.outputs(feats)
        mask_nqhw = masks[-1]
        if size is not None:
            mask_nqhw = resize(mask_nqhw, size=size, mode='bilinear', align_corners=False)
        score_nqk = scores[-1].softmax(-1)[..., :-1]
        return torch.einsum('nqk,nqhw->nkhw', score_nqk, mask_nqhw.sigmoid())

    # ------------------------------------------------------------------ losses

    def loss(self, feats: Features, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses of the last layer, ``loss_cls``, ``loss_mask`` and ``loss_dice``, and of others, ``d0.loss_cls``, ...

        Raises:
            ValueError: ``train_cfg`` has no ``assigner``.
        """
        if self.assigner is None:
            raise ValueError(f"{type(self).__name__} needs an 'assigner' in its train_cfg to train")
        truths = [self._truth(label_1hw[0]) for label_1hw in target_n1hw.long()]
        layers = list(zip(*self.outputs(feats), strict=True))
        losses: dict[str, Tensor] = {}
        for i, (score_nqk, mask_nqhw) in enumerate(layers):
            prefix = '' if i == len(layers) - 1 else f'd{i}.'
            found = self._losses_of(score_nqk, mask_nqhw, truths)
            losses |= {f'{prefix}{name}': value for name, value in found.items()}
        return losses

    def _truth(self, label_hw: Tensor) -> Truth:
        classes_m = label_hw.unique()
        classes_m = classes_m[classes_m != self.ignore_index]
        return Truth(classes_m, (label_hw[None] == classes_m[:, None, None]).long())

    def _losses_of(self, score_nqk: Tensor, mask_nqhw: Tensor, truths: Sequence[Truth]) -> dict[str, Tensor]:
        matched = self._match(score_nqk, mask_nqhw, truths)
        weight_k = score_nqk.new_tensor(self.class_weight)
        factor = weight_k[matched.label_nq].sum()
        loss_cls = self.loss_cls(score_nqk.flatten(0, 1), matched.label_nq.flatten(), factor)
        mask_mhw = mask_nqhw[matched.is_matched_nq]
        if not len(mask_mhw):
            return {'loss_cls': loss_cls, 'loss_mask': mask_mhw.sum(), 'loss_dice': mask_mhw.sum()}
        loss_mask, loss_dice = self.mask_losses(mask_mhw, matched.mask_mhw, matched.num_masks)
        return {'loss_cls': loss_cls, 'loss_mask': loss_mask, 'loss_dice': loss_dice}

    @torch.no_grad()
    def _match(self, score_nqk: Tensor, mask_nqhw: Tensor, truths: Sequence[Truth]) -> Matched:
        label_nq = torch.full(score_nqk.shape[:2], self.num_classes, device=score_nqk.device)
        is_matched_nq = torch.zeros_like(label_nq, dtype=torch.bool)
        masks = []
        for i, truth in enumerate(truths):
            logit_ql, mask_ml = self.match_cost_inputs(mask_nqhw[i], truth.mask_mhw)
            assert self.assigner is not None
            query, mask = self.assigner(score_nqk[i], truth.label_m, logit_ql, mask_ml)
            label_nq[i, query], is_matched_nq[i, query] = truth.label_m[mask], True
            masks.append(truth.mask_mhw[mask])
        num_masks = is_matched_nq.sum().float()
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(num_masks.div_(distributed.get_world_size()))
        return Matched(label_nq, is_matched_nq, torch.cat(masks), num_masks.clamp(min=1))

    def match_cost_inputs(self, mask_qhw: Tensor, truth_mhw: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of queries ``(Q, L)`` and true masks ``(M, L)`` at places where both are compared."""
        raise NotImplementedError(f'{type(self).__name__} has no match_cost_inputs')

    def mask_losses(self, mask_mhw: Tensor, truth_mhw: Tensor, num_masks: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of pixels and of whole masks: logits ``(M, h, w)`` and truth ``(M, H, W)``, 0 or 1."""
        raise NotImplementedError(f'{type(self).__name__} has no mask_losses')


@HEADS.register_module()
class MaskFormerHead(MaskQueryHead):
    """Queries look at the coarsest stage, and find masks in the finest.

    "Per-Pixel Classification is Not All You Need for Semantic Segmentation" (MaskFormer; Cheng et al., 2021,
    arXiv:2107.06278).

    State keys: ``pixel_decoder``, ``transformer_decoder``, ``decoder_input_proj``, ``query_embed``, ``cls_embed``,
    ``mask_embed``.

    Args:
        in_channels: Channels of each stage.
        feat_channels: Channels of queries.
        out_channels: Channels of the features for masks.
        pixel_decoder: Config of what joins the stages; channels are added to it.
        transformer_decoder: ``num_layers`` and ``layer_cfg`` of the transformer.
        num_classes: Number of classes.
        align_corners: How bilinear resizing places the pixels elsewhere in the model.
        ignore_index: Label of pixels that belong to no mask.
        num_things_classes: Of no account.
        num_stuff_classes: Of no account.
        num_queries: Number of queries.
        enforce_decoder_input_project: Project what queries look at even if it has their channels.
        positional_encoding: Arguments of the encoding of positions.
        loss_cls: Node of LOSSES of the classes of queries.
        loss_mask: Node of LOSSES of the pixels of masks.
        loss_dice: Node of LOSSES of whole masks.
        train_cfg: ``assigner`` and ``sampler``; see :class:`MaskQueryHead`.
        test_cfg: Of no account.
        in_index: Of no account: all stages are used.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        pixel_decoder: Node,
        transformer_decoder: Node,
        num_classes: int = 150,
        align_corners: bool = False,
        ignore_index: int = 255,
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        num_queries: int = 100,
        enforce_decoder_input_project: bool = False,
        positional_encoding: Node = POSITIONS,
        loss_cls: Node = CLS_LOSS,
        loss_mask: Node = FOCAL_LOSS,
        loss_dice: Node = DICE_LOSS,
        train_cfg: Node | None = None,
        test_cfg: Node | None = None,
        in_index: Sequence[int] = (0, 1, 2, 3),
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(
            feat_channels, out_channels, num_classes, num_queries, align_corners, ignore_index, loss_cls, loss_mask,
            loss_dice, train_cfg, init_cfg,
        )  # fmt: skip
        channels = {'in_channels': in_channels, 'feat_channels': feat_channels, 'out_channels': out_channels}
        self.pixel_decoder = MODELS.of('segmentation').build({**pixel_decoder, **channels})
        self.transformer_decoder = Decoder(**transformer_decoder)
        width, seen = self.transformer_decoder.embed_dims, self.pixel_decoder.token_channels
        projects = width != seen or (enforce_decoder_input_project and seen == in_channels[-1])
        self.decoder_input_proj = nn.Conv2d(seen, width, 1) if projects else nn.Identity()
        self.decoder_pe = SinePositionalEncoding(**positional_encoding)
        self.query_embed = nn.Embedding(num_queries, out_channels)

    def init_own_weights(self) -> None:
        """Glorot initialization of the transformer."""
        if isinstance(self.decoder_input_proj, nn.Conv2d):
            caffe2_xavier_init(self.decoder_input_proj)
        for parameter in self.transformer_decoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def outputs(self, feats: Features) -> tuple[Tensor, Tensor]:
        """Logits of classes ``(layers, N, Q, K + 1)`` and of masks ``(layers, N, Q, h, w)``."""
        feature_nchw, memory_nchw = self.pixel_decoder(feats)
        pos_1lc = self.decoder_pe(memory_nchw).flatten(2).transpose(1, 2)
        tokens_nlc = self.decoder_input_proj(memory_nchw).flatten(2).transpose(1, 2)
        query_pos_nqc = self.query_embed.weight.expand(len(tokens_nlc), -1, -1)
        query = self.transformer_decoder(torch.zeros_like(query_pos_nqc), query_pos_nqc, tokens_nlc, pos_1lc)
        masks = torch.einsum('xnqc,nchw->xnqhw', self.mask_embed(query), feature_nchw)
        return self.cls_embed(query), masks

    def match_cost_inputs(self, mask_qhw: Tensor, truth_mhw: Tensor) -> tuple[Tensor, Tensor]:
        """All pixels of the masks of queries; the truth is reduced to their size."""
        if not len(truth_mhw):
            return mask_qhw.flatten(1), truth_mhw.flatten(1).float()
        small_mhw = resize(truth_mhw[:, None].float(), size=mask_qhw.shape[1:])[:, 0]
        return mask_qhw.flatten(1), small_mhw.flatten(1)

    def mask_losses(self, mask_mhw: Tensor, truth_mhw: Tensor, num_masks: Tensor) -> tuple[Tensor, Tensor]:
        """Losses over all pixels of the truth, to whose size masks are brought."""
        size = truth_mhw.shape[1:]
        mask_mhw = resize(mask_mhw[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]
        loss_dice = self.loss_dice(mask_mhw, truth_mhw, num_masks)
        return self.loss_mask(mask_mhw.flatten(), truth_mhw.flatten(), num_masks * size.numel()), loss_dice
