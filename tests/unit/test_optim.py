from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.core.registries import OPTIMIZER_BUILDERS, OPTIMIZERS
from intarsia.optim.build import build_optimizer
from intarsia.optim.constructors.default import DefaultOptimizerConstructor


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.dw = nn.Conv2d(4, 4, 3, groups=4)
        self.head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))


def options_by_name(model, optimizer):
    names = {id(p): n for n, p in model.named_parameters()}
    return {names[id(g['params'][0])]: (round(g['lr'], 6), round(g['weight_decay'], 6)) for g in optimizer.param_groups}


def build(model=None, **paramwise):
    model = model or Net()
    cfg = dict(type='SGD', lr=1.0, momentum=0.9, weight_decay=0.1, paramwise_cfg=paramwise or None)
    return model, build_optimizer(model, cfg)


def test_without_options_there_is_one_group():
    _, optimizer = build()
    assert len(optimizer.param_groups) == 1


def test_rules_by_kind_of_layer():
    model, optimizer = build(norm_decay_mult=0.0, bias_lr_mult=2.0, bias_decay_mult=0.5, dwconv_decay_mult=0.25)
    got = options_by_name(model, optimizer)
    assert got['conv.weight'] == (1.0, 0.1)
    assert got['conv.bias'] == (2.0, 0.05)
    assert got['bn.weight'] == got['bn.bias'] == (1.0, 0.0)
    assert got['head.0.bias'] == (1.0, 0.0)
    assert got['dw.weight'] == (1.0, 0.025)
    assert got['dw.bias'] == (2.0, 0.025), 'the rule of depth-wise layers goes before that of biases'


def test_the_longest_custom_key_wins_and_cancels_the_rest():
    model, optimizer = build(
        custom_keys={'head': dict(lr_mult=0.1), 'head.1': dict(lr_mult=10, decay_mult=0.0)}, bias_lr_mult=2.0
    )
    got = options_by_name(model, optimizer)
    assert got['head.0.weight'] == (0.1, 0.1)
    assert got['head.1.bias'] == (10.0, 0.0)
    assert got['conv.bias'] == (2.0, 0.1)


def test_keys_that_change_nothing_are_reported(caplog):
    logger = logging.getLogger('intarsia')
    logger.propagate = True
    with caplog.at_level('WARNING', 'intarsia'):
        build(custom_keys={'backbonne': dict(lr_mult=0.1)})
        build(fc_lr5=True)
        build(bias_lr_multi=2)
    assert 'backbonne' in caplog.text
    assert "'fc_lr5', which DefaultOptimizerConstructor does not read" in caplog.text
    assert "Did you mean 'bias_lr_mult'" in caplog.text


def test_frozen_parameters_get_no_options_of_their_own():
    model = Net()
    model.conv.bias.requires_grad_(False)
    _, optimizer = build(model, bias_lr_mult=2.0)
    assert options_by_name(model, optimizer)['conv.bias'] == (1.0, 0.1)


def test_shared_parameters_are_refused_or_bypassed():
    model = Net()
    model.twin = model.conv
    model.other = nn.Module()
    model.other.weight = model.dw.weight
    with pytest.raises(ValueError, match='bypass_duplicate'):
        build(model, norm_decay_mult=0.0)
    _, optimizer = build(model, norm_decay_mult=0.0, bypass_duplicate=True)
    assert sum(len(g['params']) for g in optimizer.param_groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ('cfg', 'error', 'text'),
    [
        (dict(type='SGD', lr=1.0, paramwise_cfg=[1]), TypeError, 'must be None or a dict'),
        (dict(type='SGD', lr=1.0, paramwise_cfg=dict(custom_keys=[1])), TypeError, 'custom_keys must be a dict'),
        (dict(type='SGD', lr=1.0, paramwise_cfg=dict(norm_decay_mult=0)), ValueError, 'needs weight_decay'),
        (dict(type='SDG', lr=1.0), KeyError, "Did you mean 'SGD'"),
        (dict(type='SGD', lr=1.0, momentun=0.9), TypeError, "Did you mean 'momentum'"),
    ],
)
def test_mistakes_are_explained(cfg, error, text):
    with pytest.raises(error, match=text):
        build_optimizer(Net(), cfg)


def test_a_plain_class_may_construct_several_optimizers():
    @OPTIMIZER_BUILDERS.register_module
    class Cocktail:
        def __init__(self, optimizer_cfg, paramwise_cfg=None):
            self.cfg = optimizer_cfg

        def __call__(self, model):
            return {n: torch.optim.SGD(m.parameters(), lr=self.cfg['lr']) for n, m in model.named_children()}

    made = build_optimizer(Net(), dict(constructor='Cocktail', lr=0.5))
    assert set(made) == {'conv', 'bn', 'dw', 'head'}


def test_a_subclass_may_override_the_two_argument_form():
    seen = []

    @OPTIMIZER_BUILDERS.register_module()
    class TwoArguments(DefaultOptimizerConstructor):
        def add_params(self, params, module):
            seen.append(type(module).__name__)
            super().add_params(params, module)

    optimizer = build_optimizer(
        Net(), dict(type='SGD', lr=1.0, constructor='TwoArguments', paramwise_cfg=dict(fc_lr5=True))
    )
    assert seen[0] == 'Net'
    assert len(seen) == 7
    assert len(optimizer.param_groups) == 10


def test_a_users_optimizer():
    @OPTIMIZERS.register_module
    class MyOptimizer(torch.optim.SGD):
        def __init__(self, params, a, b, c):
            super().__init__(params, lr=a, momentum=b, weight_decay=c)

    made = build_optimizer(Net(), dict(type='MyOptimizer', a=0.1, b=0.5, c=0.0))
    assert made.param_groups[0]['momentum'] == 0.5


@pytest.mark.parametrize('name', [n for n in OPTIMIZERS.names() if n not in ('MyOptimizer', 'Muon')])
def test_every_torch_optimizer_builds(name):
    assert build_optimizer(nn.Linear(2, 2), dict(type=name, lr=0.01)).param_groups[0]['lr'] == 0.01
