"""Runs recorded pipelines, transforms and batch augmentations, and compares what comes out.

Records of the older generation are built from their own configs. Those of the newer one are mapped to our words by
:data:`TO_HOUSE`, one line each; what has no line there, and mistakes that are not repeated here, count as missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import BATCH_AUGMENTS, LOSSES, TRANSFORMS
from intarsia.data.io.geometry import rescale_size, resize_to_multiple
from intarsia.data.transforms.transform import Compose
from tests.golden import (
    pipelines_action,
    pipelines_action_sampling,
    pipelines_action_skeleton,
    pipelines_pose,
    pipelines_segmentation,
)
from tests.golden.inputs import make, tuples
from tests.golden.nodes import Named, Node, UnmappedError, flatten, flipped, on_all_channels, renamed, without
from tests.golden.outcome import Outcome
from tests.golden.outputs import compare

TASK = 'classification'


def run(record: dict[str, Any], folder: str) -> Outcome:
    """Compare one record.

    Args:
        record: A line of the data fixtures, of kind ``pipeline``, ``transform`` or ``batch``.
        folder: Where the input files are written.
    """
    if record['task'] == pipelines_segmentation.TASK:
        return pipelines_segmentation.run(record, folder)
    if record['task'] == pipelines_pose.TASK:
        return pipelines_pose.run(record, folder)
    if pipelines_action_sampling.takes(record):
        return pipelines_action_sampling.run(record, folder)
    if pipelines_action_skeleton.takes(record):
        return pipelines_action_skeleton.run(record, folder)
    if record['task'] == pipelines_action.TASK:
        return pipelines_action.run(record, folder)
    if record['task'] != TASK:
        return Outcome(missing=[f'data of the task {record["task"]}'])
    try:
        found = [_results_of(record, generation, folder) for generation in _generations(record)]
    except UnmappedError as error:
        return Outcome(missing=[str(error)])
    except Exception as error:
        return Outcome(error=f'{type(error).__name__}: {error}')
    outcomes = [compare(record, results) for results in found]
    return next((outcome for outcome in outcomes if not outcome.equal), outcomes[0])


def _generations(record: Mapping[str, Any]) -> list[str]:
    """The generations whose words are run: those of a shared record both, if the newer ones can be mapped."""
    names = [f'{number}.x' for number in record['gen']]
    newer = record.get('transform', {}).get('1.x')
    if len(names) == 2 and isinstance(newer, list):
        try:
            house(tuples(newer), '1.x')
        except UnmappedError:
            return names[:1]
    return names


def _results_of(record: Mapping[str, Any], generation: str, folder: str) -> Named:
    inputs = make(record['inputs'], folder)
    if record['kind'] == 'pipeline':
        old = generation == '0.x'
        return _run_old_pipeline(record, inputs) if old else _run_new_pipeline(record, inputs)
    if any(o['name'] in ('gt_bboxes', 'gt_keypoints', 'seg') for o in record['outputs']):
        raise UnmappedError('transforms of images together with boxes, key points or maps')
    what = tuples(record['transform'][generation])
    if isinstance(what, str):
        return _call_in_words(what, inputs)
    if record['kind'] == 'batch':
        return _run_batch(what, inputs, record.get('pinned', {}), generation)
    if isinstance(what, dict):
        raise UnmappedError(what['type'])
    return _run_transforms(house(what, generation), inputs, record.get('pinned', {}))


# ---------------------------------------------------------------------- the newer generation's words

SAME = frozenset(
    {
        'AutoContrast',
        'Brightness',
        'ColorTransform',
        'Contrast',
        'Cutout',
        'Equalize',
        'GaussianBlur',
        'Identity',
        'Invert',
        'LoadImageFromFile',
        'Normalize',
        'Posterize',
        'RandomErasing',
        'Sharpness',
        'Shear',
        'Solarize',
        'SolarizeAdd',
        'Translate',
    }
)
"""Transforms whose arguments are the same in both generations."""

TO_HOUSE: dict[str, Callable[[Node], list[Node]]] = {
    'CenterCrop': lambda n: [renamed(n, TASK, crop_size=('crop_size', flipped))],
    'ColorJitter': lambda n: [{'backend': 'pillow', **n}],
    'EfficientNetCenterCrop': lambda n: [
        {'interpolation': 'bicubic', 'efficientnet_style': True, **n, 'type': 'CenterCrop'}
    ],
    'PackInputs': lambda n: [
        {'type': 'ToTensor', 'keys': ['gt_label']},
        {'type': 'ImageToTensor', 'keys': ['img']},
        {
            'type': 'Collect',
            'keys': ['img', 'gt_label', *n.get('algorithm_keys', ())],
            'meta_keys': n.get('meta_keys', ('ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')),
        },
    ],
    'Pad': lambda n: [renamed(n, TASK, size=('size', flipped), pad_val=('pad_val', on_all_channels))],
    'RandomCrop': lambda n: [{'pad_half': True, **renamed(n, TASK, crop_size='size')}],
    'RandomFlip': lambda n: [renamed(n, TASK, prob='flip_prob')],
    'RandomGrayscale': lambda n: [
        {
            'channel_weights': (1, 1, 1),
            'keep_channels': False,
            **renamed(without(n, 'color_format'), TASK, prob='gray_prob'),
        }
    ],
    'RandomResizedCrop': lambda n: [
        renamed(n, TASK, scale='size', crop_ratio_range='scale', aspect_ratio_range='ratio'),
    ],
    'Resize': lambda n: [renamed(n, TASK, scale=('size', flipped))],
    'ResizeEdge': lambda n: [
        renamed(n, TASK, type='Resize', scale=('size', lambda length: (length, -1)), edge='adaptive_side')
    ],
}

NOT_COPIED: dict[tuple[str, str], str] = {
    ('1.x', 'Lighting'): "the newer Lighting, whose values wrap around instead of leaving uint8's range",
    ('1.x', 'Rotate'): 'the newer Rotate, which fills the corners in the first channel only',
}
"""Mistakes of one generation that are not repeated here."""


def house(nodes: list[Node], generation: str) -> list[Node]:
    """The nodes in our words.

    Raises:
        UnmappedError: One of them has no counterpart.
    """
    found = []
    for node in nodes:
        kind = node['type']
        if (generation, kind) in NOT_COPIED:
            raise UnmappedError(NOT_COPIED[generation, kind])
        if overflows(node):
            raise UnmappedError('SolarizeAdd of a whole number that wraps around beyond 255')
        if generation == '1.x' and kind in TO_HOUSE:
            found += TO_HOUSE[kind](node)
        elif kind in TRANSFORMS.of(TASK) and (generation == '0.x' or kind in SAME):
            found.append(node)
        else:
            raise UnmappedError(kind)
    return found


def overflows(node: Node) -> bool:
    """Whether the old SolarizeAdd leaves the range of uint8, which it did for whole numbers."""
    magnitude = node.get('magnitude')
    return node['type'] == 'SolarizeAdd' and isinstance(magnitude, int) and magnitude + node.get('thr', 128) > 256


# ---------------------------------------------------------------------- running


def _run_steps(nodes: list[Node], results: Named) -> Named:
    found = Compose(nodes, TASK)(results, np.random.default_rng(0))
    assert found is not None
    return found


def _run_transforms(nodes: list[Node], results: Named, pinned: Mapping[str, Any]) -> Named:
    if not pinned:
        return flatten(_run_steps(nodes, results))
    (node,) = nodes
    transform = TRANSFORMS.of(TASK).build(node)
    accepted = inspect.signature(transform.apply).parameters
    drawn = {key: np.array(v) if key == 'alpha' else v for key, v in pinned.items() if key in accepted}
    img = transform.apply(results['img'], **drawn)
    return {**results, 'img': img, 'img_shape': img.shape}


def _run_old_pipeline(record: Mapping[str, Any], inputs: Named) -> Named:
    nodes = house(tuples(record['pipeline']), '0.x')
    return flatten(_run_steps(nodes, inputs))


def _run_new_pipeline(record: Mapping[str, Any], inputs: Named) -> Named:
    nodes = house(tuples(record['pipeline']), '1.x')
    preprocessor = record.get('preprocessor') or {}
    if 'type' in preprocessor:
        raise UnmappedError(preprocessor['type'])
    collected = _run_steps(nodes, inputs)
    img = collected.pop('img')
    samples = {**collected.pop('img_metas'), **collected}
    if 'gt_bboxes' in samples:
        raise UnmappedError('Resize of images and boxes together')
    return {'inputs': img, 'pre.inputs': _preprocess(img, preprocessor), **flatten({'data_samples': samples})}


def _preprocess(img_chw: torch.Tensor, preprocessor: Mapping[str, Any]) -> torch.Tensor:
    """What the newer generation's model does to its input: our Normalize, at the end of the pipeline."""
    channels = len(img_chw)
    node = {
        'type': 'Normalize',
        'mean': preprocessor.get('mean') or [0] * channels,
        'std': preprocessor.get('std') or [1] * channels,
        'to_rgb': preprocessor.get('to_rgb', False),
    }
    steps = [node, {'type': 'ImageToTensor', 'keys': ['img']}]
    img = np.ascontiguousarray(img_chw.permute(1, 2, 0).numpy())
    return _run_steps(steps, {'img': img})['img'][None]


def _call_in_words(what: str, inputs: Named) -> Named:
    if what.startswith('mmcv.rescale_size'):
        width, height = inputs['size']
        size, factor = rescale_size((height, width), inputs['scale'])
        return {'size_and_factor': [size[1], size[0], factor]}
    if what.startswith('mmcv.imresize_to_multiple'):
        divisor = inputs['divisor']
        divisor = divisor if isinstance(divisor, int) else (divisor[1], divisor[0])
        return {'img': resize_to_multiple(inputs['img'], divisor, inputs['scale_factor'])}
    if what.startswith('RandAugment'):
        node = {'type': 'RandAugment', 'num_policies': 1, 'magnitude_level': inputs['level'], **inputs}
        augment = TRANSFORMS.of(TASK).build(without(node, 'level'))
        share = inputs['level'] / inputs['total_level']
        return {f'magnitude.{step.kind.__name__}': step.strength(share) for step in augment._steps}
    raise UnmappedError(what)


class PinnedDraws:
    """Stands in for a generator and gives what a record says was drawn."""

    def __init__(self, pinned: Mapping[str, Any]) -> None:
        self._integers = iter(pinned.get('center_yx', ()))
        self._share = pinned.get('beta', pinned.get('lam'))
        self._permutation = np.array(pinned.get('permutation', ()))

    def beta(self, a: float, b: float) -> float:
        return self._share

    def integers(self, low: int, high: int) -> int:
        return next(self._integers)

    def permutation(self, count: int) -> np.ndarray:
        return self._permutation


def _run_batch(node: Node, inputs: Named, pinned: Mapping[str, Any], generation: str) -> Named:
    label = torch.as_tensor(inputs['label'])
    if node['type'] == 'LabelSmoothLoss':
        if generation == '0.x' and node.get('reduction') == 'none':
            raise UnmappedError("LabelSmoothLoss that ignores reduction='none'")
        loss = LOSSES.of(TASK).build(node)
        score = torch.as_tensor(inputs['score'])
        one_hot = torch.nn.functional.one_hot(label, score.shape[1]).float() if label.ndim == 1 else label
        return {'target': loss.smooth(one_hot), 'loss': loss(score, label)}
    kind = f'Batch{node["type"]}'
    if kind not in BATCH_AUGMENTS.of(TASK):
        raise UnmappedError(node['type'])
    augment = BATCH_AUGMENTS.of(TASK).build({'num_classes': 5, **node, 'type': kind})
    img, score = augment(torch.as_tensor(inputs['img']), label, PinnedDraws(pinned))
    return {'img': img, 'score': score}
