"""The check of the field ``optimizer``: one optimizer or several, their constructor and its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from intarsia.config.components import (
    Finding,
    check_argument,
    check_component,
    check_node,
    find_signature,
)
from intarsia.core import registries
from intarsia.core.arguments import Signature, static_signature
from intarsia.core.errors import RegistryError, closest

DEFAULT = 'DefaultOptimizerConstructor'
_PARAMWISE = ('intarsia.optim.constructors.paramwise', 'ParamwiseOptions')
_LAYER_DECAY = 'intarsia.optim.constructors.layer_decay'
PARAMWISE: dict[str, tuple[tuple[str, str], ...]] = {
    DEFAULT: (_PARAMWISE,),
    'TSMOptimizerConstructor': (('intarsia.optim.constructors.tsm', 'TSMOptions'),),
    'LearningRateDecayOptimizerConstructor': ((_LAYER_DECAY, 'LayerDecayOptions'),),
    'LayerDecayOptimizerConstructor': ((_LAYER_DECAY, 'OldLayerDecayOptions'),),
    'LearningRateDecayOptimWrapperConstructor': (_PARAMWISE, (_LAYER_DECAY, 'DepthOptions')),
}
"""Modules and classes that list what ``paramwise_cfg`` may say to a built-in constructor."""

FACTORS = ('lr_mult', 'decay_mult')
"""Entries of ``custom_keys`` that scale an option; others become options themselves."""


def check_optimizer(optimizer: Any, path: str = 'optimizer') -> Iterator[Finding]:
    """All mistakes in the field ``optimizer``.

    Args:
        optimizer: Its value; anything but a dict has been reported already.
        path: Its key path.
    """
    if not isinstance(optimizer, Mapping):
        return
    if is_several(optimizer):
        for name, each in optimizer.items():
            yield from check_optimizer(each, f'{path}.{name}')
        return
    own = {k: v for k, v in optimizer.items() if k not in ('constructor', 'paramwise_cfg')}
    constructor = optimizer.get('constructor', DEFAULT)
    yield from check_component(constructor, {}, registries.OPTIMIZER_BUILDERS, f'{path}.constructor')
    if 'type' in own:
        yield from _check_type(own, path)
    elif constructor in PARAMWISE:
        yield Finding('missing-argument', f"'{path}' needs a 'type'.", path)
    else:
        yield from _check_own_constructor(own, path)
    if constructor in PARAMWISE and registries.OPTIMIZER_BUILDERS.user_component(constructor) is None:
        paramwise = optimizer.get('paramwise_cfg') or {}
        yield from _check_paramwise(constructor, paramwise, f'{path}.paramwise_cfg')
        yield from _check_scaled(constructor, own, paramwise, path)


def is_several(optimizer: Mapping[str, Any]) -> bool:
    """Whether the field is a dict of several optimizers by the name of the part of the model that each is for."""
    words = ('type', 'constructor', 'paramwise_cfg')
    return bool(optimizer) and all(k not in words and isinstance(v, Mapping) for k, v in optimizer.items())


def _check_type(node: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Name and arguments of an optimizer; the parameters come first, whatever that argument is called."""
    arguments = {k: v for k, v in node.items() if k != 'type'}
    try:
        signature = find_signature(node['type'], registries.OPTIMIZERS)
    except (RegistryError, TypeError):
        signature = Signature(is_open=True)
    first = 'params' if signature.is_open or 'params' in signature.arguments else next(iter(signature.arguments), '')
    if first in arguments:
        message = (
            f"{node['type']} gets no parameters: the first argument of its constructor must be 'params', "
            f"which is not given here, but it is '{first}'."
        )
        yield Finding('missing-argument', message, path)
    yield from check_component(node['type'], arguments, registries.OPTIMIZERS, path, frozenset({first}))


def _check_own_constructor(node: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Optimizers inside of what a user's own constructor gets; its other nodes are its own business."""
    for key, value in node.items():
        if isinstance(value, Mapping) and isinstance(value.get('type'), str):
            others = [r for r in registries.all_registries().values() if r.root is not registries.OPTIMIZERS]
            if not any(value['type'] in registry for registry in others):
                yield from check_node(value, registries.OPTIMIZERS, f'{path}.{key}')


def _check_paramwise(constructor: str, paramwise: Any, path: str) -> Iterator[Finding]:
    if not isinstance(paramwise, Mapping):
        yield Finding('wrong-type', f"'{path}' must be a dict, not {paramwise!r:.80}.", path)
        return
    places = PARAMWISE[constructor]
    known = Signature({k: v for place in places for k, v in static_signature(*place).arguments.items()})
    for key, value in paramwise.items():
        yield from check_argument(constructor, key, value, known, f'{path}.{key}')
    for argument in known.arguments.values():
        if argument.required and argument.name not in paramwise:
            message = f"{constructor} needs '{argument.name}' in paramwise_cfg."
            yield Finding('missing-argument', message, path if paramwise else path.rpartition('.')[0])
    for key, custom in _custom_keys(paramwise).items():
        place = f'{path}.custom_keys.{key}'
        if not isinstance(custom, Mapping):
            yield Finding('wrong-type', f"custom_keys['{key}'] must be a dict, not {custom!r:.80}.", place)
            continue
        for option in custom:
            meant = meant_factor(option)
            if meant:
                yield Finding('unknown-argument', f"custom_keys knows no '{option}'.", f'{place}.{option}', meant)


def _custom_keys(paramwise: Mapping[str, Any]) -> Mapping[str, Any]:
    keys = paramwise.get('custom_keys')
    return keys if isinstance(keys, Mapping) else {}


def meant_factor(option: str) -> str | None:
    """The factor that an entry of ``custom_keys`` is a misspelling of, if it is one."""
    return None if option in FACTORS else closest(option, FACTORS, 0.75)


def _check_scaled(constructor: str, own: Mapping[str, Any], paramwise: Any, path: str) -> Iterator[Finding]:
    """What is scaled must be given: the defaults of optimizers are theirs alone."""
    if not isinstance(paramwise, Mapping):
        return
    customs = [c for c in _custom_keys(paramwise).values() if isinstance(c, Mapping)]
    given = [*(k for k, v in paramwise.items() if v is not None), *(key for custom in customs for key in custom)]
    for option, ending in (('lr', 'lr_mult'), ('weight_decay', 'decay_mult')):
        needed = any(key.endswith(ending) for key in given) or (option == 'lr' and constructor != DEFAULT)
        if needed and option not in own and 'type' in own:
            yield Finding('missing-argument', f"paramwise_cfg scales '{option}', which '{path}' does not give.", path)
