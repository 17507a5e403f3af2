"""How weights are initialized: functions for one layer, and configs for the layers of a module.

An initializer config has these keys beside ``type`` and the numbers of its rule:

``layer``
    Class name, or list of them. Every submodule whose class or direct base class is called so is initialized.
``bias``, ``bias_prob``
    Constant of the bias, or the probability a sigmoid gives for it at the start (focal loss).
``override``
    One or several configs for children by ``name``, which win over ``layer``; without ``type`` they repeat the rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.core.registries import INITIALIZERS

Distribution = Literal['normal', 'uniform']


# ---------------------------------------------------------------------- one layer


def bias_init_with_prob(prior_prob: float) -> float:
    """The bias with which ``sigmoid(bias) = prior_prob``."""
    return -math.log((1 - prior_prob) / prior_prob)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fill a tensor from a normal distribution cut off at the values ``a`` and ``b`` (not multiples of ``std``).

    Nothing is drawn beyond five standard deviations: older releases of PyTorch invert the distribution in float32, and
    where its tail is finer than that now and then return the bound itself, -2 among values of 0.02.
    """
    low, high = max(a, mean - 5 * std), min(b, mean + 5 * std)
    return nn.init.trunc_normal_(tensor, mean, std, *((low, high) if low < high else (a, b)))


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Fill ``module.weight`` with ``val`` and ``module.bias`` with ``bias``; what is absent is passed over."""
    _fill(module, lambda weight: nn.init.constant_(weight, val), bias)


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: Distribution = 'normal') -> None:
    """Variance kept in both directions (Understanding the difficulty of training ..., Glorot & Bengio 2010)."""
    rule = nn.init.xavier_uniform_ if _is_uniform(distribution) else nn.init.xavier_normal_
    _fill(module, lambda weight: rule(weight, gain=gain), bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Weights from a normal distribution."""
    _fill(module, lambda weight: nn.init.normal_(weight, mean, std), bias)


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Weights from a normal distribution cut off at the values ``a`` and ``b`` (not multiples of ``std``)."""
    _fill(module, lambda weight: trunc_normal_(weight, mean, std, a, b), bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Weights from a uniform distribution over ``[a, b]``."""
    _fill(module, lambda weight: nn.init.uniform_(weight, a, b), bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: Literal['fan_in', 'fan_out'] = 'fan_out',
    nonlinearity: str = 'relu',
    bias: float = 0,
    distribution: Distribution = 'normal',
) -> None:
    """Variance kept through rectifiers (Delving Deep into Rectifiers, He et al. 2015, arXiv:1502.01852).

    Args:
        module: The layer.
        a: Negative slope of the rectifier, for ``nonlinearity='leaky_relu'``.
        mode: Keep the variance of the forward (``fan_in``) or of the backward pass.
        nonlinearity: Name of the function that follows.
        bias: Constant of the bias.
        distribution: ``'normal'`` or ``'uniform'``.
    """
    rule: Callable[..., Tensor] = nn.init.kaiming_uniform_ if _is_uniform(distribution) else nn.init.kaiming_normal_
    _fill(module, lambda weight: rule(weight, a=a, mode=mode, nonlinearity=nonlinearity), bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Caffe2's ``XavierFill``: uniform, variance 1 / fan-in."""
    kaiming_init(module, a=1, mode='fan_in', nonlinearity='leaky_relu', bias=bias, distribution='uniform')


def _fill(module: nn.Module, fill_weight: Callable[[Tensor], object], bias: float) -> None:
    weight, offset = getattr(module, 'weight', None), getattr(module, 'bias', None)
    if isinstance(weight, Tensor):
        fill_weight(weight)
    if isinstance(offset, Tensor):
        nn.init.constant_(offset, bias)


def _is_uniform(distribution: str) -> bool:
    if distribution not in ('normal', 'uniform'):
        raise ValueError(f"distribution must be 'normal' or 'uniform', not {distribution!r}")
    return distribution == 'uniform'


# ---------------------------------------------------------------------- configs


def is_pretrained(cfg: Mapping[str, Any]) -> bool:
    """Whether an initializer config loads weights, by the name or the class of its type."""
    kind = cfg.get('type')
    return getattr(kind, '__name__', kind) in ('Pretrained', 'PretrainedInit')


def initialize(module: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Apply initializer configs to a module, in order.

    Args:
        module: What is initialized, in place.
        init_cfg: One config or several; see the head of this file.

    Raises:
        ValueError: ``override`` names no child, or a child that ``module`` does not have.
    """
    for cfg in [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg:
        rule = {key: value for key, value in cfg.items() if key != 'override'}
        INITIALIZERS.build(rule)(module)
        overrides = cfg.get('override') or ()
        rule.pop('layer', None)
        for override in [overrides] if isinstance(overrides, Mapping) else overrides:
            _initialize_child(module, override, rule)


def _initialize_child(module: nn.Module, override: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
    own = {key: value for key, value in override.items() if key != 'name'}
    name = override.get('name')
    child = getattr(module, name, None) if name else None
    if not isinstance(child, nn.Module):
        children = ', '.join(dict(module.named_children()))
        raise ValueError(
            f"'override' in the init_cfg of {type(module).__name__} must name one of its children ({children}), "
            f'not {name!r}'
        )
    if own and 'type' not in own:
        raise ValueError(f"the override of '{name}' changes {', '.join(own)}: it needs its own 'type' as well")
    INITIALIZERS.build(own or rule)(child, whole=True)
