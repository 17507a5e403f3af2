"""What ``paramwise_cfg`` can say: factors of learning rate and weight decay, and which parameter each is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

_NORM_LAYERS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)
_DEFORMABLE = ('DeformConv2d', 'ModulatedDeformConv2d')
LR_RULES = ('bias_lr_mult', 'dcn_offset_lr_mult')
DECAY_RULES = ('norm_decay_mult', 'bias_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult')


@dataclass(frozen=True)
class ParamwiseOptions:
    """Factors that single parameters multiply the optimizer's learning rate and weight decay with."""

    custom_keys: Mapping[str, Any] = field(default_factory=dict)
    """``{part of a name: dict(lr_mult=, decay_mult=)}``. The longest key that a parameter's full name contains
    decides, and no other rule applies to that parameter. Further entries become options of its group."""
    bias_lr_mult: float | None = None
    """Rate of biases outside norm layers and deformable convolutions."""
    bias_decay_mult: float | None = None
    """Decay of biases outside norm layers, depth-wise and deformable convolutions."""
    norm_decay_mult: float | None = None
    """Decay of weight and bias of norm layers."""
    dwconv_decay_mult: float | None = None
    """Decay of weight and bias of depth-wise convolutions."""
    flat_decay_mult: float | None = None
    """Decay of other parameters of one dimension, those of kinds whose own factor is not given included."""
    dcn_offset_lr_mult: float | None = None
    """Rate of the offset convolutions of deformable convolutions."""
    bypass_duplicate: bool = False
    """Leave out parameters that are shared with an earlier one, instead of failing on them."""
    bias_decay_everywhere: bool = False
    """``bias_decay_mult`` is for depth-wise convolutions too, and for norm layers without ``norm_decay_mult``: the
    first factor that is given counts, in the order norm, bias, dwconv, flat."""
    skip_frozen: bool = False
    """Leave parameters that need no gradient out of the optimizer."""
    combine_custom_keys: bool = False
    """Multiply the factors of all keys that a name contains, instead of taking the longest."""
    force_default_settings: bool = False
    """The other rules go for parameters with a custom key too, where their factor is given."""

    def given(self, rules: Iterable[str]) -> list[str]:
        """Those of the rules that have a factor."""
        return [rule for rule in rules if getattr(self, rule) is not None]

    @property
    def scales_decay(self) -> bool:
        """Whether any factor multiplies the weight decay."""
        return bool(self.given(DECAY_RULES)) or any('decay_mult' in v for v in self.custom_keys.values())

    @property
    def scales_lr(self) -> bool:
        """Whether any factor multiplies the learning rate."""
        return bool(self.given(LR_RULES)) or any('lr_mult' in v for v in self.custom_keys.values())

    def rules_of(self, traits: Traits) -> dict[str, str]:
        """Which rules decide over a parameter: ``{'lr_mult': 'bias_lr_mult', 'decay_mult': 'norm_decay_mult'}``."""
        in_special_layer = traits.is_norm or traits.is_depthwise
        decides = {
            'bias_lr_mult': traits.is_bias and not traits.is_norm,
            'dcn_offset_lr_mult': traits.is_offset,
            'norm_decay_mult': traits.is_norm,
            'bias_decay_mult': traits.is_bias and (self.bias_decay_everywhere or not in_special_layer),
            'dwconv_decay_mult': traits.is_depthwise,
            'flat_decay_mult': traits.is_flat,
        }
        first = {
            factor: next((rule for rule in self.given(rules) if decides[rule]), None)
            for factor, rules in (('lr_mult', LR_RULES), ('decay_mult', DECAY_RULES))
        }
        return {factor: rule for factor, rule in first.items() if rule is not None}


@dataclass(frozen=True)
class Traits:
    """What the rules look at: the kind of a parameter and of the layer it is in.

    Attributes:
        is_bias: It is called ``bias`` and is not part of a deformable convolution's inner layers.
        is_flat: It has one dimension, likewise.
        is_norm: The layer is a batch, instance, group or layer norm.
        is_depthwise: The layer is a depth-wise convolution.
        is_offset: The layer is the offset convolution of a deformable convolution.
    """

    is_bias: bool
    is_flat: bool
    is_norm: bool
    is_depthwise: bool
    is_offset: bool

    @classmethod
    def of(cls, module: nn.Module, name: str, prefix: str, in_deformable: bool) -> Traits:
        """Those of the parameter ``name`` of a layer.

        Args:
            module: The layer.
            name: Name of the parameter in it.
            prefix: Name of the layer in the model.
            in_deformable: Whether the layer is a child of a deformable convolution.
        """
        is_conv = isinstance(module, nn.Conv2d)
        return cls(
            is_bias=name == 'bias' and not in_deformable,
            is_flat=module.get_parameter(name).ndim == 1 and not in_deformable,
            is_norm=isinstance(module, _NORM_LAYERS),
            is_depthwise=isinstance(module, nn.Conv2d) and module.in_channels == module.groups,
            is_offset=is_conv and in_deformable and 'conv_offset' in prefix,
        )


def is_deformable(module: nn.Module) -> bool:
    """Whether a module is a deformable convolution."""
    return type(module).__name__ in _DEFORMABLE
