"""Builders of networks and their parts, which know whose components bare names mean."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from intarsia.config.dialects.names import with_bare_names
from intarsia.config.dialects.one_x.model import house_model
from intarsia.core.registries import MODELS, PIXEL_SAMPLERS
from intarsia.core.registry import Registry
from intarsia.openmmlab.registry import build_from_cfg


def for_task(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function whose argument ``task`` is that of the package it is imported from."""
    vars(function)['takes_task'] = True
    return function


def build_task_model(cfg: Any, train_cfg: Any = None, test_cfg: Any = None, *, task: str) -> Any:
    """Build a network that has, beside the methods of ours, those of the old toolbox.

    Args:
        cfg: Its config.
        train_cfg: What the config used to have outside the model.
        test_cfg: The same.
        task: Whose network it is.
    """
    registry = MODELS.of(task)
    node = dict(house_model(with_bare_names(cfg)))
    for name, value in (('train_cfg', train_cfg), ('test_cfg', test_cfg)):
        if value is not None and node.get(name) is None:
            node[name] = value
    if isinstance(node.get('type'), str) and node['type'] in registry:
        node['type'] = old_class(registry.get(node['type']), task)
    return build_from_cfg(node, registry)


@functools.cache
def old_class(kind: Any, task: str) -> Any:
    """The class of the same name that has the old methods, if there is one; else the class itself."""
    module = importlib.import_module(f'intarsia.openmmlab.models.{task}')
    found = vars(module).get(kind.__name__)
    return found if inspect.isclass(found) and inspect.isclass(kind) and issubclass(found, kind) else kind


build_classifier = functools.partial(build_task_model, task='classification')
build_segmentor = functools.partial(build_task_model, task='segmentation')
build_posenet = build_pose_estimator = functools.partial(build_task_model, task='pose')
build_recognizer = build_localizer = build_model = functools.partial(build_task_model, task='action')


@for_task
def build_backbone(cfg: Any, *, task: str | None = None) -> Any:
    """Build a backbone; a list of configs gives a sequence."""
    return _build_part(cfg, MODELS.of(task))


@for_task
def build_neck(cfg: Any, *, task: str | None = None) -> Any:
    """Build a neck."""
    return _build_part(cfg, MODELS.of(task))


@for_task
def build_head(cfg: Any, *, task: str | None = None) -> Any:
    """Build a head."""
    return _build_part(cfg, MODELS.of(task))


@for_task
def build_loss(cfg: Any, *, task: str | None = None) -> Any:
    """Build a loss."""
    return _build_part(cfg, MODELS.of(task))


def build_pixel_sampler(cfg: Mapping[str, Any], **default_args: Any) -> Any:
    """Build what chooses the pixels of a segmentation head's loss."""
    return build_from_cfg(cfg, PIXEL_SAMPLERS, default_args)


def _build_part(cfg: Any, registry: Registry) -> Any:
    return build_from_cfg(with_bare_names(cfg), registry)
