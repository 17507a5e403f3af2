"""The parameter groups of temporal shift modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from intarsia.core.registries import OPTIMIZER_BUILDERS
from intarsia.optim.constructors.default import DefaultOptimizerConstructor


@dataclass(frozen=True)
class TSMOptions:
    """What ``paramwise_cfg`` says to :class:`TSMOptimizerConstructor`."""

    fc_lr5: bool
    """Train the last linear layer with 5 times the rate (its bias 10 times)."""


GROUPS: dict[str, tuple[float, float, str]] = {
    'first weight': (1, 1, 'first convolution'),
    'first bias': (2, 0, 'bias: 2 x lr, no decay'),
    'weight': (1, 1, ''),
    'bias': (2, 0, 'bias: 2 x lr, no decay'),
    'norm': (1, 0, 'norm: no decay'),
    'last weight': (5, 1, 'fc_lr5: 5 x lr'),
    'last bias': (10, 0, 'fc_lr5: 10 x lr, no decay'),
}
"""Factors of learning rate and weight decay of each group, and the reason in words."""


@OPTIMIZER_BUILDERS.register_module()
class TSMOptimizerConstructor(DefaultOptimizerConstructor):
    """Seven groups: biases at twice the rate and without decay, norms without decay, the last layer faster.

    "TSM: Temporal Shift Module for Efficient Video Understanding" (Lin et al., 2018, arXiv:1811.08383), as its code
    trains it. The groups, some of which may be empty, with their factors of learning rate and weight decay:

    1. weight of the first convolution, 1 and 1
    2. its bias, 2 and 0
    3. weights of other convolutions and of linear layers, 1 and 1
    4. their biases, 2 and 0
    5. batch and group norms, 1 and 0
    6. weight of the last linear layer, 5 and 1, if ``fc_lr5``
    7. its bias, 10 and 0, if ``fc_lr5``

    Args:
        optimizer_cfg: Node of OPTIMIZERS, with ``lr`` and ``weight_decay``.
        paramwise_cfg: ``dict(fc_lr5=True)`` or ``dict(fc_lr5=False)``.

    Raises:
        ValueError: ``fc_lr5``, or the rate is missing; the model has parameters of another kind; or with ``fc_lr5``
            it does not end in a linear layer with a bias.
    """

    extra_keys: ClassVar[tuple[str, ...]] = ('fc_lr5',)

    def __init__(self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(optimizer_cfg, paramwise_cfg)
        if 'fc_lr5' not in self.paramwise_cfg:
            raise ValueError('TSMOptimizerConstructor needs paramwise_cfg=dict(fc_lr5=True), or False')
        if self.base_lr is None:
            raise ValueError('TSMOptimizerConstructor needs lr in the optimizer')

    def add_params(self, params: list[dict[str, Any]], module: nn.Module) -> None:  # type: ignore[override]
        """Append the seven groups.

        Args:
            params: The groups so far.
            module: The model.
        """
        sorted_params = self._sort(module)
        for kind, (lr_factor, decay_factor, reason) in GROUPS.items():
            group: dict[str, Any] = {'params': sorted_params[kind], 'lr': self.base_lr * lr_factor}
            if decay_factor == 0 or self.base_wd is not None:
                group['weight_decay'] = decay_factor and self.base_wd
            params.append(group)
            self.reasons.update(dict.fromkeys(sorted_params[kind], reason))

    def _sort(self, model: nn.Module) -> dict[str, list[Any]]:
        """The parameters by kind."""
        found: dict[str, list[Any]] = {kind: [] for kind in GROUPS}
        last: tuple[str, nn.Module | None] = '', None
        for name, layer in model.named_modules():
            if isinstance(layer, (_ConvNd, nn.Linear)):
                first = 'first ' if isinstance(layer, _ConvNd) and not found['first weight'] else ''
                found[f'{first}weight'].append(layer.weight)
                if layer.bias is not None:
                    found[f'{first}bias'].append(layer.bias)
                last = name, layer
            elif isinstance(layer, (_BatchNorm, nn.GroupNorm)):
                found['norm'] += [p for p in layer.parameters(recurse=False) if p.requires_grad]
            elif layer._parameters:
                raise ValueError(
                    f"TSMOptimizerConstructor knows convolutions, linear layers, batch and group norms, but '{name}' "
                    f'is a {type(layer).__name__} with parameters of its own; use DefaultOptimizerConstructor for it'
                )
        if self.paramwise_cfg['fc_lr5']:
            _check_last(*last)
            found['last weight'].append(found['weight'].pop())
            found['last bias'].append(found['bias'].pop())
        return found


def _check_last(name: str, layer: nn.Module | None) -> None:
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        ending = f"this one ends in '{name}', {layer}" if layer is not None else 'this one has no such layer'
        raise ValueError(f'fc_lr5=True needs a model that ends in a linear layer with a bias, but {ending}')
