"""The well-known lists of augmentations, as data."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]


def _op(kind: str, prob: float, **arguments: Any) -> Node:
    return {'type': kind, 'prob': prob, **arguments}


def _scaled(kind: str, key: str, at_zero: float, at_total: float, **arguments: Any) -> Node:
    """An operation whose argument ``key`` grows with the magnitude level."""
    return {'type': kind, 'magnitude_key': key, 'magnitude_range': (at_zero, at_total), **arguments}


def _pairs() -> list[list[Node]]:
    ninth, thirty = 256 / 9, 30 / 9
    posterize, solarize, equalize = 'Posterize', 'Solarize', 'Equalize'
    strong_equalize = [_op(equalize, 0.8), _op(equalize, 0.6)]
    solarized_contrast = [_op(solarize, 0.6, thr=ninth * 4), _op('AutoContrast', 0.6)]
    solarized = [_op(equalize, 0.4), _op(solarize, 0.2, thr=ninth * 5)]
    negative = [_op('Invert', 0.6), _op(equalize, 1.0)]
    vivid = [_op('ColorTransform', 0.6, magnitude=0.4), _op('Contrast', 1.0, magnitude=0.8)]
    return [
        [_op(posterize, 0.4, bits=4), _op('Rotate', 0.6, angle=30.0)],
        solarized_contrast,
        strong_equalize,
        [_op(posterize, 0.6, bits=5), _op(posterize, 0.6, bits=5)],
        solarized,
        [_op(equalize, 0.4), _op('Rotate', 0.8, angle=thirty * 8)],
        [_op(solarize, 0.6, thr=ninth * 6), _op(equalize, 0.6)],
        [_op(posterize, 0.8, bits=6), _op(equalize, 1.0)],
        [_op('Rotate', 0.2, angle=10.0), _op(solarize, 0.6, thr=ninth)],
        [_op(equalize, 0.6), _op(posterize, 0.4, bits=5)],
        [_op('Rotate', 0.8, angle=thirty * 8), _op('ColorTransform', 0.4, magnitude=0.0)],
        [_op('Rotate', 0.4, angle=30.0), _op(equalize, 0.6)],
        [_op(equalize, 0.0), _op(equalize, 0.8)],
        negative,
        vivid,
        [_op('Rotate', 0.8, angle=thirty * 8), _op('ColorTransform', 1.0, magnitude=0.2)],
        [_op('ColorTransform', 0.8, magnitude=0.8), _op(solarize, 0.8, thr=ninth * 2)],
        [_op('Sharpness', 0.4, magnitude=0.7), _op('Invert', 0.6)],
        [_op('Shear', 0.6, magnitude=0.3 / 9 * 5, direction='horizontal'), _op(equalize, 1.0)],
        [_op('ColorTransform', 0.4, magnitude=0.0), _op(equalize, 0.6)],
        solarized,
        solarized_contrast,
        negative,
        vivid,
        strong_equalize,
    ]


AUTO_AUGMENT_POLICIES: dict[str, list[list[Node]]] = {'imagenet': _pairs()}
"""As found on ImageNet by "AutoAugment: Learning Augmentation Policies from Data", Cubuk et al., 2018,
arXiv:1805.09501."""

_SIMPLE: list[Node] = [
    {'type': 'AutoContrast'},
    {'type': 'Equalize'},
    _scaled('Rotate', 'angle', 0, 30),
    _scaled('Shear', 'magnitude', 0, 0.3, direction='horizontal'),
    _scaled('Shear', 'magnitude', 0, 0.3, direction='vertical'),
]

RAND_AUGMENT_POLICIES: dict[str, list[Node]] = {
    'timm_increasing': [
        *_SIMPLE[:2],
        {'type': 'Invert'},
        _SIMPLE[2],
        _scaled('Posterize', 'bits', 4, 0),
        _scaled('Solarize', 'thr', 256, 0),
        _scaled('SolarizeAdd', 'magnitude', 0, 110),
        _scaled('ColorTransform', 'magnitude', 0, 0.9),
        _scaled('Contrast', 'magnitude', 0, 0.9),
        _scaled('Brightness', 'magnitude', 0, 0.9),
        _scaled('Sharpness', 'magnitude', 0, 0.9),
        *_SIMPLE[3:],
        _scaled('Translate', 'magnitude', 0, 0.45, direction='horizontal'),
        _scaled('Translate', 'magnitude', 0, 0.45, direction='vertical'),
    ],
    'simple_increasing': _SIMPLE,
}
"""Operations that all grow stronger with the level, as in the library timm."""
