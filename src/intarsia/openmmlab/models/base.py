"""Models of a user's own, of either generation, as our engine sees them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.models.task_model import TaskModel, parse_losses
from intarsia.openmmlab.generations import AttributeConfigs, known, overrides
from intarsia.openmmlab.samples import SAMPLES, Samples

NOT_TARGETS = frozenset({'sample_idx'})
"""Entries of our batches that old models do not know."""


class OldModel(TaskModel, metaclass=AttributeConfigs):
    """A model with the methods of its old base class.

    A subclass of the first generation has ``forward_train`` and ``simple_test`` or ``forward_test``, one of the second
    ``loss(inputs, data_samples)`` and ``predict(inputs, data_samples)``; either may have a ``train_step`` of its own.

    Args:
        init_cfg: How weights are initialized.
        data_preprocessor: Not used: images come normalized.
        train_cfg: For the subclass.
        test_cfg: The same.
        kwargs: For the model of ours that a class below is besides.
    """

    task: ClassVar[str]
    """Whose samples :meth:`loss` and :meth:`predict` of the second generation get."""

    def __init__(
        self,
        init_cfg: Any = None,
        data_preprocessor: Any = None,
        train_cfg: Any = None,
        test_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.fp16_enabled = False

    @property
    def CLASSES(self) -> Any:  # noqa: N802 - the old name
        """Names of the classes."""
        return self.classes

    @CLASSES.setter
    def CLASSES(self, names: Any) -> None:  # noqa: N802
        self.classes = names

    @property
    def PALETTE(self) -> Any:  # noqa: N802 - the old name
        """Colours of the classes."""
        return getattr(self, 'palette', None)

    @PALETTE.setter
    def PALETTE(self, colors: Any) -> None:  # noqa: N802
        self.palette = colors

    @property
    def samples(self) -> Samples:
        """How batches of ours become data samples, and those become results."""
        return SAMPLES[self.task]

    @property
    def is_second_generation(self) -> bool:
        """Whether the user's methods take data samples."""
        if overrides(self, 'forward_train') or overrides(self, 'simple_test') or overrides(self, 'forward_test'):
            return False
        return any(overrides(self, name) for name in ('loss', 'predict', '_forward'))

    # ------------------------------------------------------------------ old names

    def forward(self, *inputs: Any, return_loss: bool | None = None, **data: Any) -> Any:
        """The three things that old models do in ``forward``.

        Args:
            inputs: The batch: alone, the network's raw output is returned.
            return_loss: True gives losses, False predictions; None tells from the targets.
            data: The rest of a batch; of the second generation ``data_samples`` and ``mode``.
        """
        batch = data.pop(self.input_key) if self.input_key in data else data.pop('inputs', None)
        batch, metas = (inputs[0] if inputs else batch), (inputs[1:2] or (data.pop('img_metas', None),))[0]
        mode = data.pop('mode', None)
        if mode is not None or 'data_samples' in data:
            return self._forward_second(batch, data.pop('data_samples', metas), mode or 'tensor')
        targets = {name: value for name, value in data.items() if name not in NOT_TARGETS}
        if return_loss is None and not targets:
            return self.forward_dummy(batch)
        if return_loss is False:
            return self.forward_test(batch, metas, **targets)
        return self.forward_train(batch, **known(self.forward_train, {'img_metas': metas, **targets}))

    def _forward_second(self, batch: Any, samples: Any, mode: str) -> Any:
        if mode == 'loss':
            return self.loss(batch, samples)
        return self.predict(batch, samples) if mode == 'predict' else self._forward(batch, samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Any:
        """The network's raw output."""
        return self.forward_dummy(inputs)

    def forward_dummy(self, inputs: Tensor) -> Any:
        """The network's raw output."""
        return self.extract_feat(inputs)

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of a batch."""
        raise NotImplementedError(f'{type(self).__name__} has no extract_feat')

    def forward_train(self, inputs: Tensor, *args: Any, **targets: Any) -> dict[str, Any]:
        """Losses of a batch, by name."""
        raise NotImplementedError(f'{type(self).__name__} has no forward_train')

    def forward_test(self, inputs: Any, metas: Any = None, **kwargs: Any) -> Any:
        """Predictions of a batch; a list of batches is several versions of one."""
        several = isinstance(inputs, (list, tuple))
        batches, lists = (list(inputs), list(metas or [])) if several else ([inputs], [metas])
        if len(batches) > 1:
            return self.aug_test(batches, lists, **kwargs)
        arguments = (batches[0],) if lists[:1] in ([], [None]) else (batches[0], lists[0])
        asked = {'rescale': True} if 'rescale' in inspect.signature(self.simple_test).parameters else {}
        return self.simple_test(*arguments, **known(self.simple_test, {**asked, **kwargs}))

    def simple_test(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Predictions of a batch."""
        raise NotImplementedError(f'{type(self).__name__} has no simple_test')

    def aug_test(self, inputs: Sequence[Tensor], metas: Any, **kwargs: Any) -> Any:
        """Predictions from several versions of a batch."""
        raise NotImplementedError(f'{type(self).__name__} has no aug_test')

    def show_result(self, *args: Any, **kwargs: Any) -> Any:
        """Pictures are drawn by ``intarsia predict``."""
        raise NotImplementedError('intarsia predict CONFIG CHECKPOINT FILES draws results')

    def _parse_losses(self, losses: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        return parse_losses(losses)

    parse_losses = _parse_losses

    # ------------------------------------------------------------------ the engine's side

    def train_step(self, data: Mapping[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """As :meth:`intarsia.models.task_model.TaskModel.train_step`."""
        if self.is_second_generation:
            samples: Any = self.samples.of_batch(data)
            losses = self.loss(data[self.input_key], samples)
        else:
            losses = self(**{**data, 'return_loss': True})
        loss, log_vars = parse_losses(losses)
        return {'loss': loss, 'log_vars': log_vars, 'num_samples': len(data[self.input_key])}

    def val_step(self, data: Mapping[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The same, for a batch of the validation flow."""
        return self.train_step(data, optimizer)

    def test_step(self, data: Mapping[str, Any]) -> list[Any]:
        """One result per sample of a batch."""
        inputs, metas = data[self.input_key], data.get('img_metas')
        if overrides(self, 'predict'):
            samples = self.samples.of_batch(data)
            return [self.samples.result_of(each, self) for each in self.predict(inputs, samples)]
        return self.results_of(inputs, metas)

    def results_of(self, inputs: Tensor, metas: Sequence[Mapping[str, Any]] | None = None) -> list[Any]:
        """One result per sample, from what ``simple_test`` or ``forward_test`` gives."""
        answers = self.forward_test(inputs, metas)
        return [self.samples.result_of_answer(each, self) for each in self.samples.split(answers)]

    def results_of_augmented(self, inputs: Sequence[Tensor], metas: Sequence[Any]) -> list[Any]:
        """The same from several versions of a batch, through ``aug_test``."""
        return self.results_of(inputs, metas)  # type: ignore[arg-type]


class BaseModel(OldModel):
    """A model of the second generation that belongs to no task's base class.

    Its ``forward(inputs, data_samples, mode)`` does everything. The field ``task`` of the config says whose samples.
    """

    task = 'classification'

    def __init__(self, data_preprocessor: Any = None, init_cfg: Any = None) -> None:
        super().__init__(init_cfg=init_cfg)

    def train_step(self, data: Mapping[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Losses of ``forward`` with ``mode='loss'``."""
        losses = self(data[self.input_key], self.samples.of_batch(data), mode='loss')
        loss, log_vars = parse_losses(losses)
        return {'loss': loss, 'log_vars': log_vars, 'num_samples': len(data[self.input_key])}

    def test_step(self, data: Mapping[str, Any]) -> list[Any]:
        """Results of ``forward`` with ``mode='predict'``."""
        answers = self(data[self.input_key], self.samples.of_batch(data), mode='predict')
        return [self.samples.result_of(each, self) for each in answers]


class BaseDataPreprocessor(nn.Module):
    """Moves a batch to a device. Normalization is a step of the pipeline here, so nothing else is left to do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, data: Any, training: bool = False) -> Any:
        """The same batch."""
        return data

    @property
    def device(self) -> torch.device:
        """Where parameters are."""
        return next((p.device for p in self.parameters()), torch.device('cpu'))
