"""Modules that know how their weights are initialized."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from intarsia.nn.init import initialize, is_pretrained

InitCfg = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""One initializer config, several in order, or none."""


class BaseModule(nn.Module):
    """An ``nn.Module`` whose :meth:`init_weights` follows a config.

    Args:
        init_cfg: One or several configs of initializers, ``dict(type='Kaiming', layer='Conv2d')``, or
            ``dict(type='Pretrained', checkpoint=...)``; see :mod:`intarsia.nn.init`. None means the class's
            :attr:`default_init`; an empty list means PyTorch's own rules.
    """

    default_init: ClassVar[InitCfg] = None
    """What :meth:`init_weights` follows where no ``init_cfg`` was given."""

    def __init__(self, init_cfg: InitCfg = None) -> None:
        super().__init__()
        self.init_cfg = copy.deepcopy(init_cfg)
        self._is_init = False

    @property
    def is_init(self) -> bool:
        """Whether :meth:`init_weights` has run."""
        return self._is_init

    def init_weights(self) -> None:
        """Initialize this module, then its children; a second call does nothing.

        Own initializers run first, so that a child's word counts more. A single ``Pretrained`` is the last word:
        the children are not asked. In a list ``Pretrained`` runs after everything else.

        Raises:
            CheckpointError: Pretrained weights are missing, unreadable, or have nothing for this module.
        """
        if self._is_init:
            return
        self._is_init = True
        given = self.default_init if self.init_cfg is None else self.init_cfg
        configs = [given] if isinstance(given, Mapping) else list(given or ())
        pretrained = [cfg for cfg in configs if is_pretrained(cfg)]
        if not (len(configs) == len(pretrained) == 1):
            initialize(self, [cfg for cfg in configs if not is_pretrained(cfg)])
            init_children(self)
            self.init_own_weights()
        initialize(self, pretrained)

    def init_own_weights(self) -> None:
        """What a class adds to its configs: called after them and after the children, before pretrained weights.

        Not called if ``init_cfg`` is a single ``Pretrained``.
        """


def init_children(module: nn.Module) -> None:
    """Call ``init_weights()`` of the nearest descendants that have one, whatever class they are."""
    for child in module.children():
        init = getattr(child, 'init_weights', None)
        if callable(init):
            init()
        else:
            init_children(child)


class Sequential(BaseModule, nn.Sequential):
    """``nn.Sequential`` with an ``init_cfg``."""

    def __init__(self, *modules: Any, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *modules)


class ModuleList(BaseModule, nn.ModuleList):
    """``nn.ModuleList`` with an ``init_cfg``."""

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """``nn.ModuleDict`` with an ``init_cfg``."""

    def __init__(self, modules: Mapping[str, nn.Module] | None = None, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)
