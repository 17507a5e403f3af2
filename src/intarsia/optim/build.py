"""Model and ``optimizer`` field -> optimizer, or several by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from intarsia.config.optimizer import is_several
from intarsia.core.arguments import signature_of
from intarsia.core.errors import closest
from intarsia.core.registries import OPTIMIZER_BUILDERS, OPTIMIZERS


def build_optimizer(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Build what the constructor named in ``cfg`` makes of ``model``.

    Args:
        model: Whose parameters are optimized; a wrapper's ``module`` is looked through.
        cfg: ``type`` and arguments of the optimizer, ``constructor`` (default ``DefaultOptimizerConstructor``) and
            ``paramwise_cfg``; or a dict of such dicts, by the name of the part of the model that each is for. It is
            not changed.

    Returns:
        An optimizer, a dict of optimizers by the name of their part, or whatever a constructor of the user's own
        returns.

    Raises:
        ValueError: The model has no part of a name.
    """
    if is_several(cfg):
        inner = getattr(model, 'module', model)
        return {name: build_optimizer(_part(inner, name), each) for name, each in cfg.items()}
    own = dict(cfg)
    constructor = own.pop('constructor', 'DefaultOptimizerConstructor')
    paramwise = own.pop('paramwise_cfg', None)
    node = dict(type=constructor, optimizer_cfg=own, paramwise_cfg=paramwise)
    return OPTIMIZER_BUILDERS.build(node)(model)


def _part(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        parts = [child for child, _ in model.named_children()]
        close = closest(name, parts)
        hint = f" Did you mean '{close}'?" if close else ''
        raise ValueError(
            f"optimizer: {type(model).__name__} has no part '{name}'.{hint} It has: {', '.join(parts)}."
        ) from None


def build_with_params(cfg: Mapping[str, Any], params: Any) -> Any:
    """Build the optimizer itself.

    Args:
        cfg: A node of OPTIMIZERS.
        params: Parameters or groups: they are given as its argument ``params``, or as its first if that is called
            something else.

    Raises:
        TypeError: The optimizer leaves no argument for the parameters.
    """
    kind = cfg.get('type')
    target = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
    name = 'params'
    if callable(target):
        signature = signature_of(target)
        if not signature.is_open and 'params' not in signature.arguments:
            name = next(iter(signature.arguments), 'params')
        if name in cfg:
            raise TypeError(
                f"{target.__name__} gets no parameters: the first argument of its constructor must be 'params', "
                f"which is not given in the config, but it is '{name}'"
            )
    return OPTIMIZERS.build(cfg, **{name: params})
