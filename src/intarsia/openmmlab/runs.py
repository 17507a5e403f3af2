"""Configs of old scripts as runs of ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intarsia.api.parts import Parts
from intarsia.api.tasks import find_task, ready
from intarsia.api.test import test
from intarsia.api.train import TrainResult, train
from intarsia.config.attributes import plain
from intarsia.config.dialects.door import house_form
from intarsia.config.file import ConfigFile, config_of
from intarsia.openmmlab.config import Config
from intarsia.openmmlab.logs import get_root_logger
from intarsia.openmmlab.parallel import is_distributed, unwrapped


def config_file(cfg: Any) -> ConfigFile:
    """The config of a script, in the words of the house.

    Args:
        cfg: A file, a ``Config``, or its values.

    Raises:
        ConfigError: It cannot be read or translated.
    """
    if isinstance(cfg, (str, Path)):
        cfg = Config.fromfile(cfg)
    values = {name: list(v) if isinstance(v, range) else v for name, v in plain(dict(cfg)).items()}
    found = config_of(values)
    file = getattr(cfg, 'filename', None) if isinstance(cfg, Config) else None
    return house_form(dataclasses.replace(found, file=Path(file) if file else None))


def train_model(
    model: Any,
    dataset: Any,
    cfg: Any,
    distributed: bool = False,
    validate: bool = False,
    test: Any = None,
    timestamp: str | None = None,
    device: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Train a model as a config says; see :func:`intarsia.api.train.train`.

    Args:
        model: Its weights stay as they are.
        dataset: What it is trained on; in a list the second one is for validation losses.
        cfg: The config.
        distributed: Not used: it is seen whether processes have joined.
        validate: Whether it is evaluated during training.
        test: Not used: ``intarsia test`` tests.
        timestamp: Start of the run, which names its log.
        device: Where to; by default what the config says.
        meta: Entries of every checkpoint's ``meta``.

    Raises:
        ConfigError: The config has mistakes.
    """
    config = config_file(cfg)
    if device is not None:
        config.values['device'] = device
    datasets = list(dataset) if isinstance(dataset, Sequence) else [dataset]
    inner = unwrapped(model)
    _tell_codec(inner, config)
    by_split = dict(zip(('train', 'val'), datasets, strict=False))
    return train(config, validate=validate, parts=Parts(inner, by_split, dict(meta or {}), timestamp))


train_segmentor = train_model


def _tell_codec(model: Any, config: ConfigFile) -> None:
    """Let a pose model know what its config says elsewhere."""
    if not hasattr(model, 'codec') or find_task(config.values['model'], config.values.get('task')).name != 'pose':
        return
    from intarsia.openmmlab.testing import set_codec

    codec = ready(config, files=False).values['model'].get('codec')
    if model.codec is None and codec is not None:
        set_codec(model, codec)


class Runner:
    """A run of the second generation: a config that is trained and tested.

    Args:
        cfg: The whole config; where it is None, the other arguments are its values.
        values: The config by its top-level names.
    """

    def __init__(self, cfg: Any = None, **values: Any) -> None:
        self.cfg = cfg if isinstance(cfg, Config) else Config(dict(**values) if cfg is None else dict(cfg))
        self._model: Any = None
        self.result: TrainResult | None = None

    @classmethod
    def from_cfg(cls, cfg: Any) -> Runner:
        """A run of a config."""
        return cls(cfg)

    def train(self) -> Any:
        """Train, as ``intarsia train`` does; gives the trained model."""
        config = config_file(self.cfg)
        self.result = train(config, validate=config.values.get('evaluation') is not None)
        newest = self.result.work_dir / 'latest.pth'
        self._model = self._load(newest if newest.exists() else None)
        return self._model

    def test(self) -> dict[str, Any]:
        """Evaluate ``load_from`` on the data of the test; gives metrics by name."""
        return self._evaluate('test')

    def val(self) -> dict[str, Any]:
        """Evaluate ``load_from`` on the data of the validation; gives metrics by name."""
        return self._evaluate('val')

    def _evaluate(self, split: str) -> dict[str, Any]:
        config = config_file(self.cfg)
        data = dict(config.values['data'])
        data['test'] = data[split]
        data['test_dataloader'] = data.get(f'{split}_dataloader', {})
        checkpoint = config.values.get('load_from')
        if checkpoint is None and self.result is not None:
            checkpoint = str(self.result.work_dir / 'latest.pth')
        if checkpoint is None:
            raise ValueError("testing needs the config field 'load_from', the checkpoint")
        found = test(dataclasses.replace(config, values={**config.values, 'data': data}), checkpoint)
        metrics = dict(found['metrics'])
        self.logger.info(', '.join(f'{name}: {value}' for name, value in metrics.items()))
        return metrics

    def _load(self, checkpoint: Path | None) -> Any:
        from intarsia.openmmlab.inference import init_model

        return init_model(self.cfg, None if checkpoint is None else str(checkpoint), device=None)

    @property
    def model(self) -> Any:
        """The model, with the weights of ``load_from`` if there are any, or those that were trained."""
        if self._model is None:
            self._model = self._load(self.cfg.get('load_from'))
        return self._model

    @property
    def work_dir(self) -> str | None:
        """Folder of what the run writes."""
        return self.cfg.get('work_dir')

    @property
    def logger(self) -> Any:
        """The logger of runs."""
        return get_root_logger()

    @property
    def distributed(self) -> bool:
        """Whether several processes have joined."""
        return is_distributed()
