"""Augmentations of clips by the library imgaug. It is not installed with this package.

The library is not maintained: its release ``imgaug3`` runs with NumPy 1.26, no release with NumPy 2.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform

MAGNITUDE = 0.9
"""Of the default augmentations, 0 ... 1."""


def default_augmenters() -> list[dict[str, Any]]:
    """Two of fifteen, "RandAugment" (Cubuk et al., 2019, arXiv:1909.13719); of a list one value is drawn."""
    turn, shift, factor = 17.19 * MAGNITUDE, 0.2 * MAGNITUDE, 1.8 * MAGNITUDE + 0.1
    children: list[dict[str, Any]] = [
        {'type': 'ShearX', 'shear': [-turn, turn]},
        {'type': 'ShearY', 'shear': [-turn, turn]},
        {'type': 'TranslateX', 'percent': [-shift, shift]},
        {'type': 'TranslateY', 'percent': [-shift, shift]},
        {'type': 'Rotate', 'rotate': [-30 * MAGNITUDE, 30 * MAGNITUDE]},
        {'type': 'Posterize', 'nb_bits': max(1, int(4 * MAGNITUDE))},
        {'type': 'Solarize', 'threshold': 256 * MAGNITUDE},
        *({'type': f'Enhance{what}', 'factor': factor} for what in ('Color', 'Contrast', 'Brightness', 'Sharpness')),
        {'type': 'Autocontrast', 'cutoff': 0},
        {'type': 'Equalize'},
        {'type': 'Invert', 'p': 1.0},
        {'type': 'Cutout', 'nb_iterations': 1, 'size': 0.2 * MAGNITUDE, 'squared': True},
    ]
    return [{'type': 'SomeOf', 'n': 2, 'children': children}]


@TRANSFORMS.register_module()
class Imgaug(Transform):
    """Augment all frames of a sample alike, and the boxes of people with them.

    Args:
        transforms: ``'default'``, a list of nodes whose ``type`` is an augmenter of the library (and ``children`` a
            list of such), or an augmenter.

    Raises:
        ImportError: The library is not installed.
        ValueError: It has no such augmenter.
    """

    def __init__(self, transforms: Literal['default'] | Sequence[Mapping[str, Any]] | Any) -> None:
        self._augmenters = _library('imgaug.augmenters')
        nodes = default_augmenters() if isinstance(transforms, str) else transforms
        if isinstance(transforms, str) and transforms != 'default':
            raise ValueError(f"Imgaug: transforms is 'default' or a list, not {transforms!r}")
        if isinstance(nodes, Sequence):
            nodes = self._augmenters.Sequential([self._built(node) for node in nodes])
        self.transforms = nodes

    def _built(self, node: Mapping[str, Any]) -> Any:
        arguments = dict(node)
        kind = arguments.pop('type')
        if isinstance(kind, str):
            name = kind
            kind = getattr(self._augmenters, name, None) or getattr(self._augmenters.pillike, name, None)
            if kind is None:
                raise ValueError(f"imgaug has no augmenter '{name}'")
        if 'children' in arguments:
            arguments['children'] = [self._built(child) for child in arguments['children']]
        return kind(**arguments)

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Augment; the library's generator is seeded from ``rng``.

        Raises:
            DataError: Frames are flow, or become of another type.
        """
        if results.get('modality', 'RGB') != 'RGB':
            raise DataError(f'Imgaug changes frames of the modality RGB, not {results["modality"]}')
        self.transforms.seed_(int(rng.integers(2**31)))
        fixed, size, kind = self.transforms.to_deterministic(), results['imgs'][0].shape[:2], results['imgs'][0].dtype
        results['imgs'] = [fixed.augment_image(np.ascontiguousarray(img)) for img in results['imgs']]
        first = results['imgs'][0]
        if first.dtype != kind:
            raise DataError(f'Imgaug made {first.dtype} of frames that were {kind}')
        for key in ('gt_bboxes', 'proposals'):
            if results.get(key) is not None and 'gt_bboxes' in results:
                results[key] = self._moved(fixed, results[key], size, first.shape)
        results['img_shape'] = first.shape[:2]
        return results

    def _moved(self, fixed: Any, box_p4: np.ndarray, before: Sequence[int], after: Sequence[int]) -> np.ndarray:
        """Boxes ``(P, 4)`` in frames that were augmented, within them."""
        library = _library('imgaug.augmentables.bbs')
        boxes = library.BoundingBoxesOnImage([library.BoundingBox(*map(float, box)) for box in box_p4], shape=before)
        moved = fixed.augment_bounding_boxes([boxes])[0].to_xyxy_array()
        high = np.array([after[1], after[0], after[1], after[0]], np.float32)
        return np.clip(moved, 0, high).astype(np.float32)


def _library(module: str) -> Any:
    """A module of the library.

    Raises:
        ImportError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # with NumPy 2 it fails with others than ImportError
        raise ImportError(f"Imgaug needs its library: pip install imgaug3 'numpy<2' ({error})") from error
