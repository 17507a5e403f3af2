"""How methods of the two generations meet ours: which ones a subclass has overridden, and who is calling."""

from __future__ import annotations

import functools
import inspect
from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from intarsia.openmmlab.config import ConfigDict


class AttributeConfigs(ABCMeta):
    """Classes whose constructors get configs that can be read by attribute, ``self.test_cfg.mode``."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an object."""
        return super().__call__(
            *(_readable(each) for each in args), **{name: _readable(each) for name, each in kwargs.items()}
        )


def _readable(value: Any) -> Any:
    return ConfigDict(value) if isinstance(value, Mapping) and not isinstance(value, ConfigDict) else value


def overrides(owner: Any, name: str) -> bool:
    """Whether a class of the user's own defines ``name``."""
    for base in type(owner).__mro__:
        if base.__module__.startswith('intarsia.'):
            return False
        if name in vars(base):
            return True
    return False


def known(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a function takes."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(arguments)
    return {name: value for name, value in arguments.items() if name in parameters}


class Entered:
    """Base of what our models call by names that mean something else in old code.

    ``head.loss(feats, target)`` of ours and ``self.loss(cls_score, gt_label)`` of a user's head are two methods of one
    name. For each name in :attr:`entrances`, the outermost call goes to ``enter_NAME``, which speaks our way; what that
    calls on the same object is the user's own.
    """

    entrances: ClassVar[tuple[str, ...]] = ()
    interiors: ClassVar[tuple[str, ...]] = ('forward_train', 'forward_test', 'simple_test', 'aug_test')
    """Names that mean the same to everybody: what such a method calls on the same object is the user's own too."""
    _is_inside = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.entrances:
            if name in vars(cls):
                setattr(cls, name, _entrance(name, vars(cls)[name]))
        for name in cls.interiors:
            if name in vars(cls):
                setattr(cls, name, _interior(vars(cls)[name]))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Within this, methods are the user's own."""
        before = self._is_inside
        object.__setattr__(self, '_is_inside', True)
        try:
            yield
        finally:
            object.__setattr__(self, '_is_inside', before)


def _entrance(name: str, own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._is_inside:
            return own(self, *args, **kwargs)
        if _is_old_call(args, kwargs):
            with self.inside():
                return own(self, *args, **kwargs)
        with self.inside():
            return getattr(self, f'enter_{name}')(*args, **kwargs)

    return method


def _interior(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.inside():
            return own(self, *args, **kwargs)

    return method


def _is_old_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call from outside speaks the newer toolboxes' way: with a list of samples."""
    from intarsia.openmmlab.structures import BaseDataElement

    values = [*args, *kwargs.values()]
    return any(isinstance(v, (list, tuple)) and len(v) > 0 and isinstance(v[0], BaseDataElement) for v in values)
