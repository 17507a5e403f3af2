"""How ours computes what the recorded codecs of pose estimation computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tests.golden.formulas_pose  # noqa: F401 - adds to the words of formulas
from intarsia.core.registries import CODECS
from intarsia.tasks.pose.codecs import blur, flip, peaks, refine
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.codecs.megvii_heatmap import MegviiHeatmap

RADIUS_FACTOR = 0.0546875
NEWER: dict[str, Any] = {'rules': '1.x'}

EMPTY = 'a map without a peak has no joint; the old one takes values of another map'
BLURRED = 'heat maps stay as they are; the old code fills from blurred logarithms'
DELIBERATE = {
    r'mmpose-0.*/keypoints_from_heatmaps/(combined-smooth-|combined-tall-11|(flat|noisy|one|tall|wide)-udp)': EMPTY,
    r'mmpose-0.*/keypoints_from_heatmaps/flat-megvii': 'a map of zeros is not divided by zero',
    r'mmpose-0.*/HeatmapParser/six-nodet-': 'distances on a line have several best assignments',
    r'mmpose-0.*/HeatmapParser/.*-udp': BLURRED,
    r'mmpose-1.*/AssociativeEmbedding/decode-(?!nobody).*-udp': BLURRED,
    r'mmpose-1.*/UDPHeatmap/(combined|wide)-roundtrip-(edges|usual)': EMPTY,
}
"""As in the module of all metrics."""


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))


# ---------------------------------------------------------------------- single functions


def _on_maps(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """A function that refines the peaks of maps ``(K, H, W)`` in which every one of N people has one."""

    def run(keypoints: Any, heatmaps: Any, blur_kernel_size: int | None = None) -> Tensor:
        sizes = {} if blur_kernel_size is None else {'kernel_size': blur_kernel_size}
        points = _tensor(keypoints).transpose(0, 1)[None]
        return function(points, _tensor(heatmaps)[None], **sizes, **fixed)[0].transpose(0, 1)

    return run


def _post_dark_udp(coords: Any, batch_heatmaps: Any, kernel: int) -> Tensor:
    return _on_maps(refine.refine_keypoints_dark_udp)(coords.astype(np.float32), batch_heatmaps[0], kernel)


def _blur(heatmaps: Any, kernel: int) -> np.ndarray:
    """The old one divided zero by zero where a map has only zeros."""
    maps = _tensor(heatmaps)
    out = blur.gaussian_blur(maps if maps.ndim == 4 else maps[None], kernel).reshape(maps.shape)
    return np.where(heatmaps.any((-2, -1), keepdims=True), out, np.nan)


def _max_preds(heatmaps: Any) -> tuple[Tensor, Tensor]:
    xy, score = peaks.get_heatmap_maximum(_tensor(heatmaps))
    return xy, score[..., None]


# ---------------------------------------------------------------------- outputs of mirrored images


def _index(flip_pairs: Sequence[Sequence[int]], num: int) -> list[int]:
    index = list(range(num))
    for a, b in flip_pairs:
        index[a], index[b] = b, a
    return index


def _flip_back(output_flipped: Any, flip_pairs: Any, target_type: str = 'GaussianHeatmap') -> Tensor:
    maps = _tensor(output_flipped)
    combined = target_type == 'CombinedTarget'
    index = _index(flip_pairs, maps.shape[1] // (3 if combined else 1))
    return flip.flip_heatmaps(maps, index, mode='udp_combined' if combined else 'heatmap')


def _flip_heatmaps(heatmaps: Any, flip_indices: Any, flip_mode: str, shift_heatmap: bool) -> Tensor:
    return flip.flip_heatmaps(_tensor(heatmaps), flip_indices, shift_heatmap, flip_mode)


def _flip_coordinates(c: Any, flip_indices: Any, shift_coords: bool, input_size: Sequence[int]) -> Tensor:
    return flip.flip_coordinates(_tensor(c), flip_indices, shift_coords, input_size[0])


def _fliplr_regression(
    regression: Any, flip_pairs: Any, center_mode: str, center_x: float, center_index: int
) -> Tensor:
    values = _tensor(regression)
    centre = values[..., center_index, :1] if center_mode == 'root' else center_x
    return flip.flip_coordinates(values, _index(flip_pairs, values.shape[-2]), centre=centre)


# ---------------------------------------------------------------------- codecs of the newer generation


def _build(name: str, arguments: Mapping[str, Any], **more: Any) -> Any:
    return CODECS.of('pose').build({'type': name, **arguments, **more})


NAMES = {'target_x': 'keypoint_x_labels', 'target_y': 'keypoint_y_labels', 'target_heatmap': 'heatmaps'}
"""Ours -> the old name of a target."""


def encoded_of(codec: Codec, keypoints: Any, keypoints_visible: Any) -> dict[str, np.ndarray]:
    """The targets of one person ``(1, K, ...)`` under the old names."""
    ours = codec.encode(keypoints[0], keypoints_visible[0])
    weight = ours.pop('target_weight')
    names = {**NAMES, 'target': 'heatmaps' if ours.get('target', weight).ndim == 3 else 'keypoint_labels'}
    out = {names[name]: target for name, target in ours.items()}
    out = {name: target if name == 'heatmaps' else target[None] for name, target in out.items()}
    return {**out, 'keypoint_weights': weight.reshape(1, len(weight), -1)[..., 0]}


def _outputs(encoded: Mapping[str, Any]) -> Any:
    """Targets as if a network had given them."""
    if 'keypoint_x_labels' in encoded:
        return tuple(_tensor(encoded[f'keypoint_{axis}_labels']) for axis in 'xy')
    return _tensor(encoded['keypoint_labels'] if 'keypoint_labels' in encoded else encoded['heatmaps'][None])


def _decoded(codec: Any, outputs: Any) -> list[Any]:
    """Where a map has only zeros, as the old code gave it: it divided zero by zero."""
    keypoints, scores = (part.numpy() for part in codec.decode(outputs))
    maps = outputs[0] if isinstance(outputs, tuple) else outputs
    zeros = ~maps.numpy().reshape(*scores.shape, -1).any(-1)
    if getattr(codec, 'use_dark', False) or getattr(codec, 'heatmap_type', '') == 'gaussian':
        keypoints[zeros] = np.nan
    elif isinstance(codec, MegviiHeatmap):
        keypoints[zeros], scores[zeros] = 0, np.nan
    return [keypoints, [scores, codec.visibility(outputs)] if getattr(codec, 'decode_visibility', False) else scores]


def _codec(name: str, **fixed: Any) -> Callable[..., Any]:
    """Encodes, decodes, or both, as the code of the record says."""

    def run(
        code: str, keypoints: Any = None, keypoints_visible: Any = None, h: Any = None, e: Any = None, x: Any = None,
        y: Any = None, **arguments: Any,
    ) -> Any:  # fmt: skip
        if 'flip_heatmaps' in code:
            return _flip_test_newer(name, fixed, **arguments)
        codec = _build(name, arguments, **fixed)
        if x is not None:
            return _decoded(codec, (_tensor(x), _tensor(y)))
        if h is not None or e is not None:
            return _decoded(codec, _tensor(e if h is None else h[None]))
        encoded = encoded_of(codec, keypoints, keypoints_visible)
        if 'decode' not in code:
            return encoded
        decoded = _decoded(codec, _outputs(encoded))
        return {'encoded': encoded, 'decoded': decoded} if 'encoded' in code else decoded

    return run


def _to_image(xy: Tensor, size: Any, center: Any, scale: Any) -> np.ndarray:
    """From pixels of the input: scale 1 is a box of 200 pixels."""
    box = 200 * np.asarray(scale)[:, None]
    return xy.numpy() / size * box + np.asarray(center)[:, None] - box / 2


def _flip_test_newer(
    name: str, fixed: Any, heatmaps: Any, flipped: Any, codec: Any, flip_indices: Any, shift_heatmap: bool, **box: Any
) -> list[Any]:
    back = flip.flip_heatmaps(_tensor(flipped), flip_indices, shift_heatmap)
    xy, score = _build(name, codec, **fixed).decode((_tensor(heatmaps) + back) / 2)
    return [_to_image(xy, codec['input_size'], **box), score]


# ---------------------------------------------------------------------- people by their tags


def _associative_embedding(
    code: str, heatmaps: Any = None, tags: Any = None, keypoints: Any = None, keypoints_visible: Any = None,
    **arguments: Any,
) -> Any:  # fmt: skip
    codec = _build('AssociativeEmbedding', arguments, **NEWER)
    if 'encode' in code:
        encoded = codec.encode(keypoints, keypoints_visible)
        names = {'heatmaps': 'target', 'keypoint_weights': 'target_weight', 'keypoint_indices': 'keypoint_indices'}
        return {old: encoded[ours] for old, ours in names.items()}
    people = codec.decode((_tensor(heatmaps), _tensor(tags)))
    return [[each[field] for each in people] for field in (0, 1, 3)]


def _decoupled(
    code: str, h: Any = None, q: Any = None, keypoints: Any = None, keypoints_visible: Any = None, **arguments: Any
) -> Any:
    codec = _build('DecoupledHeatmap', arguments)
    if h is not None:
        return list(codec.decode((_tensor(h), _tensor(q))))
    encoded = codec.encode(keypoints, keypoints_visible)
    names = {'heatmaps': 'target', 'instance_heatmaps': 'instance_target', 'keypoint_weights': 'target_weight'}
    return {old: encoded[ours] for old, ours in {**names, 'instance_coords': 'instance_coords'}.items()}


def _single_points(code: str, hm: Any, dp: Any, **arguments: Any) -> Any:
    has_joints = arguments['generate_keypoint_heatmaps']
    people = _build('SPR', arguments).decode((_tensor(hm if has_joints else hm[-1:]), _tensor(dp)))
    return [people.keypoints, [people.person_scores, people.scores if has_joints else None]]


def _heatmap_parser(
    heatmaps: Any, tags: Any, cfg: Mapping[str, Any], adjust: bool = True, refine: bool = True
) -> dict[str, Any]:
    size = heatmaps.shape[:1:-1]
    limit = cfg['max_num_people']
    coco = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]
    arguments = {
        'input_size': size, 'heatmap_size': size, 'decode_topk': limit, 'decode_nms_kernel': cfg['nms_kernel'],
        'decode_max_instances': limit if cfg['ignore_too_much'] else None, 'decode_tag_thr': cfg['tag_threshold'],
        'decode_keypoint_thr': cfg['detection_threshold'], 'decode_use_value': cfg['use_detection_val'],
        'decode_keypoint_order': coco if cfg['num_joints'] == 17 else [],
    }  # fmt: skip
    codec = _build('AssociativeEmbedding', arguments)
    maps, tag_maps = _tensor(heatmaps), _tensor(tags if tags.ndim == 5 else tags[..., None])
    tag_maps = tag_maps.movedim(-1, 1).flatten(1, 2)
    (people,) = codec.group(maps, tag_maps)
    people = codec.refine(people, maps[0]) if adjust else people
    scores = people.person_scores.tolist()
    people = codec.fill(people, maps[0], tag_maps[0]) if refine else people
    if cfg.get('score_per_joint'):
        scores = list(people.scores.numpy())
    peaks = np.concatenate([people.keypoints, people.scores[..., None], people.tags], -1)
    return {'people': peaks if len(peaks) else np.zeros(0), 'scores': scores}


def _heatmap_generator(joints: Any, output_size: Any, num_joints: int, sigma: float, use_udp: bool = False) -> Any:
    return _older_people(joints, output_size, sigma=sigma, use_udp=use_udp)['target']


def _joints_encoder(joints: Any, output_size: Any, max_num_people: int, num_joints: int, tag_per_joint: bool) -> Any:
    """The old ones are moved to the front, and may count through the maps of all joints."""
    out = np.zeros((max_num_people, num_joints, 2))
    for row, indices in zip(out, _older_people(joints, output_size)['keypoint_indices'], strict=False):
        joint = np.flatnonzero(indices[:, 1])
        row[: len(joint), 0] = indices[joint, 0] + joint * np.prod(output_size) * tag_per_joint
        row[: len(joint), 1] = 1
    return out


def _older_people(joints: Any, size: Any, **arguments: Any) -> dict[str, np.ndarray]:
    codec = _build('AssociativeEmbedding', {'input_size': size, 'heatmap_size': size, **arguments})
    return codec.encode(joints[..., :2], joints[..., 2])


# ---------------------------------------------------------------------- the older generation


def _keypoints_from_heatmaps(
    code: str, heatmaps: Any, center: Any, scale: Any, flipped: Any = None, flip_pairs: Any = (),
    shift_heatmap: bool = False, post_process: str | None = 'default', kernel: int = 11, use_udp: bool = False,
    target_type: str = 'GaussianHeatmap', valid_radius_factor: float = RADIUS_FACTOR,
) -> list[Any]:  # fmt: skip
    maps = _tensor(heatmaps)
    if flipped is not None:
        maps = (maps + flip.flip_heatmaps(_tensor(flipped), _index(flip_pairs, maps.shape[1]), shift_heatmap)) / 2
    size = maps.shape[:1:-1]
    sizes = {'input_size': size, 'heatmap_size': size}
    if use_udp:
        kind = 'combined' if target_type == 'CombinedTarget' else 'gaussian'
        codec = _build(
            'UDPHeatmap', sizes, heatmap_type=kind, blur_kernel_size=kernel, radius_factor=valid_radius_factor
        )
    elif post_process == 'megvii':
        codec = _build('MegviiHeatmap', sizes, kernel_size=kernel)
    else:
        codec = _build('MSRAHeatmap', sizes, sigma=2, unbiased=post_process == 'unbiased', blur_kernel_size=kernel)
    found = codec.decode(maps) if post_process or use_udp else peaks.get_heatmap_maximum(maps)
    return [_to_image(found[0], size, center, scale), found[1][..., None]]


def _keypoints_from_regression(regression_preds: Any, center: Any, scale: Any, img_size: Any) -> list[Any]:
    xy, score = _build('RegressionLabel', {'input_size': img_size}).decode(_tensor(regression_preds))
    return [_to_image(xy, img_size, center, scale), score[..., None]]


def _transform_preds(coords: Any, center: Any, scale: Any, output_size: Any, use_udp: bool = False) -> np.ndarray:
    size = np.array(output_size) - (1 if use_udp else 0)
    moved = _to_image(_tensor(coords[None, :, :2]), size, center[None], scale[None])[0]
    return np.concatenate([moved, coords[:, 2:]], 1)


def _older_target(cfg: Mapping[str, Any], target: Mapping[str, Any], joints: Any, visible: Any) -> dict[str, Any]:
    sizes = {'input_size': cfg['image_size'], 'heatmap_size': cfg['heatmap_size']}
    encoding, sigma = target.get('encoding', 'MSRA'), target.get('sigma', 2)
    if isinstance(sigma, list):
        each = [_older_target(cfg, {**target, 'sigma': one}, joints, visible) for one in sigma]
        return {key: np.stack([one[key] for one in each]) for key in each[0]}
    if encoding == 'Megvii':
        codec = _build('MegviiHeatmap', sizes, kernel_size=target['kernel'])
    elif encoding == 'UDP':
        kind = 'combined' if target['target_type'] == 'CombinedTarget' else 'gaussian'
        factor = target.get('valid_radius_factor', RADIUS_FACTOR)
        codec = _build('UDPHeatmap', sizes, heatmap_type=kind, sigma=sigma, radius_factor=factor)
    else:
        codec = _build('MSRAHeatmap', sizes, sigma=sigma, unbiased=target.get('unbiased_encoding', False))
    return _target_and_weight(codec, joints, visible)


def _older_regression_target(cfg: Mapping[str, Any], target: Any, joints: Any, visible: Any) -> dict[str, Any]:
    return _target_and_weight(_build('RegressionLabel', {'input_size': cfg['image_size']}), joints, visible)


def _target_and_weight(codec: Codec, joints: Any, visible: Any) -> dict[str, Any]:
    encoded = codec.encode(joints[:, :2], visible[:, 0])
    return {'target': encoded['target'], 'weight': encoded['target_weight']}


OURS: dict[str, Callable[..., Any]] = {
    'mmpose.codecs.AssociativeEmbedding': _associative_embedding,
    'mmpose.codecs.DecoupledHeatmap': _decoupled,
    'mmpose.codecs.IntegralRegressionLabel': _codec('IntegralRegressionLabel'),
    'mmpose.codecs.MSRAHeatmap': _codec('MSRAHeatmap', **NEWER),
    'mmpose.codecs.MegviiHeatmap': _codec('MegviiHeatmap'),
    'mmpose.codecs.RegressionLabel': _codec('RegressionLabel'),
    'mmpose.codecs.SPR': _single_points,
    'mmpose.codecs.SimCCLabel': _codec('SimCCLabel'),
    'mmpose.codecs.UDPHeatmap': _codec('UDPHeatmap', **NEWER),
    'mmpose.codecs.utils.batch_heatmap_nms': lambda heatmaps, **size: peaks.batch_heatmap_nms(
        _tensor(heatmaps), **size
    ),
    'mmpose.codecs.utils.gaussian_blur': _blur,
    'mmpose.codecs.utils.gaussian_blur1d': lambda simcc, kernel: blur.gaussian_blur1d(_tensor(simcc), kernel),
    'mmpose.codecs.utils.get_heatmap_maximum': lambda heatmaps: peaks.get_heatmap_maximum(_tensor(heatmaps)),
    'mmpose.codecs.utils.get_simcc_maximum': lambda simcc_x, simcc_y, **options: peaks.get_simcc_maximum(
        _tensor(simcc_x), _tensor(simcc_y), **options
    ),
    'mmpose.codecs.utils.post_processing.get_simcc_normalized': lambda a, sigma: peaks.get_simcc_normalized(
        _tensor(a), sigma
    ),
    'mmpose.codecs.utils.refine_keypoints': _on_maps(refine.refine_keypoints, **NEWER),
    'mmpose.codecs.utils.refine_keypoints_dark': _on_maps(refine.refine_keypoints_dark),
    'mmpose.codecs.utils.refine_keypoints_dark_udp': _on_maps(refine.refine_keypoints_dark_udp, **NEWER),
    'mmpose.core.evaluation.flip_feature_maps': lambda a, flip_index: [
        flip.flip_heatmaps(_tensor(maps), flip_index) for maps in a
    ],
    'mmpose.core.evaluation.keypoints_from_heatmaps': _keypoints_from_heatmaps,
    'mmpose.core.evaluation.keypoints_from_regression': _keypoints_from_regression,
    'mmpose.core.evaluation.post_dark_udp': _post_dark_udp,
    'mmpose.core.evaluation.top_down_eval._gaussian_blur': _blur,
    'mmpose.core.evaluation.top_down_eval._get_max_preds': _max_preds,
    'mmpose.core.post_processing.flip_back': _flip_back,
    'mmpose.core.post_processing.fliplr_regression': _fliplr_regression,
    'mmpose.core.post_processing.group.HeatmapParser': _heatmap_parser,
    'mmpose.core.post_processing.transform_preds': _transform_preds,
    'mmpose.datasets.pipelines.HeatmapGenerator': _heatmap_generator,
    'mmpose.datasets.pipelines.JointsEncoder': _joints_encoder,
    'mmpose.datasets.pipelines.TopDownGenerateTarget': _older_target,
    'mmpose.datasets.pipelines.TopDownGenerateTargetRegression': _older_regression_target,
    'mmpose.models.utils.tta.flip_coordinates': _flip_coordinates,
    'mmpose.models.utils.tta.flip_heatmaps': _flip_heatmaps,
    'mmpose.models.utils.tta.flip_vectors': lambda x, y, flip_indices: flip.flip_vectors(
        _tensor(x), _tensor(y), flip_indices
    ),
}
"""Old function or class -> how ours computes the same."""

BY_CODE = {OURS[name] for name in OURS if name.startswith('mmpose.codecs.') and name.count('.') == 2} | {
    _keypoints_from_heatmaps
}
"""Those whose records say in their code what is done."""


def more_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The code of a record, for those who need it."""
    return {'code': record['code']} if OURS.get(record['function']) in BY_CODE else {}
