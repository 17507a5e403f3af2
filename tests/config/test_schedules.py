"""Schedules are checked without being built, and those of 1.x are translated."""

from __future__ import annotations

import pytest

from intarsia.config.dialects.one_x.param_scheduler import translate_param_scheduler
from intarsia.config.schedules import check_schedules

EPOCHS = dict(runner=dict(type='EpochBasedRunner', max_epochs=10))
ITERS = dict(runner=dict(type='IterBasedRunner', max_iters=100))


def found(lr_config, run=EPOCHS, field='lr_config'):
    return [(f.code, f.path, f.suggestion) for f in check_schedules({field: lr_config, **run})]


GOOD = [
    dict(policy='step', step=[3, 6], warmup='linear', warmup_iters=5, warmup_ratio=0.001),
    dict(policy='step', step=[3, 6], warmup=None),
    dict(policy='Fixed', by_epoch=True),
    dict(policy='CosineAnnealing', min_lr_ratio=1e-2, min_lr=None, warmup='linear', warmup_iters=2, warmup_by_epoch=True),
    dict(policy='OneCycle', max_lr=[0.1, 0.2]),
    dict(policy='cyclic', target_ratio=(10, 1e-4)),
    dict(policy='CosineRestart', periods=[4, 6], restart_weights=[1, 1], min_lr=0),
    dict(policy='CosineRestart', periods=[4], restart_weights=[1], min_lr=0, by_epoch=False),
    [dict(policy='Linear', start_factor=0.1, end=2, every_iter=True), dict(policy='CosineAnnealing', begin=2, length=8)],
    [dict(policy='step', step=[5], end=1000), dict(policy='ReduceOnPlateau', monitor='acc', min_value=[0.1, 0.2])],
    [],
    None,
]  # fmt: skip


@pytest.mark.parametrize('lr_config', GOOD)
def test_what_is_good_is_not_reported(lr_config):
    assert found(lr_config) == []


MISTAKES = [
    (dict(policy='CosineAnealing', min_lr=0), ('unknown-component', 'lr_config.policy', 'CosineAnnealing')),
    (dict(min_lr=0), ('missing-argument', 'lr_config', None)),
    (dict(policy='step'), ('missing-argument', 'lr_config', None)),
    (dict(policy='step', step='3'), ('wrong-type', 'lr_config.step', None)),
    (dict(policy='step', step=3, gama=0.1), ('unknown-argument', 'lr_config.gama', 'gamma')),
    (dict(policy='poly', warmup='liner', warmup_iters=2), ('wrong-type', 'lr_config.warmup', 'linear')),
    (dict(policy='poly', warmup='linear'), ('missing-argument', 'lr_config', None)),
    (dict(policy='CosineAnnealing'), ('missing-argument', 'lr_config', None)),
    (dict(policy='CosineAnnealing', min_lr=0, min_lr_ratio=0), ('bad-config', 'lr_config', None)),
    (dict(policy='CosineRestart', periods=[4, 5], restart_weights=[1, 1], min_lr=0), ('bad-config', 'lr_config.periods', None)),
    (dict(policy='CosineRestart', periods=[4, 6], min_lr=0), ('bad-config', 'lr_config.periods', None)),
    (dict(type='StepLrUpdaterHok', step=3), ('unknown-component', 'lr_config.type', 'StepLrUpdaterHook')),
    (['Linear'], ('wrong-type', 'lr_config.0', None)),
    ([dict(start_factor=0.1)], ('missing-argument', 'lr_config.0', None)),
    ([dict(policy='Lineer')], ('unknown-component', 'lr_config.0.policy', 'Linear')),
    ([dict(policy='Linear', star_factor=0.1)], ('unknown-argument', 'lr_config.0.star_factor', 'start_factor')),
    ([dict(policy='Linear', start_factor='a')], ('wrong-type', 'lr_config.0.start_factor', None)),
    ([dict(policy='Exp')], ('missing-argument', 'lr_config.0', None)),
    ([dict(policy='Exp', gamma=1, begin=5, end=5)], ('bad-config', 'lr_config.0.end', None)),
    ([dict(policy='Exp', gamma=1, begin=-1)], ('bad-config', 'lr_config.0.begin', None)),
    ([dict(policy='Exp', gamma=1, begin=10)], ('bad-config', 'lr_config.0.begin', None)),
    ([dict(policy='Exp', gamma=1, by_epoch=False, every_iter=True)], ('bad-config', 'lr_config.0.every_iter', None)),
    ([dict(policy='Poly', min_value=0, min_ratio=0)], ('bad-config', 'lr_config.0', None)),
]  # fmt: skip


@pytest.mark.parametrize(('lr_config', 'problem'), MISTAKES)
def test_every_mistake_is_found(lr_config, problem):
    assert found(lr_config) == [problem]


def test_momentum_and_weight_decay_are_checked_too():
    assert found(dict(policy='stepp', step=2), field='momentum_config')[0][2] == 'Step'
    assert found([dict(policy='Pol')], field='weight_decay_config')[0][2] == 'Poly'


def test_what_follows_epochs_in_a_run_of_iterations_is_reported():
    assert found(dict(policy='step', step=3, by_epoch=True), ITERS) == [('bad-config', 'lr_config.by_epoch', None)]
    assert found([dict(policy='Exp', gamma=1, by_epoch=True)], ITERS) == [('bad-config', 'lr_config.0.by_epoch', None)]
    assert found(dict(policy='step', step=3), ITERS) == found(dict(policy='fixed', by_epoch=True), ITERS) == []
    assert found([dict(policy='Exp', gamma=1, by_epoch=True, every_iter=True, begin=200)], ITERS) == []


# ---------------------------------------------------------------------- 1.x


def test_types_and_arguments_are_translated():
    fields, findings = translate_param_scheduler(
        [
            dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
            dict(type='mmengine.optim.scheduler.lr_scheduler.CosineAnnealingLR', T_max=95, eta_min=1e-5, begin=5),
            dict(type='MultiStepMomentum', milestones=[3, 4], gamma=0.5, by_epoch=False, verbose=True),
            dict(type='CosineAnnealingParamScheduler', param_name='weight_decay', eta_min=0.1),
            dict(type='CosineAnnealingWeightDecay', eta_min_ratio=0.1),
            dict(type='PolyLRRatio', eta_min_ratio=0.1, eta_min=5, power=0.9),
        ]
    )
    assert findings == []
    assert fields == {
        'lr_config': [
            dict(policy='Linear', start_factor=1e-3, by_epoch=True, begin=0, end=5, every_iter=True),
            dict(policy='CosineAnnealing', length=95, min_value=1e-5, begin=5, by_epoch=True),
            dict(policy='Poly', min_ratio=0.1, power=0.9, by_epoch=True),
        ],
        'momentum_config': [dict(policy='Step', step=[3, 4], gamma=0.5, by_epoch=False)],
        'weight_decay_config': [
            dict(policy='CosineAnnealing', min_value=0.1, by_epoch=True),
            dict(policy='CosineAnnealing', min_ratio=0.1, by_epoch=True, keep_zero=True),
        ],
    }
    assert list(check_schedules({**fields, **EPOCHS})) == []


def test_one_node_none_and_several_optimizers():
    exp = dict(type='ExponentialLR', gamma=0.9)
    link = dict(policy='Exp', gamma=0.9, by_epoch=True)
    assert translate_param_scheduler(exp) == ({'lr_config': [link]}, [])
    assert translate_param_scheduler(None) == translate_param_scheduler([]) == ({}, [])
    fields, _ = translate_param_scheduler(dict(generator=exp, critic=[exp, exp]))
    assert [each['optimizer'] for each in fields['lr_config']] == ['generator', 'critic', 'critic']


@pytest.mark.parametrize(
    ('node', 'problem'),
    [
        (dict(type='LinerLR'), ('unknown-component', 'param_scheduler.type', 'LinearLR')),
        (dict(type='LinearLR', start_facto=1), ('unknown-argument', 'param_scheduler.start_facto', 'start_factor')),
        (dict(type='LinearParamScheduler', param_name='beta2'), ('bad-config', 'param_scheduler.param_name', None)),
        (['LinearLR'], ('wrong-type', 'param_scheduler.0', None)),
        ([dict(type='LinearLR'), dict(type='X')], ('unknown-component', 'param_scheduler.1.type', None)),
    ],
)
def test_what_cannot_be_translated_is_reported(node, problem):
    findings = translate_param_scheduler(node)[1]
    assert [(f.code, f.path, f.suggestion) for f in findings] == [problem]
