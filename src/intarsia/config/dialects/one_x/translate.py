"""A whole config of the newer generation in the words of the house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.config.components import Finding
from intarsia.config.dialects.names import SCOPES
from intarsia.config.dialects.one_x.data import translate_data
from intarsia.config.dialects.one_x.model import house_model
from intarsia.config.dialects.one_x.optim_wrapper import translate_optim_wrapper
from intarsia.config.dialects.one_x.param_scheduler import translate_param_scheduler
from intarsia.config.dialects.one_x.runtime import (
    translate_hooks,
    translate_loops,
    translate_records,
    translate_surroundings,
)
from intarsia.config.dialects.reader import House, Reader
from intarsia.config.origins import Origins

OWN = frozenset(
    ['optim_wrapper', 'param_scheduler', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
     'test_evaluator', 'default_hooks', 'default_scope', 'env_cfg', 'randomness', 'visualizer', 'vis_backends',
     'log_processor', 'resume', 'tta_model', 'tta_pipeline', 'train_cfg', 'val_cfg', 'test_cfg', 'model_wrapper_cfg']
)  # fmt: skip
"""Fields that only this generation has."""

MARKS = frozenset(
    ['optim_wrapper', 'param_scheduler', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
     'test_evaluator', 'default_hooks', 'default_scope']
)  # fmt: skip
"""Fields that tell the generation of a file."""

HOUSE_ONLY = frozenset(
    ['data', 'lr_config', 'momentum_config', 'optimizer_config', 'runner', 'total_epochs', 'total_iters', 'evaluation',
     'checkpoint_config', 'log_config', 'workflow', 'fp16', 'resume_from', 'dist_params']
)  # fmt: skip
"""Fields that it lacks: there they do nothing."""

ALLOWED = '_allow_unused_'
"""A list of fields that may do nothing."""

BLENDINGS = {'Mixup': 'BatchMixup', 'CutMix': 'BatchCutMix', 'ResizeMix': 'BatchResizeMix'}
"""Batch augmentations of classification, and what they are called here."""


def is_one_x(values: Mapping[str, Any]) -> bool:
    """Whether a merged config is of this generation: it has fields of it, and no data sets where 0.x has them."""
    data = values.get('data')
    is_house = isinstance(data, Mapping) and bool({'train', 'val', 'test'} & data.keys())
    return not is_house and bool(MARKS & values.keys())


def translate(values: Mapping[str, Any], origins: Origins, task: str | None) -> tuple[House, list[Finding]]:
    """Translate a config.

    Args:
        values: Merged, with bare names of components.
        origins: Where they were written.
        task: Of the model; None where nobody knows.

    Returns:
        The house form, and what could not be translated, by key paths of the old form.
    """
    findings: list[Finding] = []
    house, top = House(origins), Reader(values, '', findings)
    allowed = top.take(ALLOWED) or ()
    task = top.take('task') or task or SCOPES.get(str(values.get('default_scope')))
    preprocessor = _take_model(top, house, task)
    translate_loops(top, house)
    wrapper = top.take('optim_wrapper')
    if wrapper is not None:
        translate_optim_wrapper(Reader(wrapper, 'optim_wrapper', findings), house)
    fields, found = translate_param_scheduler(top.take('param_scheduler'))
    findings += found
    for name, links in fields.items():
        house.put(name, links, 'param_scheduler')
    translate_hooks(top, house, task, preprocessor)
    translate_records(top, house)
    if task is not None:
        translate_data(top, house, task, preprocessor)
        house.put('task', task)
    translate_surroundings(top, house)
    for name in top.rest():
        if name in HOUSE_ONLY and name not in allowed:
            message = (
                f"'{name}' is a field of 0.x config files and does nothing in this one, which is 1.x. To run it "
                f"all the same: {ALLOWED} = ['{name}']."
            )
            findings.append(Finding('other-generation', message, name))
    return house, findings


def _take_model(top: Reader, house: House, task: str | None) -> Mapping[str, Any]:
    """Translate the model, and give back what its preprocessor does."""
    outside = top.take('data_preprocessor') or {}
    model = dict(top.take('model') or {})
    preprocessor = {**outside, **(model.pop('data_preprocessor', None) or {})}
    found = dict(house_model(model))
    augments = preprocessor.get('batch_augments') or _own_augments(found.get('train_cfg'))
    if task == 'classification' and isinstance(augments, Mapping) and augments.get('augments'):
        found['train_cfg'] = {'augments': _augments(augments, found)}
    if task == 'action' and preprocessor.get('blending') is not None:
        found['train_cfg'] = {**(found.get('train_cfg') or {}), 'blending': preprocessor['blending']}
    found |= _own_defaults(found, task)
    if model:
        house.put('model', found, 'model')
    return preprocessor


OWN_DEFAULTS: dict[tuple[Any, Any], dict[str, Any]] = {
    ('segmentation', 'VisionTransformer'): {'patch_bias': False},
    ('classification', 'EfficientNet'): {'edge_stride': 'expand'},
}
"""Defaults of backbones of 1.x that differ from those of 0.x, by task and name."""


def _own_defaults(model: Mapping[str, Any], task: str | None) -> dict[str, Any]:
    """What networks of 1.x do where they say nothing, and those of 0.x do not."""
    backbone = model.get('backbone')
    kind = backbone.get('type') if isinstance(backbone, Mapping) else None
    if (task, kind) in OWN_DEFAULTS:
        return {'backbone': {**OWN_DEFAULTS[task, kind], **(backbone or {})}}
    return {'keeps_bm_mask': model.get('keeps_bm_mask', True)} if model.get('type') == 'BMN' else {}


def _own_augments(train_cfg: Any) -> dict[str, Any]:
    """Batch augmentations that stand in ``train_cfg`` of the model, as those of a preprocessor."""
    augments = train_cfg.get('augments') if isinstance(train_cfg, Mapping) else None
    return {'augments': augments, 'probs': train_cfg.get('probs')} if augments else {}


def _named_here(node: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A batch augmentation by its name here."""
    return {**node, 'type': BLENDINGS.get(node['type'], node['type']), **more}


def _augments(asked: Mapping[str, Any], model: Mapping[str, Any]) -> list[dict[str, Any]]:
    nodes = asked['augments']
    nodes = [nodes] if isinstance(nodes, Mapping) else list(nodes)
    chances = asked.get('probs') or [1 / len(nodes)] * len(nodes)
    classes = (model.get('head') or {}).get('num_classes')
    return [_named_here(n, num_classes=classes, prob=chance) for n, chance in zip(nodes, chances, strict=True)]
