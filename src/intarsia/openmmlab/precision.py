"""Decorators that compute in half precision where ``fp16_enabled`` says so."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Method = Callable[..., Any]


def auto_fp16(
    apply_to: Iterable[str] | None = None, out_fp32: bool = False, supported_types: tuple[type, ...] = (nn.Module,)
) -> Callable[[Method], Method]:
    """Compute a method in float16 while its object has a true ``fp16_enabled``.

    Args:
        apply_to: Arguments whose float32 tensors become float16; None means all.
        out_fp32: Whether float16 results become float32.
        supported_types: Classes whose methods may be decorated.
    """
    return _computing_in(torch.float32, torch.float16, apply_to, out_fp32, supported_types)


def force_fp32(apply_to: Iterable[str] | None = None, out_fp16: bool = False) -> Callable[[Method], Method]:
    """Compute a method in float32, also while its object has a true ``fp16_enabled``.

    Args:
        apply_to: Arguments whose float16 tensors become float32; None means all.
        out_fp16: Whether float32 results become float16.
    """
    return _computing_in(torch.float16, torch.float32, apply_to, out_fp16, (nn.Module,))


def _computing_in(
    before: torch.dtype, after: torch.dtype, apply_to: Iterable[str] | None, back: bool, kinds: tuple[type, ...]
) -> Callable[[Method], Method]:
    def decorator(method: Method) -> Method:
        names = inspect.getfullargspec(method).args
        chosen = set(names if apply_to is None else apply_to)

        @functools.wraps(method)
        def computed(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(self, kinds):
                owners = ' or '.join(kind.__name__ for kind in kinds)
                raise TypeError(
                    f'{method.__qualname__} is decorated as a method of {owners}, not {type(self).__name__}'
                )
            if not getattr(self, 'fp16_enabled', False):
                return method(self, *args, **kwargs)
            given = [_cast(v, before, after) if n in chosen else v for n, v in zip(names[1:], args, strict=False)]
            named = {n: _cast(v, before, after) if n in chosen else v for n, v in kwargs.items()}
            with torch.autocast(_device_type(self), torch.float16, enabled=after is torch.float16):
                output = method(self, *given, *args[len(given) :], **named)
            return _cast(output, after, before) if back else output

        return computed

    return decorator


def _cast(value: Any, before: torch.dtype, after: torch.dtype) -> Any:
    """Tensors of a type as another one, in nested containers too."""
    if isinstance(value, Tensor):
        return value.to(after) if value.dtype == before else value
    if isinstance(value, Mapping):
        return type(value)({key: _cast(each, before, after) for key, each in value.items()})  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*(_cast(each, before, after) for each in value))
    return type(value)(_cast(each, before, after) for each in value) if type(value) in (list, tuple) else value


def _device_type(owner: Any) -> str:
    first = next(owner.parameters(), None) if isinstance(owner, nn.Module) else None
    return first.device.type if first is not None else _best_device_type()


def _best_device_type() -> str:
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def wrap_fp16_model(model: nn.Module) -> None:
    """Let a model compute in float16: sets ``fp16_enabled`` on it, and wherever it is there below."""
    from intarsia.openmmlab.parallel import unwrapped

    inner: Any = unwrapped(model)
    inner.fp16_enabled = True
    for module in inner.modules():
        if hasattr(module, 'fp16_enabled'):
            module.fp16_enabled = True


@contextlib.contextmanager
def autocast(
    device_type: str | None = None, dtype: torch.dtype | None = None, enabled: bool = True,
    cache_enabled: bool | None = None,
) -> Any:  # fmt: skip
    """As :func:`torch.autocast`, by default on the best device there is."""
    with torch.autocast(device_type or _best_device_type(), dtype, enabled=enabled, cache_enabled=cache_enabled):
        yield
