"""How deep in a network a parameter lies, for learning rates that decay from layer to layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

Depths = Callable[[str], tuple[int, int]]
"""Full name of a parameter -> its depth from 0, and the number of depths; what lies behind the backbone is deepest."""

TOKENS = ('cls_token', 'mask_token', 'pos_embed')
PREFIX = 'backbone.'


def depths_of(model: nn.Module) -> Depths:
    """The depths that a model, or its ``backbone``, knows itself.

    Raises:
        ValueError: Neither has ``get_layer_depth(param_name, prefix)``.
    """
    if hasattr(model, 'get_layer_depth'):
        own: Any = model.get_layer_depth
        return lambda name: own(name)
    backbone: Any = getattr(model, 'backbone', None)
    if not hasattr(backbone, 'get_layer_depth'):
        whose = type(model if backbone is None else backbone).__name__
        raise ValueError(f'layer decay needs to know how deep a parameter lies, but {whose} has no get_layer_depth')
    return lambda name: backbone.get_layer_depth(name, PREFIX)


def depths_by_name(model: nn.Module, num_layers: int, by_stage: bool) -> Depths | None:
    """The depths that the names of certain backbones tell: ConvNeXt, and BEiT, MAE, MViT and other plain transformers.

    Args:
        model: A model with a ``backbone``.
        num_layers: Layers of the backbone; there are two more depths, for what lies before and behind them.
        by_stage: One depth for each stage of the backbone, not for each layer.

    Returns:
        None for another backbone.

    Raises:
        ValueError: ``by_stage`` is asked of a backbone without stages. The depths raise it for a layer too many.
    """
    rule = convnext_stage if by_stage else convnext_layer
    if not is_kind(model, 'ConvNeXt'):
        if by_stage:
            kind = type(getattr(model, 'backbone', model)).__name__
            raise ValueError(f"decay_type='stage_wise' is for ConvNeXt, not for {kind}")
        if not is_kind(model, 'BEiT', 'MAE', 'MViT', 'VisionTransformer'):
            return None
        rule = vit_layer
    return lambda name: (_depth(rule, name, num_layers), num_layers + 2)


def is_kind(model: nn.Module, *kinds: str) -> bool:
    """Whether the class of the backbone, or a base class, has one of the words in its name."""
    bases = type(getattr(model, 'backbone', None)).__mro__
    return any(kind in base.__name__ for base in bases for kind in kinds)


def _depth(rule: Callable[[list[str], int], int | None], name: str, num_layers: int) -> int:
    own = name.removeprefix(PREFIX)
    if own == name:
        return num_layers + 1
    depth = 0 if own in TOKENS else rule(own.split('.'), num_layers)
    if depth is not None and depth > num_layers:
        raise ValueError(f'layer decay with num_layers={num_layers}, but {name} has depth {depth}')
    return num_layers + 1 if depth is None else depth


def vit_layer(words: list[str], num_layers: int) -> int | None:
    """Depth within a plain transformer: the embedding 0, layer i has i + 1; None for all else."""
    if words[0] == 'patch_embed':
        return 0
    return int(words[1]) + 1 if words[0] in ('layers', 'blocks') else None


def convnext_layer(words: list[str], num_layers: int) -> int | None:
    """Depth within ConvNeXt: three blocks of the third stage make a layer, every other stage is one."""
    if words[0] == 'downsample_layers':
        return (0, 2, 3, num_layers)[int(words[1])]
    if words[0] != 'stages':
        return None
    stage, block = int(words[1]), int(words[2])
    return (1, 2, 3 + block // 3, num_layers)[stage]


def convnext_stage(words: list[str], num_layers: int) -> int | None:
    """Depth by stage: what lies between stages has 0, stage i has i + 1."""
    if words[0] == 'downsample_layers':
        return 0
    return int(words[1]) + 1 if words[0] == 'stages' else None
