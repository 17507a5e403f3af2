"""Parameter groups with their own learning rate and weight decay."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from intarsia.core.errors import closest
from intarsia.core.registries import OPTIMIZER_BUILDERS, OPTIMIZERS

_NORM_LAYERS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)


@dataclass(frozen=True)
class ParamwiseOptions:
    """Factors that single parameters multiply the optimizer's learning rate and weight decay with."""

    custom_keys: Mapping[str, Any] = field(default_factory=dict)
    """``{part of a name: dict(lr_mult=, decay_mult=)}``. The longest key that a parameter's full name contains
    decides, and no other rule applies to that parameter."""
    bias_lr_mult: float | None = None
    """Rate of biases outside norm layers and offset convolutions."""
    bias_decay_mult: float | None = None
    """Decay of the same, where no rule of norm or depth-wise layers applies."""
    norm_decay_mult: float | None = None
    """Decay of weight and bias of norm layers."""
    dwconv_decay_mult: float | None = None
    """Decay of depth-wise convolutions."""
    dcn_offset_lr_mult: float | None = None
    """Rate of the offset convolutions of deformable convolutions."""
    bypass_duplicate: bool = False
    """Leave out parameters that are shared with an earlier one, instead of failing on them."""

    @property
    def needs_weight_decay(self) -> bool:
        """Whether any factor multiplies the weight decay."""
        own = (self.bias_decay_mult, self.norm_decay_mult, self.dwconv_decay_mult)
        return any(m is not None for m in own) or any('decay_mult' in v for v in self.custom_keys.values())


@OPTIMIZER_BUILDERS.register_module()
class DefaultOptimizerConstructor:
    """Builds the optimizer; with ``paramwise_cfg`` every parameter becomes a group of its own.

    A subclass overrides :meth:`add_params`, also in the two-argument form ``add_params(self, params, module)``.

    Args:
        optimizer_cfg: Node of OPTIMIZERS.
        paramwise_cfg: The fields of :class:`ParamwiseOptions`. A subclass may read keys of its own.

    Raises:
        TypeError: One of the two is no dict, or ``custom_keys`` is none.
        ValueError: A decay factor is given, but the optimizer has no weight decay; or an unknown key.
    """

    def __init__(self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        if not isinstance(optimizer_cfg, Mapping):
            raise TypeError(f'optimizer_cfg must be a dict, not {optimizer_cfg!r}')
        if paramwise_cfg is not None and not isinstance(paramwise_cfg, Mapping):
            raise TypeError(f'paramwise_cfg must be None or a dict, not {paramwise_cfg!r}')
        self.optimizer_cfg = dict(optimizer_cfg)
        self.paramwise_cfg = dict(paramwise_cfg or {})
        self.base_lr = self.optimizer_cfg.get('lr')
        self.base_wd = self.optimizer_cfg.get('weight_decay')
        self.options = self._options()
        if self.options.needs_weight_decay and self.base_wd is None:
            raise ValueError('a decay factor in paramwise_cfg needs weight_decay in the optimizer')
        self._keys = sorted(sorted(self.options.custom_keys), key=len, reverse=True)
        self._matched: set[str] = set()

    def _options(self) -> ParamwiseOptions:
        known = ParamwiseOptions.__dataclass_fields__
        unknown = [k for k in self.paramwise_cfg if k not in known]
        if unknown and type(self).add_params is DefaultOptimizerConstructor.add_params:
            close = closest(unknown[0], known)
            hint = f" Did you mean '{close}'?" if close else ''
            logging.getLogger('intarsia').warning(
                "paramwise_cfg has '%s', which %s does not read, so it changes nothing.%s",
                unknown[0], type(self).__name__, hint,
            )  # fmt: skip
        options = ParamwiseOptions(**{k: v for k, v in self.paramwise_cfg.items() if k in known})
        if not isinstance(options.custom_keys, Mapping):
            raise TypeError(f'custom_keys must be a dict, not {options.custom_keys!r}')
        return options

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of ``model``, or of the module it wraps."""
        inner = getattr(model, 'module', model)
        if not self.paramwise_cfg:
            return OPTIMIZERS.build(self.optimizer_cfg, params=list(inner.parameters()))
        groups: list[dict[str, Any]] = []
        self._matched.clear()
        self._add(groups, inner, '', False)
        self._report_unmatched()
        return OPTIMIZERS.build(self.optimizer_cfg, params=groups)

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = '', is_dcn_module: bool | None = None
    ) -> None:
        """Append the groups of ``module`` and everything below it.

        Args:
            params: The groups so far.
            module: What is added.
            prefix: Its name in the model.
            is_dcn_module: Whether it is a deformable convolution or lies in one.
        """
        for name, parameter in module.named_parameters(recurse=False):
            if self._is_shared(params, parameter, f'{prefix}.{name}'.strip('.')):
                continue
            own = self._factors(module, name, prefix, bool(is_dcn_module)) if parameter.requires_grad else {}
            params.append({'params': [parameter], **own})
        is_deformable = type(module).__name__ in ('DeformConv2d', 'ModulatedDeformConv2d')
        for child_name, child in module.named_children():
            self._add(params, child, f'{prefix}.{child_name}'.strip('.'), is_deformable)

    def _add(self, params: list[dict[str, Any]], module: nn.Module, prefix: str, is_dcn_module: bool) -> None:
        """Call :meth:`add_params` with as many arguments as its override takes."""
        accepted = inspect.signature(self.add_params).parameters
        extra: dict[str, Any] = {
            k: v for k, v in (('prefix', prefix), ('is_dcn_module', is_dcn_module)) if k in accepted
        }
        self.add_params(params, module, **extra)

    def _is_shared(self, params: list[dict[str, Any]], parameter: nn.Parameter, name: str) -> bool:
        if not any(parameter is p for group in params for p in group['params']):
            return False
        if not self.options.bypass_duplicate:
            raise ValueError(f'{name} is shared with an earlier parameter; paramwise_cfg needs bypass_duplicate=True')
        return True

    def _factors(self, module: nn.Module, name: str, prefix: str, is_dcn_module: bool) -> dict[str, float]:
        """The group's own ``lr`` and ``weight_decay``, where it has any."""
        options, full_name = self.options, f'{prefix}.{name}'.strip('.')
        key = next((k for k in self._keys if k in full_name), None)
        if key is not None:
            self._matched.add(key)
            custom = options.custom_keys[key]
            return self._scaled(custom.get('lr_mult', 1.0), custom.get('decay_mult', 1.0))
        is_norm = isinstance(module, _NORM_LAYERS)
        is_depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
        is_offset = is_dcn_module and isinstance(module, nn.Conv2d) and 'conv_offset' in prefix
        is_bias = name == 'bias' and not is_norm and not is_offset
        rate = options.bias_lr_mult if is_bias else options.dcn_offset_lr_mult if is_offset else None
        return self._scaled(_or_one(rate), self._decay_factor(is_norm, is_depthwise, is_bias))

    def _decay_factor(self, is_norm: bool, is_depthwise: bool, is_bias: bool) -> float:
        """Rules of norm layers go before depth-wise ones, and these before biases."""
        options = self.options
        if is_norm:
            return _or_one(options.norm_decay_mult)
        if is_depthwise:
            return _or_one(options.dwconv_decay_mult)
        return _or_one(options.bias_decay_mult) if is_bias else 1.0

    def _scaled(self, lr_factor: float, decay_factor: float) -> dict[str, float]:
        own = {}
        if self.base_lr is not None:
            own['lr'] = self.base_lr * lr_factor
        if self.base_wd is not None:
            own['weight_decay'] = self.base_wd * decay_factor
        return own

    def _report_unmatched(self) -> None:
        unmatched = sorted(set(self._keys) - self._matched)
        if unmatched:
            logging.getLogger('intarsia').warning(
                'custom_keys of paramwise_cfg that no parameter contains: %s', ', '.join(unmatched)
            )


def _or_one(factor: float | None) -> float:
    return 1.0 if factor is None else factor
