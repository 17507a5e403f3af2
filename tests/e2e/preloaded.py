"""What most commands import and look up first; the process that :mod:`tests.e2e.commands` forks has it behind it."""

from __future__ import annotations

import cv2  # noqa: F401
import torch
import torch._dynamo

import intarsia.api.plot
import intarsia.api.predict
import intarsia.api.test
import intarsia.api.train  # noqa: F401
from intarsia.api.probe import probe_model
from intarsia.config.check import checked
from intarsia.config.file import load_config
from intarsia.core import registries

torch.set_num_threads(1)  # the networks of examples are too small for more; and threads do not survive a fork
probe_model(checked(load_config('intarsia::classification/resnet_cifar_fashion_mnist.py')))
for _name in registries.HOOKS.names():
    registries.HOOKS.get(_name)
registries.DATASETS.of('classification').get('FashionMNIST')
registries.MODELS.get('VisionTransformer')
