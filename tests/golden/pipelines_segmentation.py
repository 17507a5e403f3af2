"""Runs recorded pipelines and transforms of segmentation; see :mod:`tests.golden.pipelines`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Compose
from tests.golden.inputs import make, tuples
from tests.golden.nodes import Named, Node, UnmappedError, flatten, flipped, on_all_channels, renamed, without
from tests.golden.outcome import Outcome
from tests.golden.outputs import compare

TASK = 'segmentation'


def run(record: dict[str, Any], folder: str) -> Outcome:
    """Compare one record; both words of a record that stands for both generations."""
    found = []
    for number in record['gen']:
        try:
            found.append(_results_of(record, f'{number}.x', folder))
        except UnmappedError as error:
            if not found:
                return Outcome(missing=[str(error)])
        except Exception as error:
            return Outcome(error=f'{type(error).__name__}: {error}')
    outcomes = [compare(record, results) for results in found]
    return next((outcome for outcome in outcomes if not outcome.equal), outcomes[0])


def _results_of(record: Mapping[str, Any], generation: str, folder: str) -> Named:
    inputs = make(record['inputs'], folder)
    if record['kind'] == 'pipeline':
        nodes = tuples(record['pipeline'])
        if generation == '0.x':
            return flatten_views(_run(nodes, inputs))
        return _run_new_pipeline(nodes, record.get('preprocessor') or {}, inputs)
    what = record['transform'][generation]
    if isinstance(what, dict):
        return _preprocess_batch(tuples(what), inputs)
    return _run_transforms(tuples(what), generation, inputs, record.get('pinned', {}))


# ---------------------------------------------------------------------- the newer generation's words

SAME = frozenset(
    {'AdjustGamma', 'CLAHE', 'LoadAnnotations', 'LoadImageFromFile', 'Normalize', 'PhotoMetricDistortion'}
    | {'RGB2Gray', 'RandomCrop', 'RandomCutOut', 'RandomFlip', 'RandomMosaic', 'Rerange', 'ResizeToMultiple'}
    | {'GenerateEdge', 'ResizeShortestEdge', 'SegRescale'}
)
"""Transforms whose arguments are the same in both generations."""

TO_HOUSE: dict[str, Callable[[Node], Node]] = {
    'Pad': lambda n: renamed(
        {**without(n, 'pad_val'), 'pad_val': n['pad_val']['img'], 'seg_pad_val': n['pad_val']['seg']},
        TASK,
        size=('size', flipped),
        pad_val=('pad_val', on_all_channels),
    ),
    'RandomChoiceResize': lambda n: renamed({**n, 'multiscale_mode': 'value'}, TASK, type='Resize', scales='img_scale'),
    'RandomResize': lambda n: renamed(n, TASK, type='Resize', scale='img_scale'),
    'RandomRotate': lambda n: {**n, 'pad_val': (n.get('pad_val', 0), 0, 0)},
    'Resize': lambda n: renamed(n, TASK, scale='img_scale'),
}

OLD_TO_HOUSE = {'RandomRotate': TO_HOUSE['RandomRotate']}
"""A number as ``pad_val`` filled the first channel only; here it fills all."""


def house(node: Node, generation: str) -> Node:
    """A node in our words.

    Raises:
        UnmappedError: It has no counterpart.
    """
    kind = node['type']
    if generation == '0.x' and kind in TRANSFORMS.of(TASK):
        return OLD_TO_HOUSE.get(kind, dict)(node)
    if generation == '1.x' and kind in TO_HOUSE:
        return TO_HOUSE[kind](node)
    if generation == '1.x' and kind in SAME:
        return node
    raise UnmappedError(kind)


# ---------------------------------------------------------------------- transforms


def _run(nodes: list[Node], results: Named) -> Named:
    found = Compose(nodes, TASK)(results, np.random.default_rng(0))
    assert found is not None
    return found


def _run_transforms(nodes: list[Node], generation: str, inputs: Named, pinned: Mapping[str, Any]) -> Named:
    results = _sample(inputs, generation)
    if nodes[-1]['type'] == 'PackSegInputs':
        return _packed(_run([*(house(n, generation) for n in nodes[:-1]), {'type': 'DefaultFormatBundle'}], results))
    steps = [house(node, generation) for node in nodes]
    if pinned:
        (node,) = steps
        transform: Any = TRANSFORMS.of(TASK).build(node)
        results = transform.change(results, drawn_of(transform, pinned))
    else:
        results = _run(steps, results)
    return _as_recorded(flatten(results), nodes[-1], generation)


def _sample(inputs: Named, generation: str) -> Named:
    """The inputs of a record as the data set of its generation would give them."""
    results = {'seg_fields': [], **inputs}
    if 'seg' in results:
        results |= {'gt_semantic_seg': results.pop('seg'), 'seg_fields': ['gt_semantic_seg']}
    if 'mix_results' in results:
        results['mix_results'] = [_sample(other, generation) for other in results['mix_results']]
    if 'seg_map' in results:
        results['seg_map_path'] = results.pop('seg_map')
    if results.get('label_map'):
        label_map = dict(results['label_map'])
        if generation == '1.x' and results['reduce_zero_label']:  # the newer one reduces before it maps
            label_map = {0: 0, **{old + 1: (new + 1) % 256 for old, new in label_map.items()}}
        results['label_map'] = label_map
    return results


def drawn_of(transform: Any, pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What a record pins, as our step draws it."""
    if 'index' in pinned:
        return {'scale': transform.img_scale[pinned['index']]}
    if 'randint' in pinned:
        return _photometric(iter(pinned['randint']), iter(pinned['uniform']))
    if 'x' in pinned:
        holes = {key: np.atleast_1d(pinned.get(key, 0)).tolist() for key in ('x', 'y', 'candidate')}
        return {key: values * (len(holes['x']) // len(values)) for key, values in holes.items()}
    return dict(pinned)


def _photometric(integers: Any, uniforms: Any) -> dict[str, Any]:
    """Replays the order in which the older code draws."""
    drawn: dict[str, Any] = {'brightness': next(uniforms) if next(integers) else None}
    drawn['contrast_first'] = next(integers) == 1
    if drawn['contrast_first']:
        drawn['contrast'] = next(uniforms) if next(integers) else None
    drawn['saturation'] = next(uniforms) if next(integers) else None
    drawn['hue'] = next(integers) if next(integers) else None
    if not drawn['contrast_first']:
        drawn['contrast'] = next(uniforms) if next(integers) else None
    return drawn


def _as_recorded(results: Named, node: Node, generation: str) -> Named:
    """The results under the names of the records, and with what the newer generation notes in another way."""
    if 'gt_semantic_seg' in results:
        results['seg'] = _wide(results['gt_semantic_seg'])
    if generation == '1.x' and node['type'] == 'Pad':
        results['img_shape'] = results['pad_shape']
    if node['type'] == 'ResizeShortestEdge':
        results['scale'] = results['img_shape'][1::-1]
    return results


def _wide(mask: Any) -> Any:
    """Masks stay uint8 when they become tensors; the old ones were made int64 there, ours by the model."""
    return mask if isinstance(mask, np.ndarray) else mask.long()


# ---------------------------------------------------------------------- pipelines


def flatten_views(results: Named) -> Named:
    """Lists of dicts, as test-time augmentation gives them, flattened with their numbers."""
    flat: Named = {}
    for key, value in results.items():
        if isinstance(value, list) and isinstance(value[0], Mapping):
            flat |= flatten({key: {str(i): each for i, each in enumerate(value)}})
        else:
            flat[key] = value
    return flat


def _run_new_pipeline(nodes: list[Node], preprocessor: Node, inputs: Named) -> Named:
    if nodes[-1]['type'] == 'TestTimeAug':
        return _run_new_views(nodes, preprocessor, inputs)
    steps = [house(node, '1.x') for node in nodes[:-1]]
    results = _packed(_run([*steps, {'type': 'DefaultFormatBundle'}], inputs), nodes[-1].get('meta_keys'))
    results |= _preprocess(results['inputs'], preprocessor)
    if any(node['type'] == 'ResizeToMultiple' for node in nodes):
        results['pre.meta.pad_shape'] = results['data_samples.pad_shape']
    return results


def _run_new_views(nodes: list[Node], preprocessor: Node, inputs: Named) -> Named:
    """The newer test-time augmentation is a product of lists of steps; ours is told scales and flips."""
    resizes, flips, *others = nodes[-1]['transforms']
    if [node['type'] for node in flips] != ['RandomFlip'] * 2 or any('scale_factor' not in node for node in resizes):
        raise UnmappedError('TestTimeAug')
    steps = [house(node, '1.x') for (node,) in others[:-1]]
    augment = {
        'type': 'MultiScaleFlipAug',
        'scale_factors': [node['scale_factor'] for node in resizes],
        'flip': True,
        'transforms': [{'type': 'Resize'}, {'type': 'RandomFlip'}, *steps, {'type': 'DefaultFormatBundle'}],
    }
    views = _run([*(house(node, '1.x') for node in nodes[:-1]), augment], inputs)
    named: Named = {}
    for i in range(len(views['img'])):
        packed = _packed({key: values[i] for key, values in views.items()})
        results = {**packed, **_preprocess(packed['inputs'], preprocessor)}
        if not results['data_samples.flip']:
            results['data_samples.flip_direction'] = None
        for name, value in results.items():
            head, _, tail = name.partition('.') if not name.startswith('pre.') else ('pre.inputs', '', name[11:])
            named[f'{head}.{i}.{tail}' if tail else f'{head}.{i}'] = value
    return named


def _packed(results: Named, meta_keys: Any = None) -> Named:
    """What leaves the newer generation's pipelines."""
    packed: Named = {'inputs': results['img']}
    if 'gt_semantic_seg' in results:
        packed['data_samples.gt_sem_seg.data'] = _wide(results['gt_semantic_seg'])
    metas = {key: value for key, value in results.items() if key not in ('img', 'gt_semantic_seg')}
    return {**packed, **{f'data_samples.{key}': value for key, value in metas.items()}}


def _preprocess(img_chw: Any, preprocessor: Node) -> Named:
    """What the newer generation's model does to its input: our Normalize and Pad, at the end of the pipeline."""
    height, width = img_chw.shape[1:]
    options = {**preprocessor, **(preprocessor.get('test_cfg') or {})} if preprocessor.get('test_cfg') else {}
    divisor = options.get('size_divisor')
    size = (math.ceil(height / divisor) * divisor, math.ceil(width / divisor) * divisor) if divisor else (height, width)
    img = np.ascontiguousarray(img_chw.permute(1, 2, 0).numpy())
    padded = _normalized_and_padded({'img': img}, preprocessor, size)
    metas: Named = {'pre.meta.img_padding_size': None, 'pre.meta.pad_shape': None}
    if divisor:
        metas = {'pre.meta.img_padding_size': [0, size[1] - width, 0, size[0] - height], 'pre.meta.pad_shape': size}
    return {'pre.inputs': padded['img'][None], **metas}


def _normalized_and_padded(sample: Named, preprocessor: Node, size: tuple[int, int]) -> Named:
    channels = sample['img'].shape[2]
    fill = preprocessor.get('pad_val', 0)
    steps = [
        {
            'type': 'Normalize',
            'mean': preprocessor.get('mean') or [0] * channels,
            'std': preprocessor.get('std') or [1] * channels,
            'to_rgb': preprocessor.get('bgr_to_rgb', False),
        },
        {
            'type': 'Pad',
            'size': size,
            'pad_val': (fill,) * min(channels, 4),
            'seg_pad_val': preprocessor['seg_pad_val'],
        },
        {'type': 'DefaultFormatBundle'},
    ]
    return _run(steps, sample)


def _preprocess_batch(preprocessor: Node, inputs: Named) -> Named:
    """What the newer generation's model does to a batch of images of different sizes."""
    sizes = [img.shape[:2] for img in inputs['img']]
    largest = [max(size[axis] for size in sizes) for axis in (0, 1)]
    divisor = preprocessor.get('size_divisor', 1)
    height, width = preprocessor.get('size') or (math.ceil(side / divisor) * divisor for side in largest)
    samples = []
    for img, seg in zip(inputs['img'], inputs['seg'], strict=True):
        sample = _sample({'img': img, 'seg': seg}, '1.x')
        samples.append(_normalized_and_padded(sample, preprocessor, (height, width)))
    pads = {f'pad.{i}': [0, width - w, 0, height - h] for i, (h, w) in enumerate(sizes)}
    images, masks = ([sample[key].numpy() for sample in samples] for key in ('img', 'gt_semantic_seg'))
    return {'inputs': np.stack(images), 'seg': np.stack(masks).astype(np.int64), **pads}
