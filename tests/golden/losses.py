"""Runs a recorded training loss, of a whole model or of a loss module, and compares it with what we compute.

The components of the records are built from their own configs. Where a record says what we say otherwise, the
difference stands in a table below, one line each; what has no counterpart counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core.registries import LOSSES, MODELS
from intarsia.models.task_model import parse_losses
from tests.golden import losses_action, losses_localization, losses_pose, losses_pose_models
from tests.golden.fill import fill, make_input, tuples
from tests.golden.models import bind, missing_components, task_of
from tests.golden.outcome import Outcome

DROP_ATTRIBUTES = ('drop_prob', 'drop_path_rate', 'dropout_ratio', 'drop_rate', 'attn_drop_rate')

LOSS_TOLERANCE = 1e-4
PIXEL_TOLERANCE = 1e-2
"""Of accuracies of pixels: a few of them lie between two classes, and the processor decides."""
GRADIENT_TOLERANCE = 2e-2
MODULE_TOLERANCE = 1e-5


def run(record: Mapping[str, Any]) -> Outcome:
    """Compare one record.

    Args:
        record: A line of the loss fixtures: with ``model`` a whole model, with ``loss`` a loss module.
    """
    task = task_of(record.get('zoo') or record['package'])
    compare = _compare_model if 'model' in record else _compare_module
    try:
        return compare(record, task)
    except Exception as error:
        return Outcome(error=f'{type(error).__name__}: {error}')


# ---------------------------------------------------------------------- whole models


def _compare_model(record: Mapping[str, Any], task: str | None) -> Outcome:
    config = bind(tuples(record['model']), record['zoo'])
    if task == 'segmentation' and not record['zoo'].endswith('-0.30.0'):
        config = _with_newer_losses(config)
    missing = missing_components(config, task)
    if missing:
        return Outcome(missing=missing)
    model = MODELS.of(task).build(config)
    try:
        wrong = _model_deviation(model, record, task)
    except Exception as error:
        return Outcome(built=True, error=f'{type(error).__name__}: {error}')
    return Outcome(built=True, keys_equal=True, equal=wrong <= 1, max_rel=wrong * LOSS_TOLERANCE)


def _with_newer_losses(node: Any) -> Any:
    """A model config of the newer generation, its losses written as ours."""
    if isinstance(node, (list, tuple)):
        return [_with_newer_losses(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    own = {key: _with_newer_losses(value) for key, value in node.items()}
    return {**own, **NEWER_SEGMENTATION.get(str(own.get('type')), {})}


def _model_deviation(model: Any, record: Mapping[str, Any], task: str | None) -> float:
    """The greatest deviation of a loss or gradient, in units of its tolerance."""
    fill(model.state_dict())
    _switch_off_drops(model)
    model.train()
    torch.manual_seed(0)
    batch = {'img': make_input('input', record['input']['shape'])}
    if task == 'pose':
        batch = losses_pose_models.batch_of(record, model)
    elif record['kind'] in losses_action.KINDS:
        batch = losses_action.batch_of(record)
    elif task == 'segmentation':
        num, _, rows, columns = batch['img'].shape
        batch['gt_semantic_seg'] = _mask(num, rows, columns, model.num_classes)[:, None]
        if 'gt_edge_map' in str(record['targets']):
            batch |= _mask_with_edges(num, rows, columns, model.num_classes)
    elif task != 'action':
        batch['gt_label'] = _labels(record['targets'][0], len(batch['img']), _num_classes(record['model']))
    is_localizer = record['kind'] in losses_localization.KINDS
    own = losses_localization.losses_of(record, model) if is_localizer else model.loss(batch['img'], batch)
    total, values = parse_losses(own)
    total.backward()
    deviations = {name: relative(values[name].item(), kept) for name, kept in record['losses'].items()}
    losses = [d * (LOSS_TOLERANCE / PIXEL_TOLERANCE if 'acc_seg' in name else 1) for name, d in deviations.items()]
    losses.append(relative(total.item(), record['total_loss']))
    norms = {name: p.grad.double().norm().item() for name, p in model.named_parameters() if p.grad is not None}
    norm = record['grad_norm']
    if math.isnan(float(norm)):  # where the old one divided by 0
        return max(losses) / LOSS_TOLERANCE
    gradients = [relative(math.hypot(*norms.values()), norm)]
    gradients += [abs(norms[name] - kept) / max(kept, norm / 10) for name, kept in record['param_grad_norms']]
    return max(max(losses) / LOSS_TOLERANCE, max(gradients) / GRADIENT_TOLERANCE)


def _switch_off_drops(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
        for name in DROP_ATTRIBUTES:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def _labels(recipe: str, num_samples: int, num_classes: int) -> Tensor:
    """The target that a record describes in words."""
    n, c = torch.arange(num_samples), torch.arange(num_classes)
    hard = (7 * n + 3) % num_classes
    if 'onehots' in recipe:
        return ((5 * c[None] + 3 * n[:, None]) % 7 == 0).float()
    if 'soft' in recipe:
        soft = torch.zeros(num_samples, num_classes)
        soft[n, hard] += 0.7
        soft[n, (7 * n + 5) % num_classes] += 0.3
        return soft
    return hard


def _num_classes(model: Mapping[str, Any]) -> int:
    return model['head'].get('num_classes') or model['backbone']['num_classes']


# ---------------------------------------------------------------------- loss modules


NEWER_SEGMENTATION: dict[str, dict[str, Any]] = {
    'CrossEntropyLoss': {'avg_class_weight': True},
    'DiceLoss': {'type': 'JointDiceLoss'},
}
"""Segmentation loss of the newer generation -> what it is written with here, as the older one is the rule."""


def _compare_module(record: Mapping[str, Any], task: str | None) -> Outcome:
    config = _bound_loss(record, task)
    missing = missing_components(config, task)
    if 'error' in record:
        missing = [f'the old one failed: {record["error"]}']
    if missing:
        return Outcome(missing=missing)
    loss = LOSSES.of(task).build(config)
    if task == 'pose':
        return losses_pose.compare(record, loss)
    score, target = _mask_inputs(record) if task == 'segmentation' else _label_inputs(record)
    if config['type'] == 'BinaryLogisticRegressionLoss':
        score, target = losses_localization.module_inputs(record)
    value = loss(score.requires_grad_(), target)
    value.sum().backward()
    assert score.grad is not None
    gradient = score.grad.double()
    kept_gradient = torch.tensor(record['grad_first8'][0], dtype=torch.float64)
    wrong = [
        relative(value.sum().item(), record['sum']),
        relative(gradient.norm().item(), record['grad_norm'][0]),
        (gradient.reshape(-1)[:8] - kept_gradient).abs().max().item() / record['grad_norm'][0],
    ]
    same_shape = list(value.shape) == record['output_shapes'][0]
    equal = same_shape and max(wrong) <= MODULE_TOLERANCE
    return Outcome(built=True, keys_equal=True, equal=equal, max_rel=max(wrong) if same_shape else math.inf)


def _bound_loss(record: Mapping[str, Any], task: str | None) -> dict[str, Any]:
    config = tuples(record['loss'])
    if record['gen'] == 1 and task == 'pose':
        return losses_pose.with_newer_defaults(config)
    is_newer = record['gen'] == 1 and task == 'segmentation'
    return {**config, **NEWER_SEGMENTATION.get(config['type'], {})} if is_newer else config


def _label_inputs(record: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    recipe, score = record['inputs'], make_input('output', (4, 10))
    if record['loss'].get('mode') == 'multi_label' or recipe.startswith("label=('target'>0)"):
        return score, (make_input('target', (4, 10)) > 0).long()
    if 'softmax' in recipe:
        return score, make_input('target', (4, 10)).softmax(dim=1)
    return score, (7 * torch.arange(4) + 3) % 10


def _mask_inputs(record: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    num, num_classes, rows, columns = shape = (2, 19, 24, 32)
    return make_input('output', shape), _mask(num, rows, columns, num_classes, 'rows i<4 = 0' in record['inputs'])


def _mask(num: int, rows: int, columns: int, num_classes: int, is_whole: bool = False) -> Tensor:
    """The labels of the records, ``(num, rows, columns)``; their first rows are ignored, or 0."""
    n, i, j = torch.meshgrid(torch.arange(num), torch.arange(rows), torch.arange(columns), indexing='ij')
    mask = (i // 8 * 3 + j // 8 * 5 + n) % num_classes
    mask[:, :4] = 0 if is_whole else 255
    return mask


def _mask_with_edges(num: int, rows: int, columns: int, num_classes: int) -> dict[str, Tensor]:
    """The labels and edges of the record that has both."""
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing='ij')
    mask, edges = (i // 8 * 3 + j // 8 * 5) % num_classes, ((i % 16 == 0) | (j % 16 == 0)).long()
    return {key: each.expand(num, 1, -1, -1) for key, each in (('gt_semantic_seg', mask), ('gt_edge_map', edges))}


def relative(value: float, kept: float) -> float:
    """Deviation relative to the kept value."""
    return abs(value - kept) / max(abs(kept), 1e-12)
