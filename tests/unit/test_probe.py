from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from intarsia.api.probe import probe_model
from intarsia.config.file import config_of, load_config
from intarsia.core.registries import NECKS

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'


@pytest.fixture
def values():
    return copy.deepcopy(load_config(RECIPE).values)


def test_a_sound_model_passes_without_memory(values):
    assert probe_model(config_of(values)) == []


@pytest.mark.parametrize(
    ('change', 'code', 'path', 'words'),
    [
        (
            lambda m: m['head'].update(in_channels=63),
            'channel-mismatch',
            'model.head',
            r'head\.fc.*input of shape \(2, 64\)',
        ),
        (
            lambda m: m['backbone'].update(in_channels=3),
            'channel-mismatch',
            'model.backbone',
            r'backbone\.conv1.*\(2, 1, ',
        ),
        (lambda m: m['backbone'].update(depth=19), 'bad-config', 'model', 'depth must be one of'),
    ],
)
def test_parts_that_do_not_fit_are_named(values, change, code, path, words):
    change(values['model'])
    (problem,) = probe_model(config_of(values))
    assert (problem.code, problem.path) == (code, path)
    import re

    assert re.search(words, problem.message)


def test_what_cannot_run_without_memory_is_let_through(values):
    @NECKS.register_module()
    class AsksForValues(nn.Module):
        def forward(self, feats):
            return tuple(f.mean((2, 3)) * float(f.mean()) for f in feats)

    values['model']['neck'] = dict(type='AsksForValues')
    assert probe_model(config_of(values)) == []
    assert torch.get_default_device().type == 'cpu'
