"""Runs recorded pipelines and transforms of action recognition; see :mod:`tests.golden.pipelines`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia.core.registries import BATCH_AUGMENTS, TRANSFORMS
from intarsia.data.collate import Unstacked
from intarsia.data.transforms.transform import Compose
from tests.golden import pipelines_action_sampling
from tests.golden.inputs import make, tuples
from tests.golden.nodes import Named, Node, UnmappedError, flatten
from tests.golden.outcome import Outcome
from tests.golden.outputs import compare

TASK = 'action'
ROOT = Path(__file__).parents[2]
QUANTITIES = ('brightness', 'contrast', 'saturation', 'hue')
SAMPLE = {'modality': 'RGB', 'label': 3, 'length': 100}
"""What a sample of the records of single transforms has beside its inputs."""


def run(record: dict[str, Any], folder: str) -> Outcome:
    """Compare one record; both words of a record that stands for both generations."""
    found = []
    for number in record['gen']:
        try:
            found.append(compare(record, _results_of(record, f'{number}.x', folder)))
        except UnmappedError as error:
            if not found:
                return Outcome(missing=[str(error)])
        except Exception as error:
            return Outcome(error=f'{type(error).__name__}: {error}')
    return next((outcome for outcome in found if not outcome.equal), found[0])


def _results_of(record: Mapping[str, Any], generation: str, folder: str) -> Named:
    inputs = {key: _here(value) for key, value in make(record['inputs'], folder).items()}
    if record['kind'] == 'pipeline':
        nodes = tuples(record['pipeline'])
        if generation == '0.x':
            return _run_old_pipeline(nodes, inputs)
        return _run_new_pipeline(nodes, record.get('preprocessor'), inputs)
    what = tuples(record['transform'][generation])
    if record['kind'] == 'batch':
        return _run_batch(what, inputs, record['pinned'])
    if isinstance(what, dict):
        return {'inputs': _preprocessed(what, torch.stack([torch.as_tensor(inputs[key]) for key in ('a', 'b')]))}
    if isinstance(what, str):
        raise UnmappedError(what)
    return _run_transforms(what, inputs, record.get('pinned', {}), generation)


def _here(value: Any) -> Any:
    """A path of the records' data as one of this repository's data; anything else as it is."""
    is_path = isinstance(value, str) and value.startswith('shared/')
    return str(ROOT / value.removeprefix('shared/')) if is_path else value


# ---------------------------------------------------------------------- transforms


def house(node: Node, generation: str, modality: str | None) -> Node:
    """A node in our words.

    Raises:
        UnmappedError: It has no counterpart.
    """
    if node['type'] not in TRANSFORMS.of(TASK):
        raise UnmappedError(node['type'])
    if generation == '0.x' and node['type'] == 'GeneratePoseTarget' and node.get('double'):
        raise UnmappedError('the older GeneratePoseTarget, whose mirror images are one pixel aside')
    if generation == '1.x' and modality == 'Flow' and node['type'] == 'Flip':
        raise UnmappedError('the newer Flip, which inverts every other frame of flow')
    if generation == '1.x' and modality == 'Flow' and node.get('input_format') == 'NCHW':
        return {**node, 'input_format': 'NCHW_Flow'}
    return pipelines_action_sampling.house(node, generation)


def _run(nodes: list[Any], results: Named) -> Named:
    found = Compose(nodes, TASK)(results, np.random.default_rng(0))
    assert found is not None
    return found


def _run_transforms(nodes: list[Node], inputs: Named, pinned: Mapping[str, Any], generation: str) -> Named:
    results: Named = {**SAMPLE, **inputs}
    if 'video' in results:
        video = results.pop('video')
        results['img_shape'] = video.shape[1:3]
        results['imgs'] = list(video)
        if video.shape[3] == 2:
            frames = [each for frame in video for each in (frame[..., 0], frame[..., 1])]
            results |= {'modality': 'Flow', 'scale_factor': np.array([1.5, 0.75], np.float32), 'imgs': frames}
    steps = [house(node, generation, results['modality']) for node in nodes]
    if not pinned:
        return flatten(_run(steps, results))
    (node,) = steps
    transform: Any = TRANSFORMS.of(TASK).build(node)
    if node['type'] == 'RandomErasing':
        return {'imgs': [transform.apply(img, **pinned) for img in results['imgs']]}
    return transform.change(results, **DRAWN[node['type']](transform, pinned, results['img_shape']))


def _of_resized_crop(transform: Any, pinned: Mapping[str, Any], size: tuple[int, int]) -> Named:
    drawn = transform.draw(np.random.default_rng(0), size)
    return {**drawn, 'left': pinned['left'], 'top': pinned['top']}


def _of_scale_crop(transform: Any, pinned: Mapping[str, Any], size: tuple[int, int]) -> Named:
    width, height = transform.snapped(*pinned['size_wh'], size)
    left, top = pinned['offset_xy']
    return {'left': left, 'top': top, 'width': width, 'height': height}


DRAWN: dict[str, Callable[[Any, Mapping[str, Any], tuple[int, int]], Named]] = {
    'ColorJitter': lambda t, p, size: {
        'order': (2, 3, 1, 0),  # NumPy's permutation of four with the seed 0
        **{key: p[key] for key in QUANTITIES},
    },
    'MultiScaleCrop': _of_scale_crop,
    'RandomCrop': _of_resized_crop,
    'RandomRescale': lambda t, p, size: {'scale': (float('inf'), p['short_edge'])},
    'RandomResizedCrop': _of_resized_crop,
}
"""What a record pins, as our step draws it."""


# ---------------------------------------------------------------------- pipelines


def _decode_array(results: Named) -> Named:
    """Stands in for the decoding of videos, whose pixels vary: frames are in an array."""
    results['imgs'] = [results['array'][index] for index in results['frame_inds'].reshape(-1)]
    results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
    return results


def _jitter(node: Node) -> Callable[[Named], Named]:
    """A step of colours in a whole pipeline, with the draws of NumPy's old generator with the seed 0."""
    transform: Any = TRANSFORMS.of(TASK).build(node)
    old = np.random.RandomState(0)
    order = old.permutation(4).tolist()
    values = {name: old.uniform(*getattr(transform, name)) for name in QUANTITIES}
    return lambda results: transform.change(results, order=order, **values)


def _steps(nodes: list[Node], inputs: Named, generation: str) -> list[Any]:
    """The nodes in our words; videos that are given as arrays are not decoded."""
    steps: list[Any] = []
    for node in nodes:
        if node['type'] in ('DecordInit', 'DecordDecode') and 'array' in inputs:
            steps += [_decode_array] if node['type'] == 'DecordDecode' else []
        elif node['type'] == 'ColorJitter':
            steps.append(_jitter(node))
        else:
            steps.append(house(node, generation, inputs.get('modality')))
    return steps


def _named(results: Named) -> Named:
    """Results by dotted names; lists as a whole, and each of their elements by its number."""
    named = {key: v.value if isinstance(v, Unstacked) else v for key, v in flatten(results).items()}
    for key, value in list(named.items()):
        if isinstance(value, list):
            named |= _named({f'{key}.{i}': each for i, each in enumerate(value)})
    return named


def _run_old_pipeline(nodes: list[Node], inputs: Named) -> Named:
    named = _named(_run(_steps(nodes, inputs, '0.x'), inputs))
    return {key: torch.stack(value) if key == 'img' else value for key, value in named.items()}


def _run_new_pipeline(nodes: list[Node], preprocessor: Node | None, inputs: Named) -> Named:
    *steps, pack = nodes
    results = _run(_steps(steps, inputs, '1.x'), inputs)
    key = next(key for key in ('imgs', 'heatmap_imgs', 'keypoint', 'audios', 'raw_feature') if key in results)
    packed: Named = {'inputs': torch.as_tensor(np.ascontiguousarray(results[key]))}
    if 'collect_keys' in pack:
        packed = {f'inputs.{key}': results[key] for key in pack['collect_keys']}
    if 'label' in results:
        packed['data_samples.gt_label'] = np.array([results['label']])
    for key, name in INSTANCES.items():
        if key in results:
            packed[f'data_samples.{name}'] = results[key]
    if preprocessor and 'inputs' in packed:
        packed['pre.inputs'] = _preprocessed(preprocessor, packed['inputs'][None])
    return {**_named({'data_samples': results}), **packed}


INSTANCES = {
    'gt_bboxes': 'gt_instances.bboxes',
    'gt_labels': 'gt_instances.labels',
    'proposals': 'proposals.bboxes',
    'gt_bbox': 'gt_instances.gt_bbox',
}
"""Where the newer generation puts boxes and segments."""


def _preprocessed(preprocessor: Node, batch: torch.Tensor) -> torch.Tensor:
    """What the newer generation's model does to a batch: our Normalize, on the device."""
    if 'mean' not in preprocessor:
        return batch.float()
    layout = preprocessor.get('format_shape', 'NCHW')
    if layout == 'MIX2d3d':
        layout = 'NCHW' if batch.ndim == 4 else 'NCTHW'
    missing = {'NCHW': 5, 'NCTHW': 6}[layout] - batch.ndim
    after = [{'type': 'FormatShape', 'input_format': layout}]
    normalize = TRANSFORMS.of(TASK).get('Normalize')
    node = {key: preprocessor[key] for key in ('mean', 'std')}
    on_device: Any = normalize.on_device(**node, to_bgr=preprocessor.get('to_rgb', False), after=after)
    return on_device(batch[(None,) * missing])[(0,) * missing] if missing else on_device(batch)


# ---------------------------------------------------------------------- batches


class PinnedDraws:
    """Stands in for a generator and gives what a record says was drawn."""

    def __init__(self, pinned: Mapping[str, Any]) -> None:
        self._share = pinned['lam']
        self._permutation = np.array(pinned['permutation'])
        self._center = iter(reversed(pinned.get('center_xy', ())))

    def beta(self, a: float, b: float) -> float:
        return self._share

    def integers(self, low: int, high: int) -> int:
        return next(self._center)

    def permutation(self, count: int) -> np.ndarray:
        return self._permutation


def _run_batch(node: Node, inputs: Named, pinned: Mapping[str, Any]) -> Named:
    augment = BATCH_AUGMENTS.of(TASK).build(node)
    img, score = augment(torch.as_tensor(inputs['img']), torch.as_tensor(inputs['label']), PinnedDraws(pinned))
    return {'img': img, 'score': score}
