"""Head of Conformer.

Shapes: n samples, c channels or classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.tasks.classification.heads.cls_head import ClsHead, Features, last_stage

TRUNC_NORMAL_INIT = {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02}


@HEADS.register_module()
class ConformerHead(ClsHead):
    """One fully connected layer on the features of convolutions and one on those of attention.

    "Conformer: Local Features Coupling Global Representations for Visual Recognition" (Peng et al., 2021,
    arXiv:2105.03889). Logits are the sum of both; the loss is the mean of the losses of each.

    Args:
        num_classes: Number of classes C.
        in_channels: Channels of both features.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`~intarsia.tasks.classification.heads.cls_head.ClsHead`.
    """

    def __init__(
        self, num_classes: int, in_channels: Sequence[int], init_cfg: Any = TRUNC_NORMAL_INIT, **kwargs: Any
    ) -> None:
        super().__init__(init_cfg=TRUNC_NORMAL_INIT if init_cfg is None else init_cfg, **kwargs)
        self._check_classes(num_classes)
        self.num_classes, self.in_channels = num_classes, in_channels
        self.conv_cls_head = nn.Linear(in_channels[0], num_classes)
        self.trans_cls_head = nn.Linear(in_channels[1], num_classes)

    def pre_logits(self, feats: Features) -> Any:
        """Both features ``(N, C)`` of the last stage."""
        return last_stage(feats)

    def logits_of_branches(self, feats: Features) -> tuple[Tensor, Tensor]:
        """Logits ``(N, C)`` of convolutions and of attention."""
        conv_nc, token_nc = self.pre_logits(feats)
        return self.conv_cls_head(conv_nc), self.trans_cls_head(token_nc)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        conv_nc, token_nc = self.logits_of_branches(feats)
        return conv_nc + token_nc

    def loss(self, feats: Features, target: Tensor) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            feats: Output of the backbone.
            target: Class indices int64 ``(N,)``, or scores float ``(N, C)`` as mixup makes them.

        Returns:
            ``loss``, and with ``cal_acc`` ``accuracy_top-K`` in percent for each k.
        """
        branches = self.logits_of_branches(feats)
        losses = self.losses_of(branches[0] + branches[1], target) if self.cal_acc else {}
        parts = [self.losses_of(score_nc, target)['loss'] for score_nc in branches]
        return {**losses, 'loss': (parts[0] + parts[1]) / 2}
