"""Every registry of the package, on one page."""

from __future__ import annotations

from intarsia.core.registry import Registry

MODELS = Registry('MODELS')
"""Networks and their parts. The names below are views of it: one store, listed by kind."""
BACKBONES = MODELS.view('BACKBONES')
NECKS = MODELS.view('NECKS')
HEADS = MODELS.view('HEADS')
LOSSES = MODELS.view('LOSSES')
CLASSIFIERS = MODELS.view('CLASSIFIERS')
SEGMENTORS = MODELS.view('SEGMENTORS')
POSENETS = MODELS.view('POSENETS')
RECOGNIZERS = MODELS.view('RECOGNIZERS')
LOCALIZERS = MODELS.view('LOCALIZERS')

CONV_LAYERS = Registry('CONV_LAYERS')
NORM_LAYERS = Registry('NORM_LAYERS')
ACTIVATION_LAYERS = Registry('ACTIVATION_LAYERS')
PADDING_LAYERS = Registry('PADDING_LAYERS')
PLUGIN_LAYERS = Registry('PLUGIN_LAYERS')
INITIALIZERS = Registry('INITIALIZERS')

DATASETS = Registry('DATASETS')
TRANSFORMS = Registry('TRANSFORMS')
PIPELINES = TRANSFORMS
"""The older name of TRANSFORMS."""
SAMPLERS = Registry('SAMPLERS')
BATCH_AUGMENTS = Registry('BATCH_AUGMENTS')
"""Augmentations of a whole batch on the device (Mixup, CutMix, ...)."""
METRICS = Registry('METRICS')
PIXEL_SAMPLERS = Registry('PIXEL_SAMPLERS')
"""Which pixels count in the loss of a segmentation head."""

CODECS = Registry('CODECS')
"""How the joints of a pose become targets of a network, and its outputs joints."""

HOOKS = Registry('HOOKS')
RUNNERS = Registry('RUNNERS')
OPTIMIZERS = Registry('OPTIMIZERS')
OPTIMIZER_BUILDERS = Registry('OPTIMIZER_BUILDERS')
SCHEDULES = Registry('SCHEDULES')
"""Links of a list of schedules in ``lr_config``, ``momentum_config`` or ``weight_decay_config``."""


def all_registries() -> dict[str, Registry]:
    """Every registry and view by name, in the order of this page."""
    return {value.name: value for value in globals().values() if isinstance(value, Registry)}
