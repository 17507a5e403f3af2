"""Runs recorded pipelines and transforms of pose estimation; see :mod:`tests.golden.pipelines`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from intarsia.core.arguments import signature_of
from intarsia.core.registries import CODECS, TRANSFORMS
from intarsia.data.transforms.transform import Compose
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD
from tests.golden.inputs import make, tuples
from tests.golden.nodes import Named, Node, UnmappedError, flatten, renamed
from tests.golden.outcome import Outcome
from tests.golden.outputs import compare

TASK = 'pose'
UPPER = range(11)
"""Joints of the upper body in the records."""
SKELETON = ((0, 1), (5, 7), (7, 9), (6, 8), (8, 10))
FLOAT32_MATRICES = 'cpu'
"""Some old matrices are computed in float32 and ours in float64: some pixels differ by up to two grey levels."""


def run(record: dict[str, Any], folder: str) -> Outcome:
    """Compare one record; both words of a record that stands for both generations."""
    found = []
    for number in record['gen']:
        try:
            found.append(_outcome(record, f'{number}.x', folder))
        except UnmappedError as error:
            if not found:
                return Outcome(missing=[str(error)])
        except Exception as error:
            return Outcome(error=f'{type(error).__name__}: {error}')
    return next((outcome for outcome in found if not outcome.equal), found[0])


def _outcome(record: dict[str, Any], generation: str, folder: str) -> Outcome:
    inputs = make(record['inputs'], folder)
    if record['kind'] == 'pipeline':
        results = _run_pipeline(record, inputs, generation)
    else:
        what = record['transform'][generation]
        if not isinstance(what, list):
            raise UnmappedError(what if isinstance(what, str) else what['type'])
        results = _run_transforms(record, tuples(what), inputs)
    config = str(record.get('transform', record.get('pipeline')))
    if 'Affine' in config and (generation == '1.x' or 'BottomUp' in config):
        record = {**record, 'varies': [FLOAT32_MATRICES]}
    if 'KeypointConverter' in str(record.get('pipeline')):
        record = {**record, 'meta': {}}  # the newer one permutes flip_indices only in part
    known = [output for output in record['outputs'] if not output['name'].startswith('decoded')]
    return compare({**record, 'outputs': known}, results)  # what codecs decode is compared by the records of metrics


def _run(nodes: list[Node], sample: Named) -> Named:
    for node in nodes:
        if node['type'] not in TRANSFORMS.of(TASK):
            raise UnmappedError(node['type'])
    found = Compose(nodes, TASK)(sample, np.random.default_rng(0))
    assert found is not None
    return found


# ---------------------------------------------------------------------- samples


def _joints(keypoints_k2: Any, visible_k: Any) -> Named:
    """Joints as samples have them."""
    count = len(keypoints_k2)
    visible = np.ones(count) if visible_k is None else visible_k
    return {
        'joints_3d': np.concatenate([keypoints_k2, np.zeros((count, 1))], 1).astype(np.float32),
        'joints_3d_visible': np.stack([visible, visible, np.zeros(count)], 1).astype(np.float32),
    }


def _sample(record: Mapping[str, Any], inputs: Named) -> Named:
    """The inputs of a record as our data set would give them."""
    sample: Named = {key: inputs[key] for key in ('img', 'center', 'scale', 'rotation') if key in inputs}
    if 'scale_pixels' in inputs:
        sample['scale'] = inputs['scale_pixels'] / np.float32(PIXEL_STD)
    if 'bbox_xywh' in inputs:
        sample['bbox'] = inputs['bbox_xywh']
    info: Named = {
        'image_size': np.array(inputs.get('input_size', _size_of_output(record))),
        'flip_pairs': [[i, i + 1] for i in range(1, 17, 2)],
        'upper_body_ids': list(UPPER),
        'num_joints': 17,
    }
    if 'heatmap_size' in inputs:
        info['heatmap_size'] = np.array(inputs['heatmap_size'])
    if 'joint_weights' in inputs:
        info |= {key: inputs[key] for key in ('joint_weights', 'use_different_joint_weights')}
    if 'keypoints' in inputs:
        sample |= _joints(inputs['keypoints'], inputs.get('visible'))
    return {**sample, 'ann_info': info}


def _size_of_output(record: Mapping[str, Any]) -> list[int]:
    shape = next((o['shape'] for o in record['outputs'] if o['name'] == 'img'), (256, 192))
    return [shape[1], shape[0]]


def _people(record: Mapping[str, Any], inputs: Named) -> Named:
    """The inputs of a record of all people in an image."""
    height, width = inputs['mask'].shape
    kind = record['id'].split('/')[0]
    sizes: Any = {'bottomup_affine': [32, 64], 'bottomup_flip': [[width, height]]}.get(kind, [64])
    joints = np.concatenate([inputs['joints'], inputs['visible'][..., None]], -1).astype(np.float32)
    index = [0, *(i + 1 if i % 2 else i - 1 for i in range(1, 17))]
    return {
        **{key: inputs[key] for key in ('bboxes', 'areas') if key in inputs},
        'img': inputs['img'],
        'mask': [inputs['mask'] > 0 for _ in sizes],
        'joints': [joints for _ in sizes],
        'ann_info': {
            'image_size': np.array(128),
            'heatmap_size': np.array(sizes),
            'num_joints': 17,
            'num_scales': len(sizes),
            'scale_aware_sigma': False,
            'flip_index': index,
            'skeleton': SKELETON,
        },
    }


# ---------------------------------------------------------------------- transforms

TO_HOUSE: dict[str, Callable[[Node], Node]] = {
    'GetBBoxCenterScale': lambda n: {**n, 'type': 'TopDownGetBboxCenterScale'},
    'LoadImage': lambda n: {'type': 'LoadImageFromFile', 'channel_order': 'bgr'},
    'RandomBBoxTransform': lambda n: n,
    'RandomHalfBody': lambda n: {'type': 'TopDownHalfBodyTransform'},
    'TopdownAffine': lambda n: renamed({k: v for k, v in n.items() if k != 'input_size'}, TASK, type='TopDownAffine'),
}
"""The newer generation's words."""


def _run_transforms(record: Mapping[str, Any], nodes: list[Node], inputs: Named) -> Named:
    kind = record['id'].split('/')[0]
    if kind == 'encode':
        return _encoded(record, nodes, inputs)
    if kind == 'topdown_flip' and '@0.x' not in record['id']:
        raise UnmappedError('RandomFlip that moves joints nobody has marked')
    if '/some' in record['id'] and record['gen'] == [1]:
        raise UnmappedError('TopdownAffine that moves joints nobody has marked')
    steps = [TO_HOUSE[node['type']](node) if node['type'] in TO_HOUSE else node for node in nodes]
    if 'mask' in inputs:
        sample = _people(record, inputs)
        return _of_people(_pinned(steps[0], record, sample) if 'pinned' in record else _run(steps, sample))
    if kind == 'hand_flip':
        raise UnmappedError('HandRandomFlip: the record does not say which joints change places')
    sample = _sample(record, inputs)
    results = _pinned(steps[0], record, sample) if 'pinned' in record else _run(steps, sample)
    return _as_recorded(results)


def _as_recorded(results: Named) -> Named:
    named = flatten(results)
    if 'joints_3d' in results:
        named['keypoints'] = results['joints_3d'][:, :2]
        named['visible'] = results['joints_3d_visible'][:, 0]
    if 'scale' in results:
        named['scale_pixels'] = results['scale'] * np.float32(PIXEL_STD)
    return named


def _of_people(results: Named) -> Named:
    named = dict(results)
    for i, mask in enumerate(results['mask']):
        named[f'mask.{i}'] = mask
    return named


def _pinned(node: Node, record: Mapping[str, Any], sample: Named) -> Named:
    """The results of a step whose draws are given."""
    pinned, kind = record['pinned'], node['type']
    if kind not in TRANSFORMS.of(TASK):
        raise UnmappedError(kind)
    step: Any = TRANSFORMS.of(TASK).build(node)
    if kind == 'TopDownHalfBodyTransform':
        return step.apply(sample, prefer_upper=pinned['part'] == 'upper')
    if kind == 'TopDownRandomShiftBboxCenter':
        return {'center': step.apply(sample['center'], sample['scale'], pinned['uniform'])}
    if kind == 'TopDownGetRandomScaleRotation':
        turn = pinned['rotation_normal'] if pinned['rotate_uniform'] <= step.rot_prob else 0.0
        drawn = step.drawn_from(pinned['scale_normal'], turn)
        return {**sample, 'scale': sample['scale'] * np.float32(drawn['factor']), 'rotation': drawn['rotation']}
    if kind == 'RandomBBoxTransform':
        x, y, stretch, turn = pinned['truncnorm']
        center, scale, rotation = step.apply(sample['center'], sample['scale'], (x, y), stretch, turn)
        return {'center': center, 'scale': scale, 'rotation': np.array([rotation], np.float32)}
    if kind == 'BottomUpRandomAffine':
        least, most = step.scale_factor
        scale = pinned['scale_uniform'] * (most - least) + least
        rotation = (pinned['rotate_uniform'] * 2 - 1) * step.rot_factor
        return step.apply(sample, scale, rotation, pinned['shift'] or (0, 0))
    if kind == 'CIDGenerateTarget':
        return {**sample, **step(dict(sample), _Steps(iter(pinned['jitter'])))}
    if kind == 'PhotometricDistortion':
        drawn = _photometric(iter(pinned['randint']), iter(pinned['uniform']))
        return {'img': step.apply(sample['img'], **drawn)}
    raise UnmappedError(kind)


class _Steps:
    """Gives the steps of middles in their order, and leaves people in theirs."""

    def __init__(self, steps: Iterator[int]) -> None:
        self.steps = steps

    def integers(self, low: int, high: int, count: int) -> Any:
        return np.array([next(self.steps) for _ in range(count)])

    def permutation(self, count: int) -> Any:
        return np.arange(count)


def _photometric(integers: Any, uniforms: Any) -> Named:
    """Replays the order in which the older code draws."""
    drawn: Named = {'brightness': next(uniforms) if next(integers) else None}
    drawn['contrast_first'] = next(integers) == 1
    if drawn['contrast_first']:
        drawn['contrast'] = next(uniforms) if next(integers) else None
    colors = next(integers)
    drawn['saturation'] = next(uniforms) if colors & 1 else None
    drawn['hue'] = next(integers) if colors & 2 else None
    if not drawn['contrast_first']:
        drawn['contrast'] = next(uniforms) if next(integers) else None
    return drawn


# ---------------------------------------------------------------------- encoding

LABELS = {
    'target': 'heatmaps',
    'target_weight': 'keypoint_weights',
    'target_x': 'keypoint_x_labels',
    'target_y': 'keypoint_y_labels',
}


def _encoded(record: Mapping[str, Any], nodes: list[Node], inputs: Named) -> Named:
    node = nodes[0]
    shapes = {o['name']: o['shape'] for o in record['outputs']}
    if node['type'] in TRANSFORMS.of(TASK):
        encoded = _run(nodes, _sample(record, inputs))
    else:
        if 'lifting_target' in inputs or inputs.get('keypoints') is None:
            raise UnmappedError(f'{node["type"]}, points in space')
        if inputs['keypoints'].ndim == 3:
            return _encoded_people(node, inputs)
        encoded = _run([{'type': 'GenerateTarget'}], {**_sample(record, inputs), 'codec': _codec(node)})
    named = {label: encoded[key] for key, label in LABELS.items() if key in encoded}
    if 'keypoint_labels' in shapes and 'target' in encoded:
        named |= {'keypoint_labels': encoded['target'], 'keypoint_weights': encoded['target_weight'][:, 0]}
        named['heatmaps'] = encoded.get('heatmap', encoded.get('target_heatmap'))
    for name in named.keys() & shapes.keys():
        if np.size(named[name]) == np.prod(shapes[name]):
            named[name] = np.reshape(named[name], shapes[name])
    return named


def _encoded_people(node: Node, inputs: Named) -> Named:
    codec = _codec(node)
    if node['type'] == 'DecoupledHeatmap':
        raise UnmappedError('DecoupledHeatmap with middles that were moved at random')
    encoded = codec.encode(inputs['keypoints'], inputs['visible'])
    return {LABELS.get(key, key): value for key, value in encoded.items()}


def _codec(node: Node) -> Any:
    if node['type'] not in CODECS.of(TASK):
        raise UnmappedError(node['type'])
    taken = signature_of(CODECS.of(TASK).get(node['type'])).arguments
    return CODECS.of(TASK).build({**node, **({'rules': '1.x'} if 'rules' in taken else {})})


# ---------------------------------------------------------------------- pipelines


def _run_pipeline(record: Mapping[str, Any], inputs: Named, generation: str) -> Named:
    nodes = tuples(record['pipeline'])
    if generation == '0.x':
        return _numbered(flatten(_run(nodes, inputs)))
    if nodes[0]['type'] == 'KeypointConverter':
        return _converted(nodes[0], inputs)
    if [node['type'] for node in nodes] != ['LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs']:
        raise UnmappedError(' '.join(node['type'] for node in nodes))
    return _run_new_pipeline(nodes, record, inputs)


def _numbered(results: Named) -> Named:
    """Lists of lists and of arrays also as their entries, as the records have them."""
    lists = {key: value for key, value in results.items() if isinstance(value, list)}
    return {**results, **{f'{key}.{i}': each for key, value in lists.items() for i, each in enumerate(value)}}


def _converted(node: Node, inputs: Named) -> Named:
    """Joints and visibility of several people; the newer one adds a weight, 1 for joints that the data set has."""
    step: Any = TRANSFORMS.of(TASK).build(node)
    people = [_joints(k, v) for k, v in zip(inputs['keypoints'], inputs['keypoints_visible'], strict=True)]
    found = [step.apply(person['joints_3d'], person['joints_3d_visible']) for person in people]
    visible = np.stack([each[:, 0] for _, each in found]).astype(np.float64)
    weights = np.zeros_like(visible)
    weights[:, [new for _, new in node['mapping']]] = 1
    return {
        'keypoints': np.stack([each[:, :2] for each, _ in found]).astype(np.float64),
        'keypoints_visible': np.stack([visible, weights], -1),
    }


def _run_new_pipeline(nodes: list[Node], record: Mapping[str, Any], inputs: Named) -> Named:
    """A test pipeline, what leaves it, and what the model's preprocessor makes of that."""
    left, top, right, bottom = inputs['bbox'][0]
    sample = {
        'image_file': inputs['img_path'],
        'bbox': np.array([left, top, right - left, bottom - top], np.float32),
        'ann_info': {'image_size': np.array(nodes[2]['input_size'])},
        **_joints(inputs['keypoints'][0], inputs['keypoints_visible'][0]),
    }
    results = _run([TO_HOUSE[node['type']](node) for node in nodes[:3]], sample)
    preprocessor = record.get('preprocessor') or {'mean': (0, 0, 0), 'std': (255, 255, 255)}
    unit = {key: [each / 255 for each in preprocessor[key]] for key in ('mean', 'std')}
    steps: list[Node] = [{'type': 'ToTensor'}, {'type': 'NormalizeTensor', **unit}]
    normalized = _run(steps, {'img': np.ascontiguousarray(results['img'][..., ::-1])})['img']
    size = results['scale'] * np.float32(PIXEL_STD)
    people = {
        'bbox_scales': size[None],
        'bbox_scores': inputs['bbox_score'],
        'bboxes': inputs['bbox'],
        'keypoints': inputs['keypoints'],
        'keypoints_visible': inputs['keypoints_visible'],
    }
    shape = record['inputs']['img_path']['of']['shape'][:2]
    return {
        'inputs': results['img'].transpose(2, 0, 1),
        'pre.inputs': normalized[None],
        'data_samples.input_center': results['center'],
        'data_samples.input_scale': size,
        'data_samples.input_size': nodes[2]['input_size'],
        'data_samples.ori_shape': shape,
        'data_samples.img_shape': shape,
        **{f'data_samples.{key}': value for key, value in inputs.items()},
        **{f'data_samples.gt_instances.{key}': value for key, value in people.items()},
    }
