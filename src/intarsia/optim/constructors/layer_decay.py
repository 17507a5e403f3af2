"""Learning rates that decay from the head of a network to its input."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from intarsia.core.registries import OPTIMIZER_BUILDERS
from intarsia.optim.constructors.default import DefaultOptimizerConstructor
from intarsia.optim.constructors.layer_depth import Depths, depths_by_name, depths_of
from intarsia.optim.constructors.paramwise import ParamwiseOptions, Traits


@dataclass(frozen=True)
class LayerDecayOptions:
    """What ``paramwise_cfg`` says to :class:`LearningRateDecayOptimizerConstructor`."""

    decay_rate: float
    """Factor from one layer to the one before it."""
    num_layers: int | None = None
    """Layers of the backbone; optional for backbones that know their depths themselves."""
    decay_type: Literal['layer_wise', 'stage_wise', 'layer_wise_vit'] = 'layer_wise'
    """Whether the rate decays from layer to layer or, for ConvNeXt, from stage to stage."""
    no_decay: Sequence[str] = ()
    """Parts of names of parameters without weight decay, besides biases and other parameters of one dimension."""


@dataclass(frozen=True)
class OldLayerDecayOptions:
    """What ``paramwise_cfg`` says to :class:`LayerDecayOptimizerConstructor`."""

    layer_decay_rate: float
    """Factor from one layer to the one before it."""
    num_layers: int | None = None
    """Layers of the backbone."""


@dataclass(frozen=True)
class DepthOptions:
    """What ``paramwise_cfg`` says to :class:`LearningRateDecayOptimWrapperConstructor` besides the usual factors."""

    layer_decay_rate: float = 1.0
    """Factor from one layer to the one before it."""


@OPTIMIZER_BUILDERS.register_module()
class LearningRateDecayOptimizerConstructor(DefaultOptimizerConstructor):
    """A group for each layer, with a rate that decays towards the input, and another without weight decay.

    The layer-wise decay of "BEiT: BERT Pre-Training of Image Transformers" (Bao et al., 2021, arXiv:2106.08254) and
    "A ConvNet for the 2020s" (Liu et al., 2022, arXiv:2201.03545). The layers of ConvNeXt and of plain transformers
    (BEiT, MAE, ViT) are told from names; other backbones need a method ``get_layer_depth``. Biases and other parameters
    of one dimension have no weight decay; frozen ones are left out. Groups have ``lr_scale`` and ``group_name``.

    Args:
        optimizer_cfg: Node of OPTIMIZERS, with ``lr``.
        paramwise_cfg: The fields of :class:`LayerDecayOptions`.

    Raises:
        ValueError: ``decay_rate`` or ``lr`` is missing, ``num_layers`` is missing or does not fit, or the backbone
            is of an unknown kind.
    """

    rate_key: ClassVar[str] = 'decay_rate'

    def __init__(self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(optimizer_cfg, paramwise_cfg)
        given = self.paramwise_cfg
        if self.rate_key not in given:
            raise ValueError(f'{type(self).__name__} needs {self.rate_key} in paramwise_cfg')
        if self.base_lr is None:
            raise ValueError(f'{type(self).__name__} needs lr in the optimizer')
        kind = given.get('decay_type', 'layer_wise')
        if kind not in ('layer_wise', 'stage_wise', 'layer_wise_vit'):
            raise ValueError(f"decay_type must be 'layer_wise' or 'stage_wise', not {kind!r}")
        self.layer_decay = LayerDecayOptions(
            given[self.rate_key], given.get('num_layers'), kind, given.get('no_decay', ())
        )

    def add_params(self, params: list[dict[str, Any]], module: nn.Module) -> None:  # type: ignore[override]
        """Append the groups, in the order of their first parameters.

        Args:
            params: The groups so far.
            module: The model.
        """
        depths = self._depths(module)
        groups: dict[str, dict[str, Any]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            (depth, num_depths), decays = depths(name), self._decays(name, parameter)
            group_name = f'layer_{depth}_{"decay" if decays else "no_decay"}'
            if group_name not in groups:
                groups[group_name] = self._group(group_name, depth, num_depths, decays)
            groups[group_name]['params'].append(parameter)
            self.reasons[parameter] = f'layer {depth} of {num_depths - 1}' + ('' if decays else ', no decay')
        params.extend(groups.values())

    def _group(self, name: str, depth: int, num_depths: int, decays: bool) -> dict[str, Any]:
        scale = self.layer_decay.decay_rate ** (num_depths - depth - 1)
        decay = self.base_wd if decays else 0.0
        own = {} if decay is None else {'weight_decay': decay}
        return {'params': [], 'lr': self.base_lr * scale, 'lr_scale': scale, 'group_name': name, **own}

    def _decays(self, name: str, parameter: nn.Parameter) -> bool:
        # cls_token and pos_embed of a backbone do decay: these are the names in a model that is a bare backbone
        spared = parameter.ndim == 1 or name.endswith('.bias') or name in ('pos_embed', 'cls_token')
        return not spared and not any(part in name for part in self.layer_decay.no_decay)

    def _depths(self, model: nn.Module) -> Depths:
        num_layers, by_stage = self.layer_decay.num_layers, self.layer_decay.decay_type == 'stage_wise'
        if num_layers is not None:
            by_name = depths_by_name(model, num_layers, by_stage)
            if by_name is not None:
                return by_name
        own = depths_of(model)
        _, num_depths = own(next(name for name, _ in model.named_parameters()))
        if by_stage or (num_layers is not None and num_layers != num_depths - 2):
            raise ValueError(
                f'{type(self).__name__} needs num_layers={num_depths - 2} for this model, not {num_layers}'
            )
        return own


@OPTIMIZER_BUILDERS.register_module()
class LayerDecayOptimizerConstructor(LearningRateDecayOptimizerConstructor):
    """:class:`LearningRateDecayOptimizerConstructor` under an older name, with ``layer_decay_rate`` for ``decay_rate``.

    Args:
        optimizer_cfg: Node of OPTIMIZERS, with ``lr``.
        paramwise_cfg: ``dict(num_layers=12, layer_decay_rate=0.9)``.
    """

    rate_key: ClassVar[str] = 'layer_decay_rate'


@OPTIMIZER_BUILDERS.register_module()
class LearningRateDecayOptimWrapperConstructor(DefaultOptimizerConstructor):
    """A group for each parameter, with a rate that decays towards the input and the usual factors of weight decay.

    The model, or its backbone, says by ``get_layer_depth`` how deep a parameter lies. Factors of the learning rate
    have no effect. Frozen parameters are left out. Groups have ``lr_scale``, ``layer_id`` and ``param_name``.

    Args:
        optimizer_cfg: Node of OPTIMIZERS, with ``lr``.
        paramwise_cfg: ``layer_decay_rate`` and the fields of
            :class:`~intarsia.optim.constructors.paramwise.ParamwiseOptions`.

    Raises:
        ValueError: ``lr`` is missing, or nobody knows the depths.
    """

    extra_keys: ClassVar[tuple[str, ...]] = ('layer_decay_rate',)

    def __init__(self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(optimizer_cfg, paramwise_cfg)
        if self.base_lr is None:
            raise ValueError(f'{type(self).__name__} needs lr in the optimizer')
        self._depths: Depths

    def _options(self) -> ParamwiseOptions:
        options = super()._options()
        if options.scales_lr:
            logging.getLogger('intarsia').warning(
                '%s sets learning rates by depth alone: lr factors of paramwise_cfg change nothing', type(self).__name__
            )
        return dataclasses.replace(options, bias_decay_everywhere=True, skip_frozen=True)

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of ``model``, or of the module it wraps."""
        self._depths = depths_of(getattr(model, 'module', model))
        return super().__call__(model)

    def own_options(self, name: str, traits: Traits) -> tuple[dict[str, Any], str]:
        """The usual options with the rate of the parameter's depth, and why."""
        own, why = super().own_options(name, traits)
        depth, num_depths = self._depths(name)
        scale = self.paramwise_cfg.get('layer_decay_rate', 1.0) ** (num_depths - depth - 1)
        own |= {'lr': self.base_lr * scale, 'lr_scale': scale, 'layer_id': depth, 'param_name': name}
        return own, ', '.join(filter(None, (f'layer {depth} of {num_depths - 1}', why)))
