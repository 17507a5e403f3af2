"""Weights of a network of images for networks of frames and of clips.

Shapes: o and i channels, t, h, w kernel.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from intarsia.nn.conv_module import ConvModule

Names = tuple[str, str]

WRAPPERS = ('net', 'net2', 'block')
"""Under these names modules that exchange something over time hold the layers of a network of images."""


def plain_name(name: str) -> str:
    """What a module, or a state key, is called in a network without :data:`WRAPPERS`."""
    return '.'.join(part for part in name.split('.') if part not in WRAPPERS)


def accept_plain_keys(module: nn.Module, state: dict[str, Tensor], prefix: str, *args: object) -> None:
    """A hook before ``load_state_dict``: weights of the network without :data:`WRAPPERS` fit as well."""
    for key in module.state_dict():
        plain = plain_name(key)
        if prefix + key not in state and prefix + plain in state:
            state[prefix + key] = state.pop(prefix + plain)


def image_names(name: str) -> Names:
    """What the convolution and the norm of a module of a residual network of clips are called in one of images."""
    if 'downsample' in name:
        return f'{name}.0', f'{name}.1'
    return name, name.replace('conv', 'bn')


def inflate_weights(model: nn.Module, state_2d: Mapping[str, Tensor], skip: str | None = None) -> None:
    """Load the weights of a network of images, whose layers are named after ``torchvision``.

    In a network of clips they are inflated: a still clip then gives what its frame gives, "Quo Vadis, Action
    Recognition?" (Carreira and Zisserman, 2017, arXiv:1705.07750). A kernel is repeated over time and divided by its
    length; where the network has further input channels, theirs are 0. What does not fit is left as it is, and logged.

    Args:
        model: Its layers are :class:`~intarsia.nn.conv_module.ConvModule`.
        state_2d: The state dict of the network of images.
        skip: Modules with this in their name are left alone.
    """
    used: set[str] = set()
    missing: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, ConvModule) or (skip is not None and skip in name):
            continue
        conv_name, norm_name = image_names(plain_name(name))
        conv = getattr(module.conv, 'wrapped', module.conv)
        targets = [(f'{conv_name}.{key}', value) for key, value in conv.state_dict(keep_vars=True).items()]
        if module.norm is not None:
            targets += [(f'{norm_name}.{key}', value) for key, value in module.norm.state_dict(keep_vars=True).items()]
        for key, target in targets:
            source = _fitted(state_2d.get(key), target)
            if source is None:
                missing.append(key)
                continue
            with torch.no_grad():
                target.copy_(source)
            used.add(key)
    logger = logging.getLogger('intarsia')
    needed = [key for key in missing if not key.endswith('num_batches_tracked')]
    if needed:
        logger.warning('inflated weights lack %s', ', '.join(needed))
    if state_2d.keys() - used:
        logger.info('of the image network these are not used: %s', ', '.join(sorted(state_2d.keys() - used)))


def _fitted(source: Tensor | None, target: Tensor) -> Tensor | None:
    """A weight in the shape of another, or None."""
    if source is None:
        return None
    if target.ndim == 5 and source.ndim == 4:
        more = target.shape[1] - source.shape[1]
        if more < 0 or source.shape[0] != target.shape[0] or source.shape[2:] != target.shape[3:]:
            return None
        padded_oihw = torch.cat([source, source.new_zeros(source.shape[0], more, *source.shape[2:])], dim=1)
        return (padded_oihw.unsqueeze(2) / target.shape[2]).expand_as(target)
    return source if source.shape == target.shape else None


def in_the_middle(state_2d: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network of images with the kernels of clips: what each sees is the frame in the middle.

    Args:
        state_2d: The state dict of the network of images.
        expected: That of the network of clips, whose layers have the same names.
    """
    fitted = dict(state_2d)
    for key, source in state_2d.items():
        target = expected.get(key)
        if target is not None and target.ndim == 5 and source.ndim == 4:
            kernel = source.new_zeros(*source.shape[:2], target.shape[2], *source.shape[2:])
            kernel[:, :, target.shape[2] // 2] = source
            fitted[key] = kernel
    return fitted
