"""What the models of all tasks have in common: the contract with the engine, and with users who predict images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from intarsia.data.collate import collate
from intarsia.data.device import ToDevice
from intarsia.nn.module import BaseModule

Image = str | Path | np.ndarray | Mapping[str, Any]
"""An image to predict: a file; a uint8 array ``(H, W, 3)`` in BGR order; or what a pipeline starts from."""


class TaskModel(BaseModule):
    """A network with its losses and its results.

    A subclass implements :meth:`forward`, :meth:`loss` and :meth:`results_of`. Where the batch comes from and what
    happens to the loss is the engine's business; see :meth:`train_step`.

    Attributes:
        input_key: Entry of a batch that holds the input of the network.
        classes: Names of the classes, for results; set from the data set or the checkpoint.
        test_pipeline: How an image becomes an input: ``dict -> dict`` with ``'img'``, a tensor ``(C, H, W)``. The
            dict it is given has ``img_info = {'filename': ...}`` and ``img_prefix = None`` for a file, ``img`` for an
            array. Set by ``intarsia.load``.

    Args:
        init_cfg: How weights are initialized.
    """

    input_key: ClassVar[str] = 'img'
    classes: Sequence[str] | None = None
    test_pipeline: Callable[[dict[str, Any]], Mapping[str, Any] | None] | None = None

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__(init_cfg=init_cfg)

    # ------------------------------------------------------------------ what a task implements

    def forward(self, inputs: Tensor) -> Any:
        """Raw output of the network: tensors only, so that it can be exported and compiled."""
        raise NotImplementedError(f'{type(self).__name__} has no forward')

    def loss(self, inputs: Tensor, targets: Mapping[str, Any]) -> dict[str, Any]:
        """Losses of a batch by name; see :func:`parse_losses` for what they may be."""
        raise NotImplementedError(f'{type(self).__name__} has no loss')

    def results_of(self, inputs: Tensor, metas: Sequence[Mapping[str, Any]] | None = None) -> list[Any]:
        """One result per sample of a batch that is on the model's device."""
        raise NotImplementedError(f'{type(self).__name__} has no results_of')

    def results_of_augmented(self, inputs: Sequence[Tensor], metas: Sequence[Sequence[Mapping[str, Any]]]) -> list[Any]:
        """One result per sample, from several versions of a batch: one tensor, and one list of metas, for each."""
        raise NotImplementedError(f'{type(self).__name__} takes one version of an image, not {len(inputs)}')

    # ------------------------------------------------------------------ prediction

    def predict(
        self,
        inputs: Tensor | Sequence[Image],
        metas: Sequence[Mapping[str, Any]] | None = None,
        batch_size: int = 32,
    ) -> list[Any]:
        """Predict a batch, or a list of images.

        Args:
            inputs: A batch for the network, on its device, or several versions of it; or images (files, or uint8 BGR
                arrays ``(H, W, 3)``), which go through ``test_pipeline``, in evaluation mode and without gradients.
            metas: What the pipeline noted about each sample of a batch.
            batch_size: How many images go through the network at once.

        Returns:
            One result per sample, in order.

        Raises:
            RuntimeError: Images are given to a model without ``test_pipeline``.
            TypeError: ``inputs`` is neither a tensor nor a list of images.
        """
        if isinstance(inputs, Tensor):
            return self.results_of(inputs, metas)
        if isinstance(inputs, Sequence) and len(inputs) > 0 and all(isinstance(each, Tensor) for each in inputs):
            return self.results_of_augmented(inputs, metas or [])  # type: ignore[arg-type]
        if not is_list_of_images(inputs):
            raise TypeError(
                'predict takes a batch as a tensor, or a list of images (files or arrays), '
                f'not {type(inputs).__name__}; for one image write model.predict([image])'
            )
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                results: list[Any] = []
                for start in range(0, len(inputs), batch_size):
                    for batch in self._load(inputs[start : start + batch_size]):
                        results.extend(self.test_step(batch))
                return results
        finally:
            self.train(was_training)

    def _load(self, images: Sequence[Image]) -> list[dict[str, Any]]:
        """Batches of images on the model's device, with what the pipeline noted about each.

        Neighbours whose sizes differ after the pipeline come in batches of their own.
        """
        samples = []
        for image in images:
            sample = self.read(image)
            samples.append({self.input_key: sample[self.input_key], 'img_metas': sample.get('img_metas', {})})
        to_device = ToDevice(self._device())
        return [to_device(collate(list(group))) for _, group in itertools.groupby(samples, key=self._shapes)]

    def read(self, image: Image) -> Mapping[str, Any]:
        """What the test pipeline makes of an image.

        Raises:
            RuntimeError: There is no pipeline.
            ValueError: It dropped the image.
        """
        if self.test_pipeline is None:
            raise RuntimeError(
                f'this {type(self).__name__} has no test_pipeline, so it cannot read images. '
                'intarsia.load(config, checkpoint) gives a model that has one; or set model.test_pipeline, '
                "a callable that turns {'img': array} into {'img': tensor (C, H, W)}; or pass a tensor."
            )
        sample = self.test_pipeline(self.describe(image))
        if sample is None:
            raise ValueError(f'the test_pipeline dropped the image {_name(image)}')
        return sample

    def _shapes(self, sample: Mapping[str, Any]) -> list[Any]:
        inputs = sample[self.input_key]
        return [tuple(version.shape) for version in (inputs if isinstance(inputs, list) else [inputs])]

    def describe(self, image: Image) -> dict[str, Any]:
        """What the test pipeline starts from; see :attr:`test_pipeline`."""
        if isinstance(image, Mapping):
            return dict(image)
        if isinstance(image, np.ndarray):
            return {'img': image}
        return {'img_info': {'filename': str(image)}, 'img_prefix': None}

    def _device(self) -> torch.device:
        first = next(self.parameters(), None)
        return first.device if first is not None else torch.device('cpu')

    # ------------------------------------------------------------------ the engine's side

    def train_step(self, data: Mapping[str, Any], optimizer: Any = None) -> dict[str, Any]:
        """Losses of one batch, before backward.

        Args:
            data: The batch: the input under ``input_key``, everything else is a target.
            optimizer: Not used; old runners pass it.

        Returns:
            ``loss``, a scalar to call ``backward()`` on; ``log_vars``, detached scalars by name, on the model's
            device; ``num_samples``, an int.
        """
        if self.input_key not in data:
            name = type(self).__name__
            raise KeyError(f"a batch for {name} needs the key '{self.input_key}', but has {sorted(data)}")
        inputs = data[self.input_key]
        targets = {key: value for key, value in data.items() if key != self.input_key}
        loss, log_vars = parse_losses(self.loss(inputs, targets))
        return {'loss': loss, 'log_vars': log_vars, 'num_samples': len(inputs)}

    def val_step(self, data: Mapping[str, Any], optimizer: Any = None) -> dict[str, Any]:
        """As :meth:`train_step`, for a batch of the validation flow."""
        return self.train_step(data, optimizer)

    def test_step(self, data: Mapping[str, Any]) -> list[Any]:
        """One result per sample of a batch that is on the model's device, without its targets."""
        return self.predict(data[self.input_key], data.get('img_metas'))


def is_list_of_images(inputs: Any) -> bool:
    """Whether these are images in a list, and not one image, nor batches."""
    is_list = isinstance(inputs, Sequence) and not isinstance(inputs, str)
    return is_list and not any(isinstance(each, Tensor) for each in inputs[:1])


def parse_losses(losses: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Add up losses.

    Args:
        losses: By name: a tensor (its mean counts), a list of tensors (the sum of their means), a number, or a dict
            of those, whose names stand for themselves. What has ``loss`` in its name is added up; the rest is only
            logged.

    Returns:
        The total, with gradients, and all values as detached scalars, the total as ``loss``. Nothing is fetched from
        the device.

    Raises:
        TypeError: A value is none of these.
        ValueError: No name contains ``loss``.
    """
    values: dict[str, Tensor] = {}
    for name, value in losses.items():
        for inner_name, inner in value.items() if isinstance(value, Mapping) else ((name, value),):
            values[inner_name] = _mean(inner_name, inner)
    summands = [value for name, value in values.items() if 'loss' in name]
    if not summands:
        raise ValueError(f"no entry has 'loss' in its name, so there is nothing to minimize: {sorted(values)}")
    total = summands[0] if len(summands) == 1 else torch.stack(summands).sum()
    logged = {name: value.detach() for name, value in values.items()}
    return total, {**logged, 'loss': total.detach().clone()}  # hooks of users divide the loss in place


def _mean(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.mean()
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, Tensor) for each in value):
        return torch.stack([each.mean() for each in value]).sum()
    if isinstance(value, (int, float)):
        return torch.tensor(float(value))
    raise TypeError(f"'{name}' must be a tensor, a list of tensors or a number, not {type(value).__name__}")


def _name(image: Image) -> str:
    return f'array {image.shape}' if isinstance(image, np.ndarray) else str(image)
