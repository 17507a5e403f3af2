"""Networks of images that other packages have, as networks of frames. The packages are not installed with this one.

Shape suffixes: n frames, c channels, h rows, w columns, l tokens.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, cast

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict

Shape = Literal['NCHW', 'NHWC', 'NLC']
Weights = Callable[[], Mapping[str, Tensor]]

OLD_DENSE_KEYS = ((r'(denselayer\d+\.(?:norm|conv))\.([12]\.)', r'\1\2'),)
"""Released weights of DenseNet have names of an older release of the package."""


class FrameFeatures(nn.Module):
    """What the class of a model becomes: its ``forward`` gives features, and its state keys stay as they are.

    Attributes:
        extract: The method that gives features.
        feature_shape: Their axes; None tells maps from tokens by their number.
        pool: Whether features are averaged over their places.
        weights: What gives the weights that :meth:`init_weights` starts from; None leaves those of the package.
    """

    extract: str
    feature_shape: Shape | None
    pool: bool
    weights: Weights | None

    def init_weights(self) -> None:
        """From ``weights``."""
        if self.weights is not None:
            load_state_dict(self, self.weights(), strict=False, revise_keys=OLD_DENSE_KEYS)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N, C, H, W)`` of frames ``(N, 3, H, W)``; of tokens ``(N, C, L)``, pooled ``(N, C, 1, 1)``."""
        method = getattr(self, self.extract) if self.extract else super().forward
        feat: Tensor = method(x)
        shape = self.feature_shape or ('NLC' if feat.ndim == 3 else 'NCHW')
        if feat.ndim > 2 and shape != 'NCHW':
            feat = feat.movedim(-1, 1)
        if self.pool:
            feat = (feat.flatten(2).mean(2) if feat.ndim > 2 else feat)[..., None, None]
        return (feat,)


def as_frame_features(model: nn.Module, **attributes: Any) -> FrameFeatures:
    """The same model, of a subclass of its class with the ``forward`` of :class:`FrameFeatures` and its attributes."""
    own = type(model)
    model.__class__ = type(own.__name__, (FrameFeatures, own), attributes)
    return cast('FrameFeatures', model)


@BACKBONES.register_module(name='TorchVisionModel')
def torchvision_model(
    model_name: str, pretrained: bool = False, feature_shape: Shape | None = None, pool: bool = False, **arguments: Any
) -> FrameFeatures:
    """A model of ``torchvision.models`` without its classifier.

    State keys: those of the model.

    Args:
        model_name: Its name, ``'densenet161'``.
        pretrained: Start from the package's weights, which must be on this machine: ``torchvision://densenet161``.
        feature_shape: Axes of the features; None tells maps from tokens by their number.
        pool: Average features over their places.
        arguments: Arguments of the model.

    Raises:
        ImportError: The package is not installed.
        ValueError: It has no such model.
    """
    make = getattr(_package('torchvision.models', 'torchvision'), model_name, None)
    if make is None:
        raise ValueError(f"torchvision.models has no '{model_name}'")
    model = make(**arguments)
    for name in ('classifier', 'fc'):
        if hasattr(model, name):
            setattr(model, name, nn.Identity())
    weights = staticmethod(partial(_read, f'torchvision://{model_name}')) if pretrained else None
    extract = 'features' if hasattr(model, 'features') else ''
    return as_frame_features(model, extract=extract, feature_shape=feature_shape, pool=pool, weights=weights)


@BACKBONES.register_module(name='TimmModel')
def timm_model(
    model_name: str, pretrained: bool = False, feature_shape: Shape | None = None, pool: bool = False, **arguments: Any
) -> FrameFeatures:
    """A model of ``timm`` without its classifier.

    State keys: those of the model.

    Args:
        model_name: Its name, ``'swin_base_patch4_window7_224'``.
        pretrained: Start from the package's weights, which must be on this machine: ``timm://NAME``.
        feature_shape: Axes of the features; None as the model says, or else by their number.
        pool: Average features over their places.
        arguments: Arguments of the model.

    Raises:
        ImportError: The package is not installed.
        ValueError: It has no such model.
    """
    timm = _package('timm', 'timm>=0.9')
    if not timm.is_model(model_name.partition('.')[0]):
        raise ValueError(f"timm has no model '{model_name}'")
    options = {'num_classes': 0, **arguments}
    model = timm.create_model(model_name, **options)
    said = getattr(model, 'output_fmt', None)
    shape = feature_shape or (said if said in ('NCHW', 'NHWC', 'NLC') else None)
    weights = staticmethod(partial(_of_timm, timm, model_name, options)) if pretrained else None
    return as_frame_features(model, extract='forward_features', feature_shape=shape, pool=pool, weights=weights)


def _read(name: str) -> dict[str, Tensor]:
    return read_state_dict(find_weights(name))


def _of_timm(timm: Any, model_name: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a file, by the names of the installed release, as the package finds them."""
    file = {'file': str(find_weights(f'timm://{model_name}'))}
    return timm.create_model(model_name, pretrained=True, pretrained_cfg_overlay=file, **options).state_dict()


def _package(module: str, install: str) -> Any:
    """A module of a package.

    Raises:
        ImportError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # packages that do not fit the installed torch fail with others than ImportError
        package = module.partition('.')[0]
        text = f"a backbone '{package}.NAME' needs {package}: pip install '{install}' (importing it: {error})"
        raise ImportError(text) from error
