"""Initializers that configs name: one of the rules of :mod:`intarsia.nn.init`, or weights from a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.core.registries import INITIALIZERS
from intarsia.nn.init import (
    Distribution,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict

Layers = str | Sequence[str] | None

_log = logging.getLogger(__name__)


class Initializer:
    """Applies one rule to chosen layers of a module.

    Args:
        layer: Class names of the layers; None initializes only by ``override`` or when called for a whole module.
        bias: Constant of their biases.
        bias_prob: Probability that a sigmoid gives for the bias; takes the place of ``bias``.
    """

    def __init__(self, layer: Layers = None, bias: float = 0, bias_prob: float | None = None) -> None:
        self.layers = {layer} if isinstance(layer, str) else set(layer or ())
        self.bias = bias if bias_prob is None else bias_init_with_prob(bias_prob)

    def init_layer(self, layer: nn.Module) -> None:
        """Initialize the parameters of one layer."""
        raise NotImplementedError(f'{type(self).__name__} does not say how a layer is initialized')

    def __call__(self, module: nn.Module, whole: bool = False) -> None:
        """Initialize the layers of ``module`` that are meant, or with ``whole`` all of them."""
        for layer in module.modules():
            kinds = (type(layer), *type(layer).__bases__)
            if whole or any(kind.__name__ in self.layers for kind in kinds):
                self.init_layer(layer)


class _RuleInitializer(Initializer):
    """An initializer whose rule is one of the functions above, with its numbers."""

    def __init__(self, rule: Callable[..., None], numbers: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._rule, self._numbers = rule, dict(numbers)

    def init_layer(self, layer: nn.Module) -> None:
        self._rule(layer, bias=self.bias, **self._numbers)


@INITIALIZERS.register_module(name=['Constant', 'ConstantInit'])
class ConstantInit(_RuleInitializer):
    """:func:`constant_init` of the chosen layers."""

    def __init__(self, val: float, layer: Layers = None, bias: float = 0, bias_prob: float | None = None) -> None:
        super().__init__(constant_init, {'val': val}, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['Xavier', 'XavierInit'])
class XavierInit(_RuleInitializer):
    """:func:`xavier_init` of the chosen layers."""

    def __init__(
        self,
        gain: float = 1,
        distribution: Distribution = 'normal',
        layer: Layers = None,
        bias: float = 0,
        bias_prob: float | None = None,
    ) -> None:
        numbers = {'gain': gain, 'distribution': distribution}
        super().__init__(xavier_init, numbers, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['Normal', 'NormalInit'])
class NormalInit(_RuleInitializer):
    """:func:`normal_init` of the chosen layers."""

    def __init__(
        self,
        mean: float = 0,
        std: float = 1,
        layer: Layers = None,
        bias: float = 0,
        bias_prob: float | None = None,
    ) -> None:
        super().__init__(normal_init, {'mean': mean, 'std': std}, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['TruncNormal', 'TruncNormalInit'])
class TruncNormalInit(_RuleInitializer):
    """:func:`trunc_normal_init` of the chosen layers."""

    def __init__(
        self,
        mean: float = 0,
        std: float = 1,
        a: float = -2,
        b: float = 2,
        layer: Layers = None,
        bias: float = 0,
        bias_prob: float | None = None,
    ) -> None:
        numbers = {'mean': mean, 'std': std, 'a': a, 'b': b}
        super().__init__(trunc_normal_init, numbers, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['Uniform', 'UniformInit'])
class UniformInit(_RuleInitializer):
    """:func:`uniform_init` of the chosen layers."""

    def __init__(
        self,
        a: float = 0,
        b: float = 1,
        layer: Layers = None,
        bias: float = 0,
        bias_prob: float | None = None,
    ) -> None:
        super().__init__(uniform_init, {'a': a, 'b': b}, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['Kaiming', 'KaimingInit'])
class KaimingInit(_RuleInitializer):
    """:func:`kaiming_init` of the chosen layers."""

    def __init__(
        self,
        a: float = 0,
        mode: Literal['fan_in', 'fan_out'] = 'fan_out',
        nonlinearity: str = 'relu',
        distribution: Distribution = 'normal',
        layer: Layers = None,
        bias: float = 0,
        bias_prob: float | None = None,
    ) -> None:
        numbers = {'a': a, 'mode': mode, 'nonlinearity': nonlinearity, 'distribution': distribution}
        super().__init__(kaiming_init, numbers, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['Caffe2Xavier', 'Caffe2XavierInit'])
class Caffe2XavierInit(_RuleInitializer):
    """:func:`caffe2_xavier_init` of the chosen layers."""

    def __init__(self, layer: Layers = None, bias: float = 0, bias_prob: float | None = None) -> None:
        super().__init__(caffe2_xavier_init, {}, layer=layer, bias=bias, bias_prob=bias_prob)


@INITIALIZERS.register_module(name=['Pretrained', 'PretrainedInit'])
class PretrainedInit:
    """Loads weights into a module.

    What the file has beside is passed over, as a classifier's checkpoint has a head that a backbone lacks; what the
    file lacks keeps the values it was built with, and is logged.

    Args:
        checkpoint: A file, or a name that :func:`~intarsia.nn.weights.find_weights` looks up.
        prefix: Load only keys that start with ``prefix.``, without it (``'backbone'``).
        map_location: Device that the tensors are read to; None means the CPU.

    Raises:
        CheckpointError: The file is missing or unreadable, or has none of the module's keys.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: str | None = None) -> None:
        self.checkpoint, self.prefix, self.map_location = checkpoint, prefix, map_location or 'cpu'

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into ``module``."""
        state = read_state_dict(find_weights(self.checkpoint), self.map_location)
        report = load_state_dict(module, state, strict=False, prefix=self.prefix)
        if not report.loaded:
            hint = f" Keys must start with '{self.prefix.rstrip('.')}.'." if self.prefix else ''
            raise CheckpointError(
                f'{self.checkpoint} has no weights for {type(module).__name__}: none of its {len(state)} entries '
                f'fits.{hint} It has {", ".join(list(state)[:3])}, ...; expected are '
                f'{", ".join(list(module.state_dict())[:3])}, ...'
            )
        if report.missing or report.mismatched:
            _log.warning('%s does not fill %s:\n%s', self.checkpoint, type(module).__name__, report)
