"""Intarsia: trains, evaluates and ships vision models from config files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intarsia.core.version import __version__

if TYPE_CHECKING:
    from intarsia.api.models import build_model, load

__all__ = ['__version__', 'build_model', 'load']

_LAZY = {'build_model': 'intarsia.api.models', 'load': 'intarsia.api.models'}


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used: ``import intarsia`` alone loads no torch."""
    if name in _LAZY:
        importlib.import_module('intarsia.openmmlab')  # configs may name modules that import the old packages
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'intarsia' has no attribute '{name}'")
