"""The classification head: features in; logits, losses or probabilities out.

Shapes: n samples, c classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import HEADS, MODELS
from intarsia.models.losses.accuracy import accuracy
from intarsia.models.losses.targets import as_scores, check_labels, target_kind
from intarsia.nn.module import BaseModule

Features = Tensor | Sequence[Any]
"""What a backbone or neck returns: a tuple of stages, or one tensor."""


@HEADS.register_module()
class ClsHead(BaseModule):
    """Head without layers of its own: the last feature is the logits. Base of the other heads.

    A subclass with layers overrides :meth:`pre_logits` (all but the last layer) and :meth:`forward`, and sets
    ``num_classes``.

    Args:
        loss: Config of the loss, or a module. It is called as ``loss(score, target, avg_factor=N)``, without the
            factor if it takes none or its reduction is ``'sum'``. What its target is, indices or scores, is decided
            by :func:`~intarsia.models.losses.targets.target_kind`. None means cross entropy.
        topk: The k of the training accuracies.
        cal_acc: Compute the accuracies of every training batch.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: A k is below 1.
    """

    def __init__(
        self,
        loss: Mapping[str, Any] | nn.Module | None = None,
        topk: int | Sequence[int] = (1,),
        cal_acc: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        if not self.topk or min(self.topk) < 1:
            raise ValueError(f'{type(self).__name__}: topk must hold numbers from 1 on, not {topk!r}')
        self.cal_acc = cal_acc
        if loss is None:
            loss = self.default_loss()
        self.compute_loss: nn.Module = loss if isinstance(loss, nn.Module) else MODELS.of('classification').build(loss)
        self._target_kind = target_kind(self.compute_loss)
        self._takes_avg_factor = _takes(self.compute_loss, 'avg_factor')

    @staticmethod
    def default_loss() -> dict[str, Any]:
        """Config of the loss that is used if none is given."""
        return {'type': 'classification.CrossEntropyLoss', 'loss_weight': 1.0}

    @property
    def loss_module(self) -> nn.Module:
        """The loss, under its 1.x name."""
        return self.compute_loss

    def pre_logits(self, feats: Features) -> Tensor:
        """The input of the last layer: the last stage of ``feats`` (``(N, in_channels)``)."""
        return last_stage(feats)

    def forward(self, feats: Features) -> Tensor:
        """Logits ``(N, C)``."""
        return self.pre_logits(feats)

    def loss(self, feats: Features, target: Tensor) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            feats: Output of the backbone or neck.
            target: Class indices int64 ``(N,)``, or scores float ``(N, C)`` as mixup makes them.

        Returns:
            ``loss``, and with ``cal_acc`` ``accuracy_top-K`` in percent for each k.

        Raises:
            ValueError: A label is not a class (seen on the CPU only), or accuracies are asked for with scores.
        """
        return self.losses_of(self(feats), target)

    def losses_of(self, score_nc: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As :meth:`loss`, from logits."""
        if target.dim() == 2 and target.shape[1] == 1 and not target.is_floating_point():
            target = target.squeeze(1)
        if not torch.compiler.is_compiling():
            check_labels(target, score_nc.shape[1])
        losses = {'loss': self._call_loss(score_nc, self._target_for_loss(score_nc, target))}
        if self.cal_acc:
            losses.update(self._accuracies(score_nc, target))
        return losses

    def predict(self, feats: Features) -> Tensor:
        """Probabilities ``(N, C)``, each row adding up to 1."""
        return self(feats).softmax(dim=1)

    def decide(self, probability_nc: Tensor) -> list[tuple[int, ...]]:
        """The predicted classes of each sample, the most probable first; here always one."""
        return [(label,) for label in probability_nc.argmax(dim=1).tolist()]

    def _target_for_loss(self, score_nc: Tensor, target: Tensor) -> Tensor:
        if self._target_kind == 'score':
            return as_scores(target, score_nc.shape[1], score_nc.dtype)
        return target

    def _call_loss(self, score_nc: Tensor, target: Tensor) -> Tensor:
        options: dict[str, Any] = {}
        if self._takes_avg_factor and getattr(self.compute_loss, 'reduction', 'mean') != 'sum':
            options['avg_factor'] = len(score_nc)
        try:
            return self.compute_loss(score_nc, target, **options)
        except Exception as error:
            form = 'scores float (N, C)' if target.is_floating_point() else 'class indices int64 (N,)'
            error.add_note(
                f'{type(self.compute_loss).__name__} was given logits {tuple(score_nc.shape)} and {form} as targets. '
                "A class attribute target_kind = 'index' or 'score' on the loss says which it wants."
            )
            raise

    def _accuracies(self, score_nc: Tensor, target: Tensor) -> dict[str, Tensor]:
        if target.dim() != 1:
            raise ValueError(
                'cal_acc=True needs class indices, but the targets are scores (N, C): there is no accuracy of '
                'mixed labels. Set cal_acc=False, or train without batch augments.'
            )
        values = accuracy(score_nc.detach(), target, self.topk)
        return {f'accuracy_top-{k}': value for k, value in zip(self.topk, values, strict=True)}

    def _check_classes(self, num_classes: int) -> None:
        """For constructors: raise a ValueError if ``num_classes`` contradicts ``topk`` or the loss."""
        name, loss = type(self).__name__, self.compute_loss
        if num_classes < 1:
            raise ValueError(f'{name}: num_classes={num_classes} must be a positive integer')
        if self.cal_acc and max(self.topk) > num_classes:
            raise ValueError(f'{name}: topk={self.topk} asks for more than num_classes={num_classes}')
        theirs = getattr(loss, 'num_classes', None)
        if theirs not in (None, num_classes):
            raise ValueError(f'{name} has num_classes={num_classes}, its {type(loss).__name__} num_classes={theirs}')
        weight = getattr(loss, 'class_weight', None)
        if weight is not None and len(weight) != num_classes:
            raise ValueError(f'{name} has num_classes={num_classes}, its loss {len(weight)} values in class_weight')


def last_stage(feats: Features) -> Any:
    """The last entry of a tuple or list of stages; a tensor is itself the last stage."""
    return feats[-1] if isinstance(feats, (tuple, list)) else feats


def _takes(loss: nn.Module, argument: str) -> bool:
    parameters = inspect.signature(type(loss).forward).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
