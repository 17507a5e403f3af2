"""Models without a run: built from a dict, or loaded with their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from intarsia.api.data import test_pipeline_of
from intarsia.api.tasks import find_task, ready
from intarsia.config.components import check_node
from intarsia.config.dialects.door import house_form
from intarsia.config.dialects.names import with_bare_names
from intarsia.config.dialects.one_x.model import house_model
from intarsia.config.file import ConfigFile, config_of, load_config
from intarsia.config.override import apply_options
from intarsia.config.pretrained import without_pretrained
from intarsia.core.errors import ConfigError, Problem
from intarsia.core.registries import MODELS
from intarsia.engine.environment import pick_device
from intarsia.nn.weights import find_weights, load_state_dict, read_checkpoint


def build_model(model: Mapping[str, Any], *, init: bool = True, task: str | None = None) -> Any:
    """Build a network from its config.

    Args:
        model: ``dict(type='ImageClassifier', backbone=dict(...), ...)``, of either generation. It is not changed.
        init: Whether its weights are initialized as the config says (which may load pretrained ones).
        task: Of a model of the user's own that belongs to none.

    Returns:
        The model, in training mode.

    Raises:
        ConfigError: All mistakes in ``model``, together.
    """
    model = house_model(with_bare_names(model))
    name = find_task(model, task).name
    findings = list(check_node(model, MODELS.of(name), 'model'))
    if findings:
        raise ConfigError([Problem(f.code, f.message, f.path, suggestion=f.suggestion) for f in findings])
    built = MODELS.of(name).build(model)
    if init and hasattr(built, 'init_weights'):
        built.init_weights()
    return built


def load(
    config: str | Path | Mapping[str, Any],
    checkpoint: str | Path | None = None,
    *,
    device: str | None = None,
    cfg_options: Iterable[str] = (),
) -> Any:
    """A model ready to predict: ``intarsia.load(config, checkpoint).predict(['cat.jpg'])``.

    Args:
        config: A config file, or its values.
        checkpoint: Weights; None leaves the initial ones.
        device: Where to; by default the best there is.
        cfg_options: ``KEY=VALUE`` changes of the config.

    Returns:
        The model in evaluation mode, with ``classes`` and ``test_pipeline``.

    Raises:
        ConfigError: The config has mistakes.
        CheckpointError: The weights are missing, broken or do not fit.
    """
    read = config_of(config) if isinstance(config, Mapping) else load_config(config)
    apply_options(read, cfg_options)
    return load_model(ready(house_form(read), files=False), checkpoint, device=device)


def load_model(
    config: ConfigFile, checkpoint: str | Path | None, *, device: str | None = None, model: Any = None
) -> Any:
    """As :func:`load`, from a config that has been checked, and with a model if it has been built already."""
    values = config.values
    model_cfg = without_pretrained(values['model']) if checkpoint is not None else values['model']
    model = build_model(model_cfg, task=values.get('task')) if model is None else model
    if checkpoint is not None:
        content = read_checkpoint(find_weights(checkpoint))
        load_state_dict(model, content.get('state_dict', content))
        tell_facts(model, content.get('meta') or {})
    target = pick_device(device or values.get('device'))
    task = find_task(values['model'], values.get('task'))
    model.test_pipeline = test_pipeline_of(values, task)
    return model.to(target).eval()


FACTS = {'CLASSES': 'classes', 'PALETTE': 'palette'}
"""What a data set and the ``meta`` of a checkpoint say about the data, and the model's attribute for it."""


def facts_of(dataset: Any) -> dict[str, Any]:
    """What a data set says about its data, as checkpoints store it."""
    found = {name: getattr(dataset, name, None) for name in FACTS}
    return {name: list(value) for name, value in found.items() if value is not None}


def fact_of(meta: Mapping[str, Any], name: str) -> list[Any] | None:
    """A fact from the ``meta`` of a checkpoint, of either generation; None if it is not there."""
    newer = meta.get('dataset_meta') or {}
    value = meta.get(name, newer.get(FACTS[name], newer.get(name)))
    if value is None or isinstance(value, str) or not len(value):
        return None
    found: list[Any] = value.tolist() if hasattr(value, 'tolist') else list(value)
    return found


def tell_facts(model: Any, facts: Mapping[str, Any]) -> None:
    """Let a model know the names, and the colours, of its classes."""
    for name, attribute in FACTS.items():
        value = fact_of(facts, name)
        if value is not None:
            setattr(model, attribute, value)
