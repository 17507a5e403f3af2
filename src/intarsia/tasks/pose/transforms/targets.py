"""Targets of the network from the joints of a person.

Shapes: k joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from intarsia.core.errors import DataError
from intarsia.core.registries import CODECS, TRANSFORMS
from intarsia.data.collate import Unstacked
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.transform import Results, Transform

Encoded = dict[str, Array]


@TRANSFORMS.register_module()
class GenerateTarget(Transform):
    """Encode the joints by the codec of the model; adds what that gives: ``target``, ``target_weight``, ...

    Where a sample has all people of an image, their ``joints`` are encoded; one without anybody is dropped. A data set
    with ``use_different_joint_weights`` weighs joints as its ``dataset_info`` says.
    """

    keeps_pixels = True

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Encode; few codecs draw.

        Raises:
            DataError: The sample has no codec.
        """
        codec = results.get('codec')
        if codec is None:
            raise DataError('GenerateTarget needs the codec of the model: give the model (or the data set) a codec')
        if 'joints' in results:
            if not len(results['joints'][0]):
                return None
            results.update(encode_people(codec, results, rng))
        else:
            results.update(encode(codec, results))
        return results


def encode_people(codec: Any, results: Results, rng: np.random.Generator) -> Mapping[str, Any]:
    """What a codec makes of the joints of all people in an image, and of their boxes if it wants them.

    What has a row for each person, as the codec says, becomes a list in batches.
    """
    joints = results['joints'][0]
    points, visible = joints[..., :2], np.minimum(joints[..., 2], 1)
    if getattr(codec, 'needs_boxes', False):
        corners = results['bboxes'][:, [0, 2, 1, 3]] if 'bboxes' in results else None
        encoded = codec.encode(points, visible, corners, rng)
    else:
        encoded = codec.encode(points, visible)
    lists = getattr(codec, 'of_people', ())
    return {key: Unstacked(torch.from_numpy(value)) if key in lists else value for key, value in encoded.items()}


def encode(codec: Any, results: Results) -> Encoded:
    """What a codec makes of the joints of a sample, weighed."""
    encoded = codec.encode(results['joints_3d'][:, :2], results['joints_3d_visible'][:, 0])
    return weighed(encoded, results['ann_info'])


def weighed(encoded: Encoded, info: Mapping[str, Any]) -> Encoded:
    """Targets, their weights multiplied with those of the joints if the data set wants it."""
    if not info.get('use_different_joint_weights', False) or 'target_weight' not in encoded:
        return encoded
    weight = encoded['target_weight']
    of_joints = np.asarray(info['joint_weights'], np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    return {**encoded, 'target_weight': weight * of_joints}


@TRANSFORMS.register_module()
class TopDownGenerateTarget(Transform):
    """Heat maps of the joints, by a codec made of these arguments and the sizes of the data set.

    ``target`` is ``(K, h, w)`` (``'CombinedTarget'``: ``(3K, h, w)``), ``target_weight`` ``(K, 1)``, float32; several
    values of the argument that counts give one such target each, stacked.

    Args:
        sigma: Of the Gaussian, in pixels of the map; ``'MSRA'`` and ``'UDP'``.
        kernel: Size of the blur of ``'Megvii'``, in x and y.
        valid_radius_factor: Radius of the disc of ``'CombinedTarget'``, as a part of the map's height.
        target_type: ``'GaussianHeatmap'``, or with ``'UDP'`` a disc and offsets, ``'CombinedTarget'``.
        encoding: The codec.
        unbiased_encoding: ``'MSRA'`` does not round to pixels.
    """

    keeps_pixels = True

    def __init__(
        self,
        sigma: float | Sequence[float] = 2,
        kernel: Sequence[Any] = (11, 11),
        valid_radius_factor: float | Sequence[float] = 0.0546875,
        target_type: str = 'GaussianHeatmap',
        encoding: Literal['MSRA', 'Megvii', 'UDP'] = 'MSRA',
        unbiased_encoding: bool = False,
    ) -> None:
        self.sigma = sigma
        self.kernel = kernel
        self.valid_radius_factor = valid_radius_factor
        self.target_type = require_choice('target_type', target_type, ('GaussianHeatmap', 'CombinedTarget'))
        self.encoding = require_choice('encoding', encoding, ('MSRA', 'Megvii', 'UDP'))
        self.unbiased_encoding = unbiased_encoding
        self._nodes, self._are_stacked = self.nodes()
        self._codecs: dict[Any, list[Any]] = {}

    def nodes(self) -> tuple[list[dict[str, Any]], bool]:
        """Nodes of the codecs without their sizes, and whether their targets are stacked."""
        if self.encoding == 'Megvii':
            stacked = isinstance(self.kernel[0], Sequence)
            kernels = self.kernel if stacked else [self.kernel]
            return [{'type': 'MegviiHeatmap', 'kernel_size': kernel} for kernel in kernels], stacked
        if self.encoding == 'MSRA':
            node: dict[str, Any] = {'type': 'MSRAHeatmap', 'unbiased': self.unbiased_encoding}
            name, value = 'sigma', self.sigma
        elif self.target_type == 'CombinedTarget':
            node = {'type': 'UDPHeatmap', 'heatmap_type': 'combined'}
            name, value = 'radius_factor', self.valid_radius_factor
        else:
            node = {'type': 'UDPHeatmap', 'heatmap_type': 'gaussian'}
            name, value = 'sigma', self.sigma
        stacked = isinstance(value, Sequence)
        return [{**node, name: each} for each in (value if isinstance(value, Sequence) else [value])], stacked

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Encode; nothing is drawn."""
        info = results['ann_info']
        sizes = tuple(map(int, (*info['image_size'], *info['heatmap_size'])))
        if sizes not in self._codecs:
            common = {'input_size': sizes[:2], 'heatmap_size': sizes[2:]}
            self._codecs[sizes] = [CODECS.of('pose').build({**node, **common}) for node in self._nodes]
        targets = [encode(codec, results) for codec in self._codecs[sizes]]
        stacked = {key: np.stack([t[key] for t in targets]) for key in targets[0]} if self._are_stacked else targets[0]
        results.update(stacked)
        return results


@TRANSFORMS.register_module()
class TopDownGenerateTargetRegression(Transform):
    """``target``: x and y of each joint as parts of width and height of the input, float32 ``(K, 2)``.

    ``target_weight``, of the same shape, is 0 for joints that are not marked or lie outside.
    """

    keeps_pixels = True

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Encode; nothing is drawn."""
        size = np.asarray(results['ann_info']['image_size'])
        joints_k2 = results['joints_3d'][:, :2]
        inside = ((joints_k2 >= 0) & (joints_k2 <= size - 1)).all(axis=1, keepdims=True)
        weight = (results['joints_3d_visible'][:, :2] * inside).astype(np.float32)
        target = (joints_k2 / size).astype(np.float32)
        results.update(weighed({'target': target, 'target_weight': weight}, results['ann_info']))
        return results
