"""Cross entropy with smoothed labels.

Shapes: n samples, c classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from intarsia.core.registries import LOSSES
from intarsia.models.losses.targets import as_scores
from intarsia.models.losses.weighted import WeightedLoss
from intarsia.tasks.classification.losses.cross_entropy_loss import CrossEntropyLoss

MODES = ('original', 'classy_vision', 'multi_label')


@LOSSES.register_module()
class LabelSmoothLoss(WeightedLoss):
    """Cross entropy with labels that are moved away from 0 and 1.

    "Rethinking the Inception Architecture for Computer Vision" (Szegedy et al., 2016, arXiv:1512.00567), section 7.

    Args:
        label_smooth_val: Degree of smoothing e, 0 <= e < 1.
        num_classes: C; taken from the scores if not given.
        mode: With y the score of a class, ``'original'``: (1-e) y + e/C; ``'classy_vision'``: (y + e/C) / (1+e);
            ``'multi_label'``: 1-e where y is positive, else e.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        loss_weight: Factor of the result.
        use_sigmoid: Binary cross entropy per class instead of softmax; None means only in mode ``'multi_label'``.
        class_weight: Factor per class, C numbers.
        pos_weight: Factor of the positive term per class, one number or C; for sigmoid.

    Raises:
        ValueError: ``label_smooth_val`` is outside [0, 1), or the mode is unknown.
    """

    target_kind = 'score'

    def __init__(
        self,
        label_smooth_val: float,
        num_classes: int | None = None,
        mode: Literal['original', 'classy_vision', 'multi_label'] = 'original',
        reduction: Literal['none', 'mean', 'sum'] = 'mean',
        loss_weight: float = 1.0,
        use_sigmoid: bool | None = None,
        class_weight: Sequence[float] | None = None,
        pos_weight: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction, loss_weight)
        if not 0 <= label_smooth_val < 1:
            raise ValueError(f'LabelSmoothLoss: label_smooth_val must be in [0, 1), not {label_smooth_val!r}')
        if mode not in MODES:
            raise ValueError(f'LabelSmoothLoss: mode must be one of {", ".join(MODES)}, not {mode!r}')
        self.label_smooth_val = label_smooth_val
        self.num_classes = num_classes
        self.mode = mode
        sigmoid = mode == 'multi_label' if use_sigmoid is None else use_sigmoid
        self.cross_entropy = CrossEntropyLoss(
            use_sigmoid=sigmoid, use_soft=not sigmoid, class_weight=class_weight, pos_weight=pos_weight
        )

    def smooth(self, target_nc: Tensor) -> Tensor:
        """The smoothed labels ``(N, C)``."""
        epsilon = self.label_smooth_val
        if self.mode == 'multi_label':
            return torch.where(target_nc > 0, 1 - epsilon, epsilon).to(target_nc.dtype)
        if self.mode == 'classy_vision':
            epsilon = epsilon / (1 + epsilon)
        return target_nc * (1 - epsilon) + epsilon / target_nc.shape[1]

    def per_element(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss per sample ``(N,)``, with sigmoid per element ``(N, C)``.

        Args:
            pred: Logits ``(N, C)``.
            target: Class indices int64 ``(N,)``, or scores ``(N, C)``.

        Raises:
            ValueError: ``num_classes`` was given and the scores have another number of classes.
        """
        num_classes = pred.shape[1]
        if self.num_classes not in (None, num_classes):
            raise ValueError(f'LabelSmoothLoss has num_classes={self.num_classes}, but gets {num_classes} scores')
        return self.cross_entropy.per_element(pred, self.smooth(as_scores(target, num_classes, pred.dtype)))
