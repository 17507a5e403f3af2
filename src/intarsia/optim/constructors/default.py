"""Parameter groups with their own learning rate and weight decay."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from intarsia.config.optimizer import FACTORS, meant_factor
from intarsia.core.errors import closest
from intarsia.core.registries import OPTIMIZER_BUILDERS
from intarsia.optim.build import build_with_params
from intarsia.optim.constructors.paramwise import ParamwiseOptions, Traits, is_deformable
from intarsia.optim.groups import remember_reasons


@OPTIMIZER_BUILDERS.register_module()
class DefaultOptimizerConstructor:
    """Builds the optimizer; with ``paramwise_cfg`` every parameter becomes a group of its own.

    A subclass overrides :meth:`add_params`, also in the two-argument form ``add_params(self, params, module)``, or
    :meth:`own_options`.

    Args:
        optimizer_cfg: Node of OPTIMIZERS.
        paramwise_cfg: The fields of :class:`~intarsia.optim.constructors.paramwise.ParamwiseOptions`. A subclass may
            read keys of its own.

    Attributes:
        base_lr: The ``lr`` of the optimizer, or None.
        base_wd: Its ``weight_decay``, or None.
        reasons: Why a parameter has its options, in a few words.

    Raises:
        TypeError: One of the two is no dict, or ``custom_keys`` is none.
        ValueError: A factor is given for an option that the optimizer's node does not have.
    """

    extra_keys: ClassVar[tuple[str, ...]] = ()
    """Keys of ``paramwise_cfg`` that a subclass reads besides the usual ones."""

    def __init__(self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        if not isinstance(optimizer_cfg, Mapping):
            raise TypeError(f'optimizer_cfg must be a dict, not {optimizer_cfg!r}')
        if paramwise_cfg is not None and not isinstance(paramwise_cfg, Mapping):
            raise TypeError(f'paramwise_cfg must be None or a dict, not {paramwise_cfg!r}')
        self.optimizer_cfg = dict(optimizer_cfg)
        self.paramwise_cfg = dict(paramwise_cfg or {})
        self.base_lr: Any = self.optimizer_cfg.get('lr')
        self.base_wd: Any = self.optimizer_cfg.get('weight_decay')
        self.options = self._options()
        if self.options.scales_decay and self.base_wd is None:
            raise ValueError('a decay factor in paramwise_cfg needs weight_decay in the optimizer')
        if self.options.scales_lr and self.base_lr is None:
            raise ValueError('a factor of the learning rate in paramwise_cfg needs lr in the optimizer')
        self.reasons: dict[nn.Parameter, str] = {}
        self._keys = sorted(sorted(self.options.custom_keys), key=len, reverse=True)
        self._matched: set[str] = set()
        self._names: dict[nn.Module, str] = {}
        self._in_deformable: set[nn.Module] = set()

    def _options(self) -> ParamwiseOptions:
        known = ParamwiseOptions.__dataclass_fields__
        unknown = [k for k in self.paramwise_cfg if k not in known and k not in self.extra_keys]
        if unknown and type(self).add_params is DefaultOptimizerConstructor.add_params:
            close = closest(unknown[0], known)
            hint = f" Did you mean '{close}'?" if close else ''
            logging.getLogger('intarsia').warning(
                "paramwise_cfg has '%s', which %s does not read, so it changes nothing.%s",
                unknown[0], type(self).__name__, hint,
            )  # fmt: skip
        options = ParamwiseOptions(**{k: v for k, v in self.paramwise_cfg.items() if k in known})
        _check_custom_keys(options.custom_keys)
        return options

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of ``model``, or of the module it wraps."""
        inner = getattr(model, 'module', model)
        self.reasons, self._matched = {}, set()
        if not self.paramwise_cfg:
            return build_with_params(self.optimizer_cfg, list(inner.parameters()))
        groups: list[dict[str, Any]] = []
        self._names = {module: name for name, module in inner.named_modules()}
        self._in_deformable = {child for m in inner.modules() if is_deformable(m) for child in m.children()}
        self._add(groups, inner, '', False)
        self._report_unmatched()
        return remember_reasons(build_with_params(self.optimizer_cfg, groups), self.reasons)

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = '', is_dcn_module: bool | None = None
    ) -> None:
        """Append the groups of ``module`` and everything below it.

        Args:
            params: The groups so far.
            module: What is added.
            prefix: Its name in the model; by default looked up.
            is_dcn_module: Whether it is a child of a deformable convolution; by default looked up.
        """
        prefix = prefix or self._names.get(module, '')
        in_deformable = bool(is_dcn_module) or module in self._in_deformable
        present = {id(p) for group in params for p in group['params']}
        for name, parameter in module.named_parameters(recurse=False):
            full_name = f'{prefix}.{name}'.strip('.')
            if id(parameter) in present:
                self._refuse_shared(full_name)
            elif parameter.requires_grad:
                traits = Traits.of(module, name, prefix, in_deformable)
                own, self.reasons[parameter] = self.own_options(full_name, traits)
                params.append({'params': [parameter], **own})
            elif not self.options.skip_frozen:
                params.append({'params': [parameter]})
        for child_name, child in module.named_children():
            self._add(params, child, f'{prefix}.{child_name}'.strip('.'), is_deformable(module))

    def _add(self, params: list[dict[str, Any]], module: nn.Module, prefix: str, is_dcn_module: bool) -> None:
        """Call :meth:`add_params` with as many arguments as its override takes."""
        accepted = inspect.signature(self.add_params).parameters
        extra: dict[str, Any] = {
            k: v for k, v in (('prefix', prefix), ('is_dcn_module', is_dcn_module)) if k in accepted
        }
        self.add_params(params, module, **extra)

    def _refuse_shared(self, name: str) -> None:
        if not self.options.bypass_duplicate:
            raise ValueError(f'{name} is shared with an earlier parameter; paramwise_cfg needs bypass_duplicate=True')

    def own_options(self, name: str, traits: Traits) -> tuple[dict[str, Any], str]:
        """The options of a parameter's group, and why it has them.

        Args:
            name: Full name of the parameter.
            traits: Its kind and that of its layer.

        Returns:
            ``lr`` and ``weight_decay``, where the optimizer has them, and further options; names of the rules.
        """
        options = self.options
        keys = [key for key in self._keys if key in name]
        keys = keys if options.combine_custom_keys else keys[:1]
        self._matched.update(keys)
        customs = [options.custom_keys[key] for key in keys]
        factors = {f: math.prod(c.get(f, 1.0) for c in customs) for f in FACTORS}
        rules = options.rules_of(traits) if not keys or options.force_default_settings else {}
        factors |= {factor: getattr(options, rule) for factor, rule in rules.items()}

        own: dict[str, Any] = {}
        if self.base_lr is not None:
            own['lr'] = self.base_lr * factors['lr_mult']
        if self.base_wd is not None:
            own['weight_decay'] = self.base_wd * factors['decay_mult']
        for custom in customs:
            own |= {k: v for k, v in custom.items() if k not in FACTORS}
        return own, ', '.join([*(f"custom_keys['{key}']" for key in keys), *rules.values()])

    def _report_unmatched(self) -> None:
        unmatched = sorted(set(self._keys) - self._matched)
        if unmatched:
            logging.getLogger('intarsia').warning(
                'custom_keys of paramwise_cfg that no parameter contains: %s', ', '.join(unmatched)
            )


def _check_custom_keys(custom_keys: Any) -> None:
    if not isinstance(custom_keys, Mapping) or not all(isinstance(v, Mapping) for v in custom_keys.values()):
        raise TypeError(f'custom_keys must be a dict of dicts, not {custom_keys!r}')
    for key, custom in custom_keys.items():
        for option in custom:
            meant = meant_factor(option)
            if meant:
                raise ValueError(f"custom_keys['{key}'] has '{option}'. Did you mean '{meant}'?")
