"""Data samples of MMEngine and of the toolboxes on it.

Shapes: p people or boxes, h rows, w columns, c classes.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Sized
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.openmmlab.data_element import OWN, BaseDataElement

SEQUENCES = (str, list, tuple)


class InstanceData(BaseDataElement):
    """Data of several people or boxes: the first side of everything is P.

    An index (a number, a slice, a mask, or numbers) gives another one with those; a name gives the data of that name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in OWN:
            if not isinstance(value, Sized):
                raise TypeError(f'{name} has no length: it is {type(value).__name__}')
            if len(self) > 0 and len(value) != len(self):
                raise ValueError(f'{name} has the length {len(value)}, and all else {len(self)}')
        super().__setattr__(name, value)

    __setitem__ = __setattr__

    def __len__(self) -> int:
        return next((len(getattr(self, name)) for name in self._data_fields), 0)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            return getattr(self, item)
        if isinstance(item, (int, np.integer)):
            number = operator.index(item)
            if not -len(self) <= number < len(self):
                raise IndexError(f'{number} is not among {len(self)}')
            item = slice(number % len(self), number % len(self) + 1)
        made = type(self)(metainfo=self.metainfo)
        if isinstance(item, slice):
            made.set_data({name: value[item] for name, value in self.items()})
            return made
        numbers = self._numbers(item)
        made.set_data({name: _take(name, value, numbers) for name, value in self.items()})
        return made

    def _numbers(self, item: Any) -> Tensor:
        """Of a mask or a collection of numbers, int64."""
        index = item if isinstance(item, Tensor) else torch.from_numpy(np.asarray(item))
        if index.ndim != 1:
            raise IndexError(f'an index has one dimension, not the shape {tuple(index.shape)}')
        if index.dtype != torch.bool:
            return index.long()
        if len(index) != len(self):
            raise IndexError(f'a mask for {len(self)} has the length {len(index)}')
        return index.nonzero().flatten()

    @staticmethod
    def cat(instances_list: Sequence[InstanceData]) -> InstanceData:
        """One of several, with the notes of the first.

        Raises:
            ValueError: There are none, or they have different names.
        """
        if not instances_list:
            raise ValueError('there is nothing to concatenate')
        first = instances_list[0]
        if len(instances_list) == 1:
            return first
        if any(set(each.all_keys()) != set(first.all_keys()) for each in instances_list):
            raise ValueError('what is concatenated has the same names in it')
        made = type(first)(metainfo=first.metainfo)
        made.set_data({name: _cat(name, [each[name] for each in instances_list]) for name, _ in first.items()})
        return made


def _take(name: str, value: Any, numbers: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value[numbers.to(value.device)]
    if isinstance(value, np.ndarray):
        return value[numbers.cpu().numpy()]
    parts = [value[i : i + 1] for i in numbers.tolist()]
    return _cat(name, parts) if parts else value[:0]


def _cat(name: str, values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(values)
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if isinstance(first, str):
        return ''.join(values)
    if isinstance(first, (list, tuple)):
        return type(first)(item for value in values for item in value)
    if hasattr(first, 'cat'):
        return first.cat(values)
    raise TypeError(f'{name} cannot be concatenated: {type(first).__name__} has no method cat')


class PixelData(BaseDataElement):
    """Data of every pixel: tensors or arrays ``(C, H, W)``, all of the same H and W.

    ``data[rows, columns]``, slices or numbers, cuts out a part.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in OWN:
            if not isinstance(value, (Tensor, np.ndarray)) or value.ndim not in (2, 3):
                raise TypeError(f'{name} is a tensor or an array (C, H, W), not {type(value).__name__}')
            if self.shape is not None and tuple(value.shape[-2:]) != self.shape:
                raise ValueError(f'{name} has the shape {tuple(value.shape)}, and all else {self.shape}')
            value = value[None] if value.ndim == 2 else value
        super().__setattr__(name, value)

    def __getitem__(self, item: tuple[int | slice, int | slice]) -> Self:
        if not isinstance(item, tuple) or len(item) != 2:
            raise TypeError('rows and columns are expected')
        rows, columns = (part if isinstance(part, slice) else slice(part, part + 1 or None) for part in item)
        made = type(self)(metainfo=self.metainfo)
        made.set_data({name: value[:, rows, columns] for name, value in self.items()})
        return made

    @property
    def shape(self) -> tuple[int, ...] | None:
        """``(H, W)``; None if there are no data."""
        return next((tuple(getattr(self, name).shape[-2:]) for name in self._data_fields), None)


class LabelData(BaseDataElement):
    """Data of a whole image."""

    @staticmethod
    def onehot_to_label(onehot: Tensor) -> Tensor:
        """Numbers of the classes whose entry in ``(C,)`` is not 0.

        Raises:
            ValueError: These are not entries of 0 ... 1.
        """
        if onehot.ndim != 1 or onehot.max() > 1 or onehot.min() < 0:
            raise ValueError(f'this is not one-hot: {onehot}')
        return onehot.nonzero().flatten()

    @staticmethod
    def label_to_onehot(label: Tensor, num_classes: int) -> Tensor:
        """``(num_classes,)`` of the label's dtype, 1 at the classes in ``label``."""
        onehot = label.new_zeros((num_classes,))
        onehot[label] = 1
        return onehot


def format_label(value: Any) -> Tensor:
    """Labels int64 ``(N,)`` of a number, a list, an array or a tensor; a tensor with dimensions stays as it is.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, Tensor) and value.ndim > 0:
        return value
    if isinstance(value, str) or not isinstance(value, (int, np.integer, Sequence, np.ndarray, Tensor)):
        raise TypeError(f'a label is a number, or several, not {type(value).__name__}')
    return torch.atleast_1d(torch.as_tensor(value)).long()


def format_score(value: Any) -> Any:
    """Scores float32 of a list or an array, and of those in a dict; a tensor stays as it is.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, Mapping):
        return {name: format_score(each) for name, each in value.items()}
    if isinstance(value, Tensor):
        return value
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f'scores are a collection of numbers, not {type(value).__name__}')
    return torch.as_tensor(value).float()


def label_to_onehot(label: Any, num_classes: int) -> Tensor:
    """``(num_classes,)`` int64, 1 at the classes in ``label``."""
    return F.one_hot(format_label(label), num_classes).sum(0)


class _ScoredSample(BaseDataElement):
    """Something with labels and scores."""

    is_flat: ClassVar[bool] = False
    """Whether these have one dimension."""

    def set_gt_label(self, value: Any) -> Self:
        """The true classes, as a number or several."""
        return self._set('gt_label', format_label(value))

    def set_pred_label(self, value: Any) -> Self:
        """The predicted classes, as a number or several."""
        return self._set('pred_label', format_label(value))

    def set_pred_score(self, value: Any) -> Self:
        """A score for every class."""
        return self._set_score('pred_score', value)

    def _set_score(self, name: str, value: Any) -> Self:
        score = format_score(value)
        if self.get('num_classes', len(score)) != len(score):
            raise ValueError(f'{name} has {len(score)} scores for {self.get("num_classes")} classes')
        self._set(name, score)
        if 'num_classes' not in self:
            self.set_field(len(score), 'num_classes', field_type='metainfo')
        return self

    def _set(self, name: str, value: Any) -> Self:
        if self.is_flat and value.ndim != 1:
            raise ValueError(f'{name} has one dimension, not the shape {tuple(value.shape)}')
        self.set_field(value, name)
        return self


class DataSample(_ScoredSample):
    """An image to classify: tensors ``gt_label``, ``gt_score``, ``pred_label``, ``pred_score``, ``mask``."""

    is_flat = True

    def set_gt_score(self, value: Any) -> Self:
        """A true score for every class."""
        return self._set_score('gt_score', value)

    def set_mask(self, value: Tensor | np.ndarray) -> Self:
        """A mask of the image."""
        self.set_field(torch.as_tensor(value), 'mask')
        return self


class MultiTaskDataSample(BaseDataElement):
    """An image of several tasks: a data sample for each."""

    @property
    def tasks(self) -> Any:
        """Their names."""
        return self._data_fields


def _field(name: str, kind: type[BaseDataElement]) -> property:
    """A field whose values are of one kind; it lies under its name with an underscore before."""
    hidden = f'_{name}'
    return property(
        operator.attrgetter(hidden),
        lambda sample, value: sample.set_field(value, hidden, dtype=kind),
        lambda sample: delattr(sample, hidden),
    )


class SegDataSample(BaseDataElement):
    """An image and its masks ``(1, H, W)``, predicted scores ``(C, H, W)``, each in a field ``data``."""

    gt_sem_seg = _field('gt_sem_seg', PixelData)
    pred_sem_seg = _field('pred_sem_seg', PixelData)
    seg_logits = _field('seg_logits', PixelData)


class PoseDataSample(BaseDataElement):
    """An image or a crop, the people in it, and what they are encoded as."""

    gt_instances = _field('gt_instances', InstanceData)
    gt_instance_labels = _field('gt_instance_labels', InstanceData)
    pred_instances = _field('pred_instances', InstanceData)
    gt_fields = _field('gt_fields', BaseDataElement)
    pred_fields = _field('pred_fields', PixelData)


class ActionDataSample(_ScoredSample):
    """A clip: tensors ``gt_label``, ``pred_label``, ``pred_score``; proposals, features and true segments."""

    proposals = _field('proposals', InstanceData)
    gt_instances = _field('gt_instances', InstanceData)
    features = _field('features', InstanceData)
