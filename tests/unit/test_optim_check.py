"""Mistakes in the field ``optimizer`` are found before anything is built."""

from __future__ import annotations

import pytest
import torch

from intarsia.config.optimizer import check_optimizer
from intarsia.core.registries import OPTIMIZER_BUILDERS, OPTIMIZERS

SGD = dict(type='SGD', lr=0.1, weight_decay=1e-4)
TSM = dict(SGD, constructor='TSMOptimizerConstructor')
DECAY = dict(SGD, constructor='LearningRateDecayOptimizerConstructor')


def found(optimizer):
    return [(f.code, f.path, f.suggestion) for f in check_optimizer(optimizer)]


@pytest.mark.parametrize(
    'optimizer',
    [
        None,
        SGD,
        dict(type='Lamb', lr=0.005, weight_decay=0.02, betas=[0.9, 0.99]),
        dict(SGD, paramwise_cfg=dict(flat_decay_mult=0, custom_keys={'bn': dict(lars_exclude=True, lr_mult=1)})),
        dict(TSM, paramwise_cfg=dict(fc_lr5=True)),
        dict(DECAY, paramwise_cfg=dict(decay_rate=0.9, num_layers=12, decay_type='stage_wise')),
        dict(SGD, constructor='LearningRateDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.5)),
        dict(generator=SGD, critic=dict(type='Adam', lr=0.1)),
    ],
)
def test_right_fields_have_no_problems(optimizer):
    assert found(optimizer) == []


@pytest.mark.parametrize(
    ('optimizer', 'problem'),
    [
        (dict(lr=0.1), ('missing-argument', 'optimizer', None)),
        (dict(paramwise_cfg=dict(bias_lr_mult=2)), ('missing-argument', 'optimizer', None)),
        (dict(SGD, type='LRAS'), ('unknown-component', 'optimizer.type', 'LARS')),
        (dict(SGD, nestrov=True), ('unknown-argument', 'optimizer.nestrov', 'nesterov')),
        (dict(type='Lamb', trust_clip='yes'), ('wrong-type', 'optimizer.trust_clip', None)),
        (dict(SGD, constructor='TSMConstructor'), ('unknown-component', 'optimizer.constructor.type', 'TSMOptimizerConstructor')),
        (dict(SGD, paramwise_cfg=[1]), ('wrong-type', 'optimizer.paramwise_cfg', None)),
        (dict(SGD, paramwise_cfg=dict(bias_lr_multi=2)), ('unknown-argument', 'optimizer.paramwise_cfg.bias_lr_multi', 'bias_lr_mult')),
        (dict(SGD, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mul=2)))), ('unknown-argument', 'optimizer.paramwise_cfg.custom_keys.head.lr_mul', 'lr_mult')),
        (dict(SGD, paramwise_cfg=dict(custom_keys=dict(head=2))), ('wrong-type', 'optimizer.paramwise_cfg.custom_keys.head', None)),
        (dict(type='AdamW', lr=0.1, paramwise_cfg=dict(norm_decay_mult=0)), ('missing-argument', 'optimizer', None)),
        (TSM, ('missing-argument', 'optimizer', None)),
        (dict(TSM, paramwise_cfg=dict(fc_lr_5=True)), ('unknown-argument', 'optimizer.paramwise_cfg.fc_lr_5', 'fc_lr5')),
        (dict(DECAY, paramwise_cfg=dict(num_layers=12)), ('missing-argument', 'optimizer.paramwise_cfg', None)),
        (dict(DECAY, paramwise_cfg=dict(decay_rate=0.9, decay_type='stagewise')), ('wrong-type', 'optimizer.paramwise_cfg.decay_type', 'stage_wise')),
        (dict(generator=SGD, critic=dict(type='Adamm')), ('unknown-component', 'optimizer.critic.type', 'Adam')),
        (dict(generator=SGD, critic=dict(type='Adam', bets=1)), ('unknown-argument', 'optimizer.critic.bets', 'betas')),
    ],
)  # fmt: skip
def test_every_mistake_is_found(optimizer, problem):
    assert problem in found(optimizer)


def test_optimizers_within_a_constructor_of_ones_own():
    @OPTIMIZER_BUILDERS.register_module()
    class TwoOptimizers:
        def __init__(self, optimizer_cfg, paramwise_cfg=None):
            pass

    cfg = dict(constructor='TwoOptimizers', first=dict(type='SGD', lr=1), second=dict(type='Adamm', lr=1), switch=3)
    assert found(cfg) == [('unknown-component', 'optimizer.second.type', 'Adam')]
    cfg |= dict(second=dict(type='Adam', lrr=1), hook=dict(type='CheckpointHook', interval=3))
    assert found(cfg) == [('unknown-argument', 'optimizer.second.lrr', 'lr')]


def test_an_optimizer_of_ones_own():
    @OPTIMIZERS.register_module()
    class OtherFirstName(torch.optim.Optimizer):
        def __init__(self, weights, a, b=2):
            pass

    @OPTIMIZERS.register_module()
    class NoParameters(torch.optim.Optimizer):
        def __init__(self, a, b, c):
            pass

    assert found(dict(type='OtherFirstName', a=1)) == []
    assert found(dict(type='OtherFirstName', b=1)) == [('missing-argument', 'optimizer', None)]
    assert found(dict(type='NoParameters', a=1, b=2, c=3)) == [('missing-argument', 'optimizer', None)]
