from __future__ import annotations

import pytest

from intarsia.core.errors import RegistryError
from intarsia.core.registries import BACKBONES, HOOKS, MODELS, OPTIMIZERS
from intarsia.core.registry import Registry


@pytest.fixture
def registry():
    return Registry('THINGS')


def test_bare_and_called_decorators_register_classes_and_functions(registry):
    @registry.register_module
    class Bare:
        pass

    @registry.register_module()
    class Called:
        pass

    @registry.register_module
    def bare_function():
        return 1

    @registry.register_module(name=['one', 'two'])
    def function(x=2):
        return x

    @registry.register_module('positional')
    class Named:
        pass

    assert registry.get('Bare') is Bare
    assert registry.get('Called') is Called
    assert registry.get('bare_function') is bare_function
    assert registry.get('one') is registry.get('two') is function
    assert registry.get('positional') is Named
    assert registry.build(dict(type='one', x=5)) == 5


def test_direct_call_returns_the_module(registry):
    class Thing:
        pass

    assert registry.register_module(module=Thing) is Thing
    assert registry.register_module(Thing) is Thing, 'registering the same object again is no error'
    assert 'Thing' in registry


def test_a_duplicate_names_both_places_and_force_replaces(registry):
    def make(value):
        class Thing:
            number = value

        return Thing

    registry.register_module(module=make(1), name='Thing')

    class Other:
        pass

    with pytest.raises(RegistryError, match=r'test_registry\.py:\d+.*test_registry\.py:\d+'):
        registry.register_module(module=Other, name='Thing')
    registry.register_module(module=Other, name='Thing', force=True)
    assert registry.get('Thing') is Other


def test_only_classes_and_functions_can_be_registered(registry):
    with pytest.raises(TypeError, match='only classes and functions'):
        registry.register_module(module=3)
    with pytest.raises(TypeError, match='force must be a bool'):
        registry.register_module('x', force='yes')


def test_a_miss_suggests_names_and_other_registries():
    with pytest.raises(KeyError, match="Did you mean 'ResNet'"):
        BACKBONES.get('ResNot')
    with pytest.raises(KeyError, match=r'registered in OPTIMIZERS'):
        HOOKS.get('AdamW')
    with pytest.raises(KeyError, match='custom_imports'):
        HOOKS.get('Zzzzzzzzzz')


def test_views_share_one_store():
    @BACKBONES.register_module()
    class ViewedBackbone:
        pass

    assert MODELS.get('ViewedBackbone') is ViewedBackbone
    assert 'ViewedBackbone' in BACKBONES.names()


def test_a_user_component_takes_the_place_of_a_builtin(registry):
    builtin = HOOKS.get('IterTimerHook')

    @HOOKS.register_module()
    class IterTimerHook:
        pass

    try:
        assert HOOKS.get('IterTimerHook') is IterTimerHook
        assert [c.name for c in HOOKS.replaced_builtins()] == ['IterTimerHook']
    finally:
        del HOOKS._components[(False, None, 'IterTimerHook')]
    assert HOOKS.get('IterTimerHook') is builtin


def test_task_views_resolve_homonyms_and_qualified_names():
    loss = MODELS.of('classification').get('CrossEntropyLoss')
    assert MODELS.get('classification.CrossEntropyLoss') is loss
    assert loss.__module__.startswith('intarsia.tasks.classification')


def test_every_torch_optimizer_is_known():
    import torch

    public = {n for n, v in vars(torch.optim).items() if isinstance(v, type) and issubclass(v, torch.optim.Optimizer)}
    assert public - {'Optimizer'} <= set(OPTIMIZERS.names())
    assert OPTIMIZERS.get('AdamW') is torch.optim.AdamW


@pytest.mark.parametrize(
    ('cfg', 'error', 'text'),
    [
        (['a'], TypeError, 'a config node is a dict'),
        (dict(x=1), KeyError, "must contain the key 'type'"),
        (dict(type=3), TypeError, 'type must be a name'),
        (dict(type='CheckpointHook', intervall=1), TypeError, "Did you mean 'interval'"),
        (dict(type='StepLrUpdaterHook'), TypeError, 'needs the argument step'),
        (dict(type='StepLrUpdaterHook', step=[1], warmup='liner'), ValueError, 'liner'),
    ],
)
def test_build_errors_say_what_is_wrong(cfg, error, text):
    with pytest.raises(error, match=text):
        HOOKS.build(cfg)


def test_building_does_not_change_the_config_and_defaults_fill_in():
    cfg = dict(type='CheckpointHook', interval=3)
    hook = HOOKS.build(cfg, interval=7, max_keep_ckpts=2)
    assert (hook.interval, hook.max_keep_ckpts) == (3, 2)
    assert cfg == dict(type='CheckpointHook', interval=3)
    assert HOOKS.build(dict(type=type(hook))).interval == -1


def test_an_error_in_a_constructor_keeps_its_type_and_gains_the_component():
    with pytest.raises(ValueError, match='warmup') as caught:
        HOOKS.build(dict(type='FixedLrUpdaterHook', warmup='linear'))
    assert any('FixedLrUpdaterHook' in note for note in caught.value.__notes__)
