"""Model and ``optimizer`` field -> optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from intarsia.core.registries import OPTIMIZER_BUILDERS


def build_optimizer(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Build what the constructor named in ``cfg`` makes of ``model``.

    Args:
        model: Whose parameters are optimized; a wrapper's ``module`` is looked through by the constructor.
        cfg: ``type`` and arguments of the optimizer, ``constructor`` (default ``DefaultOptimizerConstructor``) and
            ``paramwise_cfg``. It is not changed.

    Returns:
        An optimizer, or whatever a constructor of the user's own returns.
    """
    own = dict(cfg)
    constructor = own.pop('constructor', 'DefaultOptimizerConstructor')
    paramwise = own.pop('paramwise_cfg', None)
    node = dict(type=constructor, optimizer_cfg=own, paramwise_cfg=paramwise)
    return OPTIMIZER_BUILDERS.build(node)(model)
