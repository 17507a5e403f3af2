"""The parts of a task model: from configs to modules."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from intarsia.core.registries import MODELS


def build_part(
    part: Any,
    task: str,
    join: Callable[[Sequence[nn.Module]], nn.Module] = nn.ModuleList,
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """A module from its config; a module stays as it is, and None too.

    Args:
        part: ``dict(type=..., ...)``, a list of such, or what is built already.
        task: Whose components bare names mean.
        join: What a list becomes.
        defaults: Arguments that a config need not give.
    """
    if part is None or isinstance(part, nn.Module):
        return part
    if isinstance(part, (list, tuple)):
        return join([build_part(each, task, join, defaults) for each in part])
    return MODELS.of(task).build(part, **(defaults or {}))


def build_backbone(backbone: Any, task: str, pretrained: str | None) -> Any:
    """A backbone from its config; ``pretrained`` names its weights, which win over what its config says.

    One whose ``init_weights`` takes ``pretrained``, as early versions of the older toolboxes had it, gets it there.
    """
    built = build_part(backbone, task)
    if pretrained is not None and 'pretrained' in inspect.signature(getattr(built, 'init_weights', int)).parameters:
        built.init_weights = functools.partial(built.init_weights, pretrained=pretrained)
    elif pretrained is not None:
        built.init_cfg = {'type': 'Pretrained', 'checkpoint': pretrained}
    return built


def in_a_row(modules: Sequence[nn.Module]) -> nn.Module:
    """Modules that follow each other."""
    return nn.Sequential(*modules)
