from __future__ import annotations

import copy

import pytest

from intarsia.config.check import CODES, check, checked
from intarsia.config.file import config_of, load_config
from intarsia.config.pretrained import without_pretrained
from intarsia.config.schema import RunConfig, to_run_config
from intarsia.config.types import fits
from intarsia.core.errors import ConfigError

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'


@pytest.fixture
def values():
    return copy.deepcopy(load_config(RECIPE).values)


def problems_of(values, **kwargs):
    return [(p.code, p.path, p.suggestion) for p in check(config_of(values), **kwargs)]


def test_the_recipe_has_no_problems(values):
    assert problems_of(values) == []
    assert isinstance(to_run_config(values), RunConfig)


MISTAKES = {
    'field': (lambda v: v.update(optimzer={}), ('unknown-field', 'optimzer', 'optimizer')),
    'models': (lambda v: v.update(models={}), ('unknown-field', 'models', 'model')),
    'data field': (lambda v: v['data'].update(sample_per_gpu=2), ('unknown-field', 'data.sample_per_gpu', 'samples_per_gpu')),
    'evaluation': (lambda v: v['evaluation'].update(intervall=1), ('unknown-field', 'evaluation.intervall', 'interval')),
    'backbone': (lambda v: v['model']['backbone'].update(type='ResNet_CIFAT'), ('unknown-component', 'model.backbone.type', 'ResNet_CIFAR')),
    'argument': (lambda v: v['model']['backbone'].update(dept=18), ('unknown-argument', 'model.backbone.dept', 'depth')),
    'lengths': (lambda v: v['runner'].update(max_iters=9), ('two-lengths', 'runner', None)),
    'other task': (lambda v: v['model']['head'].update(type='FCNHead'), ('unknown-component', 'model.head.type', None)),
    'loss': (lambda v: v['model']['head']['loss'].update(type='CrossEntropLoss'), ('unknown-component', 'model.head.loss.type', 'CrossEntropyLoss')),
    'norm': (lambda v: v['model']['backbone'].update(norm_cfg=dict(type='BNN')), ('unknown-component', 'model.backbone.norm_cfg.type', 'BN')),
    'transform': (lambda v: v['data']['train']['pipeline'][0].update(flip_probe=1), ('unknown-argument', 'data.train.pipeline.0.flip_probe', 'flip_prob')),
    'policy': (lambda v: v['lr_config'].update(policy='CosineAnealing'), ('unknown-component', 'lr_config.policy', 'CosineAnnealing')),
    'warmup': (lambda v: v['lr_config'].update(warmup='liner'), ('wrong-type', 'lr_config.warmup', 'linear')),
    'policy argument': (lambda v: v['lr_config'].update(warmup_iter=3), ('unknown-argument', 'lr_config.warmup_iter', 'warmup_iters')),
    'optimizer': (lambda v: v['optimizer'].update(weight_decy=1), ('unknown-argument', 'optimizer.weight_decy', 'weight_decay')),
    'paramwise': (lambda v: v['optimizer'].update(paramwise_cfg=dict(norm_decay_multi=0)), ('unknown-argument', 'optimizer.paramwise_cfg.norm_decay_multi', 'norm_decay_mult')),
    'runner': (lambda v: v['runner'].update(type='EpochRunner'), ('unknown-component', 'runner.type', 'EpochBasedRunner')),
    'hook': (lambda v: v['custom_hooks'].append(dict(type='CurveHook')), ('unknown-component', 'custom_hooks.2.type', 'CurvesHook')),
    'checkpoint': (lambda v: v['checkpoint_config'].update(max_keep_ckpt=1), ('unknown-argument', 'checkpoint_config.max_keep_ckpt', 'max_keep_ckpts')),
    'type': (lambda v: v['runner'].update(max_epochs='ten'), ('wrong-type', 'runner.max_epochs', None)),
    'bool': (lambda v: v.update(deterministic='yes'), ('wrong-type', 'deterministic', None)),
    'argument type': (lambda v: v['model']['head'].update(num_classes='10'), ('wrong-type', 'model.head.num_classes', None)),
    'missing': (lambda v: v['model']['head'].pop('num_classes'), ('missing-argument', 'model.head', None)),
    'no model': (lambda v: v.pop('model'), ('missing-field', 'model', None)),
    'classes': (lambda v: v['model']['head'].update(num_classes=9), ('class-count', 'model.head.num_classes', '10')),
    'file': (lambda v: v['data']['val'].update(data_prefix='no/where'), ('missing-file', 'data.val.data_prefix', None)),
    'generation': (lambda v: v.update(default_hooks={}), ('other-generation', 'default_hooks', None)),
    'import': (lambda v: v.update(custom_imports=dict(imports=['no_such_module'])), ('import-failed', 'custom_imports', None)),
}  # fmt: skip


@pytest.mark.parametrize('name', MISTAKES)
def test_every_mistake_is_found_with_its_place(values, name):
    change, expected = MISTAKES[name]
    change(values)
    assert expected in problems_of(values)
    assert all(code in CODES for code, _, _ in problems_of(values))


def test_all_mistakes_come_in_one_report(values):
    for name in ('field', 'argument', 'optimizer', 'transform'):
        MISTAKES[name][0](values)
    with pytest.raises(ConfigError) as caught:
        checked(config_of(values))
    assert len(caught.value.problems) == 4


def test_channels_are_checked_where_a_backbone_declares_them(values):
    values['model']['backbone'] = dict(type='ResNet', depth=50, out_indices=(3,))
    values['model']['head']['in_channels'] = 512
    assert ('channel-mismatch', 'model.head.in_channels', '2048') in problems_of(values)


def test_customary_variables_are_no_mistakes(values):
    values.update(
        norm_cfg=1, dataset_type='x', img_norm_cfg={}, my_pipeline=[], channel_cfg={}, base_lr=3, seeds_used=1
    )
    assert problems_of(values) == []


def test_fields_of_1x_files_do_nothing_in_a_0x_file(values):
    values.update(optim_wrapper={}, train_dataloader={})
    assert [(code, path) for code, path, _ in problems_of(values)] == [
        ('other-generation', 'optim_wrapper'), ('other-generation', 'train_dataloader'),
    ]  # fmt: skip


def test_weights_named_by_url_are_looked_up_locally(values, tmp_path, monkeypatch):
    monkeypatch.setenv('INTARSIA_HOME', str(tmp_path))
    values['load_from'] = 'https://example.org/weights/resnet_1a2b3c4d.pth'
    found = check(config_of(values))
    assert [p.code for p in found] == ['missing-file']
    assert str(tmp_path / 'checkpoints') in found[0].message
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'resnet_1a2b3c4d.pth').touch()
    assert check(config_of(values)) == []


def test_a_model_can_be_stripped_of_the_weights_it_names(values):
    kaiming = dict(type='Kaiming', layer='Conv2d')
    values['model'].update(pretrained='torchvision://resnet18')
    values['model']['backbone']['init_cfg'] = [dict(type='Pretrained', checkpoint='open-mmlab://x'), kaiming]
    assert {p.code for p in check(config_of(values))} == {'missing-file'}
    values['model'] = without_pretrained(values['model'])
    assert check(config_of(values)) == []
    assert values['model']['backbone']['init_cfg'] == [kaiming]
    single = dict(init_cfg=kaiming, part=dict(init_cfg=dict(type='Pretrained', checkpoint='x')))
    assert without_pretrained(single) == dict(init_cfg=kaiming, part=dict(init_cfg=None))


@pytest.mark.parametrize(
    ('value', 'annotation', 'expected'),
    [
        (1, 'int', True), (True, 'int', False), (1, 'float', True), ('a', 'int | str', True), (None, 'int | None', True),
        (None, 'int', False), ([1, 2], 'Sequence[int]', True), ((1, 'a'), 'Sequence[int]', False),
        ([1, 2], 'tuple[int, int]', True), ([1], 'tuple[int, int]', False), ((1, 2, 3), 'tuple[int, ...]', True),
        ('a', "Literal['a', 'b']", True), ('c', "Literal['a', 'b']", False), ({}, 'Mapping[str, Any]', True),
        (1, 'dict', False), ('x', 'Tensor', True), (1, None, True), ('ab', 'Sequence[str]', False),
    ],
)  # fmt: skip
def test_values_against_annotations(value, annotation, expected):
    assert fits(value, annotation) is expected
