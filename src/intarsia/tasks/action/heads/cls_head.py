"""What heads of recognizers have in common: losses and accuracies of class scores.

Shapes: n clips, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.models.losses.accuracy import accuracy
from intarsia.models.losses.targets import as_scores, check_labels
from intarsia.models.parts import build_part
from intarsia.nn.init import normal_init
from intarsia.nn.module import BaseModule

CROSS_ENTROPY: Mapping[str, Any] = {'type': 'action.CrossEntropyLoss'}


class BaseHead(BaseModule):
    """Base of the heads: a subclass has layers and implements :meth:`forward`.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss, called as ``loss(scores, labels)``, or a module.
        multi_class: Whether a clip has several classes; its labels are then ``(N, K)``, 0 or 1.
        label_smooth_eps: Share of the labels that is spread evenly over all classes, "Rethinking the Inception
            Architecture" (Szegedy et al., 2015, arXiv:1512.00567).
        topk: The k of the accuracies in training, shares of 0 ... 1.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``num_classes`` or a k is below 1, or ``label_smooth_eps`` outside [0, 1).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        multi_class: bool = False,
        label_smooth_eps: float = 0.0,
        topk: int | Sequence[int] = (1, 5),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        name = type(self).__name__
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        if num_classes < 1 or (self.topk and min(self.topk) < 1):
            raise ValueError(f'{name}: num_classes={num_classes} and topk={topk} must be positive')
        if not 0 <= label_smooth_eps < 1:
            raise ValueError(f'{name}: label_smooth_eps is a share, 0 <= eps < 1, not {label_smooth_eps}')
        self.num_classes, self.in_channels = num_classes, in_channels
        self.multi_class, self.label_smooth_eps = multi_class, label_smooth_eps
        self.loss_cls = build_part(loss_cls, 'action')

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` before softmax.

        Args:
            feats: What backbone and neck give.
            num_segs: Frames of each clip, for features of single frames.
        """
        raise NotImplementedError(f'{type(self).__name__} has no forward')

    def loss(self, score_nk: Tensor, label: Tensor, **options: Any) -> dict[str, Tensor]:
        """Losses and accuracies.

        Args:
            score_nk: What :meth:`forward` gives.
            label: Classes int64 ``(N,)`` or ``(N, 1)``, or shares of the classes ``(N, K)``.
            options: Passed to the loss: what ``train_cfg.aux_info`` names.

        Returns:
            ``top1_acc``, ``top5_acc`` for labels that are one class, and ``loss_cls`` (or what a loss calls its parts).

        Raises:
            ValueError: A label is not a class (seen on the CPU only), or the labels have another shape.
        """
        label = self._checked(score_nk, label)
        values: dict[str, Tensor] = {}
        if label.ndim == 1:
            ks = [min(k, score_nk.shape[1]) for k in self.topk]
            hits = accuracy(score_nk.detach(), label, ks) if ks else []
            values = {f'top{k}_acc': hit.squeeze() / 100 for k, hit in zip(self.topk, hits, strict=True)}
        if self.label_smooth_eps:
            label = as_scores(label, self.num_classes, score_nk.dtype)
            label = (1 - self.label_smooth_eps) * label + self.label_smooth_eps / self.num_classes
        loss = self.loss_cls(score_nk, label, **options)
        return {**values, **(loss if isinstance(loss, Mapping) else {'loss_cls': loss})}

    def _checked(self, score_nk: Tensor, label: Tensor) -> Tensor:
        """Labels ``(N,)`` or ``(N, K)``."""
        if label.numel() == len(score_nk) and label.ndim > 1 and score_nk.shape[1] > 1:
            label = label.reshape(-1)
        if label.ndim == 1 and len(label) == len(score_nk):
            if not label.is_floating_point():
                check_labels(label, score_nk.shape[1])
            return label
        if label.shape != score_nk.shape:
            raise ValueError(
                f'{type(self).__name__} gives scores {tuple(score_nk.shape)}; labels are (N,) or of the same shape, '
                f'not {tuple(label.shape)}'
            )
        return label


class LinearHead(BaseHead):
    """A head that pools, drops out, and has one layer. State keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        spatial_type: ``'avg'`` takes the mean over all axes after the channels; None takes features that have none.
        dropout_ratio: Of the pooled feature.
        init_std: Standard deviation of the first weights.
        kwargs: As :class:`BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        spatial_type: Literal['avg'] | None = 'avg',
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, **kwargs)
        self.spatial_type, self.init_std = spatial_type, init_std
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Small normal weights."""
        super().init_weights()
        normal_init(self.fc_cls, std=self.init_std)

    def pooled(self, feats: Any) -> Tensor:
        """``(N, C)`` of ``(N, C, ...)``, of a tuple the last."""
        feat = feats[-1] if isinstance(feats, (tuple, list)) else feats
        return feat.flatten(2).mean(2) if self.spatial_type == 'avg' and feat.ndim > 2 else feat.flatten(1)

    def forward(self, feats: Any, num_segs: int | None = None) -> Tensor:
        """Scores ``(N, K)`` of features; ``num_segs`` is not used."""
        return self.fc_cls(self.dropout(self.pooled(feats)))
