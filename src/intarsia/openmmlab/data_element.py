"""What is known about one image, clip or person, under names: the base of MMEngine's data samples."""

from __future__ import annotations

import copy
import itertools
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSet
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

OWN = ('_metainfo_fields', '_data_fields')


class Names(MutableSet[str]):
    """A set of names that keeps their order."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f'{{{", ".join(map(repr, self._names))}}}'

    def add(self, value: str) -> None:
        """Put a name last, unless it is there."""
        self._names[value] = None

    def discard(self, value: str) -> None:
        """Take a name out, if it is there."""
        self._names.pop(value, None)


class BaseDataElement:
    """Data and notes about them (meta information), as attributes.

    Args:
        metainfo: The notes; they are copied.
        kwargs: The data.

    A name is either of the data or of the notes; to take one for the other is an AttributeError.
    """

    _metainfo_fields: MutableSet[str]
    _data_fields: MutableSet[str]

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        for name in OWN:
            object.__setattr__(self, name, Names())
        if metainfo is not None:
            self.set_metainfo(metainfo)
        self.set_data(kwargs)

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Set notes to copies of these."""
        for name, value in copy.deepcopy(dict(metainfo)).items():
            self.set_field(value, name, field_type='metainfo')

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Set data."""
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: Literal['data', 'metainfo'] = 'data',
    ) -> None:
        """Set one of them.

        Raises:
            AttributeError: There is one of that name of the other kind.
            TypeError: The value is not of ``dtype``.
        """
        if dtype is not None and not isinstance(value, dtype):
            raise TypeError(f'{name} is {dtype}, not {type(value).__name__}')
        mine, others = self._data_fields, self._metainfo_fields
        if field_type == 'metainfo':
            mine, others = others, mine
        if name in others:
            other = 'data' if field_type == 'metainfo' else 'meta information'
            raise AttributeError(f"'{name}' is among the {other} already", name=name, obj=self)
        object.__setattr__(self, name, value)
        mine.add(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OWN:
            raise AttributeError(f"'{name}' cannot be set", name=name, obj=self)
        self.set_field(value, name)

    def __delattr__(self, name: str) -> None:
        if name in OWN:
            raise AttributeError(f"'{name}' cannot be deleted", name=name, obj=self)
        object.__delattr__(self, name)
        self._metainfo_fields.discard(name)
        self._data_fields.discard(name)

    __delitem__ = __delattr__

    def __contains__(self, name: object) -> bool:
        return name in self._data_fields or name in self._metainfo_fields

    def get(self, key: str, default: Any = None) -> Any:
        """A value, or ``default`` if there is none of that name."""
        return getattr(self, key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Take a value out; ``default`` if there is none of that name.

        Raises:
            KeyError: There is neither.
        """
        if key not in self:
            if default:
                return default[0]
            raise KeyError(key)
        value = getattr(self, key)
        delattr(self, key)
        return value

    def keys(self) -> list[str]:
        """Names of the data."""
        hidden = {f'_{name}' for name in self._data_fields if isinstance(getattr(type(self), name, None), property)}
        return [name for name in self._data_fields if name not in hidden]

    def metainfo_keys(self) -> list[str]:
        """Names of the notes."""
        return list(self._metainfo_fields)

    def all_keys(self) -> list[str]:
        """Names of the notes and of the data."""
        return self.metainfo_keys() + self.keys()

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and data."""
        return ((name, getattr(self, name)) for name in self.keys())

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Names and notes."""
        return ((name, getattr(self, name)) for name in self.metainfo_keys())

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Names and notes, then names and data."""
        return itertools.chain(self.metainfo_items(), self.items())

    def values(self) -> list[Any]:
        """Data."""
        return [value for _, value in self.items()]

    def metainfo_values(self) -> list[Any]:
        """Notes."""
        return [value for _, value in self.metainfo_items()]

    def all_values(self) -> list[Any]:
        """Notes, then data."""
        return [value for _, value in self.all_items()]

    @property
    def metainfo(self) -> dict[str, Any]:
        """A dict of the notes."""
        return dict(self.metainfo_items())

    def update(self, instance: BaseDataElement) -> None:
        """Take over what another one has."""
        self.set_metainfo(instance.metainfo)
        self.set_data(dict(instance.items()))

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> Self:
        """Another one of the same kind, with these notes and data in place of its own."""
        made = type(self)()
        made.set_metainfo(self.metainfo if metainfo is None else metainfo)
        made.set_data(kwargs or dict(self.items()))
        return made

    def clone(self) -> Self:
        """A copy with the same data in it."""
        return self.new()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy with all data on another device, or in another dtype, that can be brought there."""
        return self._map(lambda value: value.to(*args, **kwargs) if hasattr(value, 'to') else value)

    def cpu(self) -> Self:
        """A copy with tensors in the processor's memory."""
        return self._map_tensors(Tensor.cpu, BaseDataElement.cpu)

    def cuda(self) -> Self:
        """A copy with tensors on the current GPU."""
        return self._map_tensors(Tensor.cuda, BaseDataElement.cuda)

    def detach(self) -> Self:
        """A copy with tensors without gradients."""
        return self._map_tensors(Tensor.detach, BaseDataElement.detach)

    def numpy(self) -> Self:
        """A copy with arrays in place of tensors."""
        return self._map_tensors(lambda tensor: tensor.detach().cpu().numpy(), BaseDataElement.numpy)

    def to_tensor(self) -> Self:
        """A copy with tensors in place of arrays."""

        def convert(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return torch.from_numpy(value)
            return value.to_tensor() if isinstance(value, BaseDataElement) else value

        return self._map(convert)

    def _map_tensors(self, of_tensor: Callable[[Tensor], Any], of_element: Callable[[Any], Any]) -> Self:
        def convert(value: Any) -> Any:
            if isinstance(value, Tensor):
                return of_tensor(value)
            return of_element(value) if isinstance(value, BaseDataElement) else value

        return self._map(convert)

    def _map(self, convert: Callable[[Any], Any]) -> Self:
        return self.new(**{name: convert(value) for name, value in self.items()})

    def to_dict(self) -> dict[str, Any]:
        """A dict of all notes and data, nested ones too."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value for name, value in self.all_items()
        }

    def __repr__(self) -> str:
        parts = {'META INFORMATION': self.metainfo_items(), 'DATA FIELDS': self.items()}
        lines = [line for title, items in parts.items() for line in ('', title, *(f'{k}: {v!r}' for k, v in items))]
        return f'<{type(self).__name__}(\n{textwrap.indent(chr(10).join(lines), " " * 4)}\n) at {id(self):#x}>'
