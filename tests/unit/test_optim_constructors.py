"""Groups of the constructors; the expected ones are those of mmaction2 0.24.1, mmseg 0.30, mmengine 0.10.7, mmpretrain 1.2."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from intarsia.core.registries import BACKBONES, OPTIMIZER_BUILDERS, OPTIMIZERS
from intarsia.optim.build import build_optimizer
from intarsia.optim.constructors.default import DefaultOptimizerConstructor

SGD = dict(type='SGD', lr=1.0, momentum=0.9, weight_decay=0.5)


class Recognizer(nn.Module):
    def __init__(self, last=None):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4))
        self.cls_head = nn.Sequential(nn.Linear(4, 4), last or nn.Linear(4, 2))


def named_groups(model, optimizer):
    names = {id(p): n for n, p in model.named_parameters()}
    return [([names[id(p)] for p in g['params']], g['lr'], g['weight_decay']) for g in optimizer.param_groups]


def by_name(model, optimizer):
    return {name: (lr, decay) for names, lr, decay in named_groups(model, optimizer) for name in names}


def tree(backbone, names):
    """A model whose parameters have these names and whose backbone is of a class called so."""
    model = nn.Module()
    model.backbone = type(backbone, (nn.Module,), {})()
    for name in names:
        module, *path = [model, *name.split('.')]
        for word in path[:-1]:
            if word not in dict(module.named_children()):
                module.add_module(word, nn.Module())
            module = getattr(module, word)
        module.register_parameter(path[-1], nn.Parameter(torch.zeros(2, 2)))
    return model


# ---------------------------------------------------------------------- TSM


def tsm(model, fc_lr5=True):
    cfg = dict(SGD, constructor='TSMOptimizerConstructor', paramwise_cfg=dict(fc_lr5=fc_lr5))
    return named_groups(model, build_optimizer(model, cfg))


def test_tsm_makes_seven_groups():
    assert tsm(Recognizer()) == [
        (['backbone.0.weight'], 1.0, 0.5),
        (['backbone.0.bias'], 2.0, 0.0),
        (['backbone.2.weight', 'cls_head.0.weight'], 1.0, 0.5),
        (['backbone.2.bias', 'cls_head.0.bias'], 2.0, 0.0),
        (['backbone.1.weight', 'backbone.1.bias', 'backbone.3.weight', 'backbone.3.bias'], 1.0, 0.0),
        (['cls_head.1.weight'], 5.0, 0.5),
        (['cls_head.1.bias'], 10.0, 0.0),
    ]


def test_tsm_keeps_empty_groups_and_leaves_frozen_norms_out():
    model = Recognizer()
    model.backbone[0] = nn.Conv2d(3, 4, 3, bias=False)
    model.backbone.requires_grad_(False)
    groups = tsm(model, fc_lr5=False)
    assert [len(names) for names, _, _ in groups] == [1, 0, 3, 3, 0, 0, 0]
    assert groups[2][0][-1] == 'cls_head.1.weight'


def test_tsm_refuses_what_it_has_no_rule_for():
    with pytest.raises(ValueError, match=r"'cls_head.1' is a LayerNorm with parameters of its own"):
        tsm(Recognizer(nn.LayerNorm(4)))
    with pytest.raises(ValueError, match=r"ends in 'cls_head.1', Linear\(.*bias=False"):
        tsm(Recognizer(nn.Linear(4, 2, bias=False)))
    with pytest.raises(ValueError, match='fc_lr5'):
        build_optimizer(Recognizer(), dict(SGD, constructor='TSMOptimizerConstructor'))


# ---------------------------------------------------------------------- layer decay


def decayed(model, rate=0.5, **options):
    cfg = dict(type='AdamW', lr=1.0, weight_decay=0.1, constructor='LearningRateDecayOptimizerConstructor')
    return build_optimizer(model, dict(cfg, paramwise_cfg=dict(decay_rate=rate, **options)))


CONVNEXT_NAMES = [
    'backbone.downsample_layers.0.0.weight', 'backbone.downsample_layers.1.1.weight',
    'backbone.downsample_layers.3.1.weight', 'backbone.stages.0.2.gamma', 'backbone.stages.1.0.gamma',
    'backbone.stages.2.0.gamma', 'backbone.stages.2.8.gamma', 'backbone.stages.3.0.gamma', 'backbone.norm3.weight',
    'decode_head.weight',
]  # fmt: skip


@pytest.mark.parametrize(
    ('decay_type', 'depths'),
    [('layer_wise', [0, 2, 6, 1, 2, 3, 5, 6, 7, 7]), ('stage_wise', [0, 0, 0, 1, 2, 3, 3, 4, 7, 7])],
)
def test_depths_of_convnext(decay_type, depths):
    model = tree('ConvNeXt', CONVNEXT_NAMES)
    got = by_name(model, decayed(model, num_layers=6, decay_type=decay_type))
    assert [got[name][0] for name in CONVNEXT_NAMES] == [0.5 ** (7 - depth) for depth in depths]


@pytest.mark.parametrize('kind', ['BEiT', 'MAE', 'VisionTransformer'])
def test_depths_of_transformers(kind):
    names = [
        'cls_token',
        'pos_embed',
        'patch_embed.projection.weight',
        'layers.0.ln1.weight',
        'layers.11.gamma',
        'norm',
    ]
    names = [*(f'backbone.{name}' for name in names), 'decode_head.weight']
    model = tree(kind, names)
    got = by_name(model, decayed(model, num_layers=12))
    assert [got[name][0] for name in names] == [0.5 ** (13 - depth) for depth in (0, 0, 0, 1, 12, 13, 13)]


def test_decayed_groups_share_a_layer_and_a_weight_decay():
    model = nn.Module()
    model.backbone = BACKBONES.build(dict(type='VisionTransformer', arch='deit-t', frozen_stages=1))
    optimizer = decayed(model, 0.9, num_layers=12, no_decay=['pos_embed'])
    names = [g['group_name'] for g in optimizer.param_groups]
    assert names[:3] == ['layer_2_no_decay', 'layer_2_decay', 'layer_3_no_decay'], 'frozen ones are left out'
    assert len(names) == len(set(names)) == 11 * 2 + 1
    got = by_name(model, optimizer)
    assert got['backbone.layers.3.attn.qkv.weight'] == (0.9**9, 0.1)
    assert got['backbone.layers.3.attn.qkv.bias'] == (0.9**9, 0.0)
    assert 'backbone.pos_embed' not in got


def test_other_backbones_say_their_depths_themselves():
    model = nn.Module()
    model.backbone = BACKBONES.build(dict(type='SwinTransformer', arch='tiny'))
    model.head = nn.Linear(2, 2)
    got = by_name(model, decayed(model))
    assert got['backbone.patch_embed.projection.weight'] == (0.5**13, 0.1)
    assert got['backbone.stages.3.blocks.1.ffn.layers.1.weight'] == (0.5, 0.1)
    assert got['head.weight'] == (1.0, 0.1)
    with pytest.raises(ValueError, match='needs num_layers=12 for this model, not 6'):
        decayed(model, num_layers=6)
    with pytest.raises(ValueError, match='ResNet has no get_layer_depth'):
        decayed(tree('ResNet', ['backbone.conv1.weight']))
    with pytest.raises(ValueError, match=r'num_layers=6, but backbone.layers.9.w has depth 10'):
        decayed(tree('BEiT', ['backbone.layers.9.w']), num_layers=6)


def test_the_older_name_of_layer_decay():
    model = tree('BEiT', ['backbone.layers.0.w'])
    cfg = dict(type='AdamW', lr=1.0, weight_decay=0.1, constructor='LayerDecayOptimizerConstructor')
    optimizer = build_optimizer(model, dict(cfg, paramwise_cfg=dict(num_layers=12, layer_decay_rate=0.5)))
    assert optimizer.param_groups[0]['lr'] == optimizer.param_groups[0]['lr_scale'] == 0.5**12
    with pytest.raises(ValueError, match='LayerDecayOptimizerConstructor needs layer_decay_rate'):
        build_optimizer(model, dict(cfg, paramwise_cfg=dict(num_layers=12, decay_rate=0.5)))


def test_depth_and_factors_together():
    model = nn.Module()
    model.backbone = BACKBONES.build(dict(type='VisionTransformer', arch='deit-t'))
    paramwise = dict(
        layer_decay_rate=0.5,
        norm_decay_mult=0.0,
        flat_decay_mult=0.25,
        custom_keys={'.cls_token': dict(decay_mult=2.0)},
    )
    cfg = dict(type='AdamW', lr=1.0, weight_decay=0.1, constructor='LearningRateDecayOptimWrapperConstructor')
    optimizer = build_optimizer(model, dict(cfg, paramwise_cfg=paramwise))
    got = by_name(model, optimizer)
    assert got['backbone.cls_token'] == (0.5**13, 0.2)
    assert got['backbone.layers.2.ln1.bias'] == (0.5**10, 0.0)
    assert got['backbone.layers.2.attn.qkv.bias'] == (0.5**10, 0.025)
    assert {g['layer_id'] for g in optimizer.param_groups} == set(range(14))


# ---------------------------------------------------------------------- options for the 1.x rule


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.dw, self.fc = nn.LayerNorm(4), nn.Conv2d(4, 4, 3, groups=4), nn.Linear(4, 4)
        self.gamma = nn.Parameter(torch.zeros(4))


def factors(**paramwise):
    model = Mixed()
    cfg = dict(type='SGD', lr=1.0, weight_decay=1.0, paramwise_cfg=paramwise)
    return {name: decay for name, (_, decay) in by_name(model, build_optimizer(model, cfg)).items()}


def test_where_the_decay_of_biases_goes():
    options = dict(bias_decay_mult=0.5, dwconv_decay_mult=0.25)
    old, new = factors(**options), factors(**options, bias_decay_everywhere=True)
    assert (old['fc.bias'], old['norm.bias'], old['dw.bias'], old['dw.weight']) == (0.5, 1.0, 0.25, 0.25)
    assert (new['fc.bias'], new['norm.bias'], new['dw.bias'], new['dw.weight']) == (0.5, 0.5, 0.5, 0.25)
    assert factors(**options, norm_decay_mult=0.0, bias_decay_everywhere=True)['norm.bias'] == 0.0


def test_the_decay_of_flat_parameters():
    got = factors(flat_decay_mult=0.0, bias_decay_mult=0.5)
    assert (got['gamma'], got['fc.bias'], got['norm.weight'], got['fc.weight']) == (0.0, 0.5, 0.0, 1.0)


def test_frozen_parameters_may_be_left_out():
    model = Mixed()
    model.fc.requires_grad_(False)
    optimizer = build_optimizer(model, dict(SGD, paramwise_cfg=dict(skip_frozen=True)))
    assert sorted(by_name(model, optimizer)) == ['dw.bias', 'dw.weight', 'gamma', 'norm.bias', 'norm.weight']


def test_further_entries_of_custom_keys_become_options():
    model = Mixed()
    keys = {'norm': dict(decay_mult=0.0, lars_exclude=True), 'fc': dict(momentum=0.5)}
    cfg = dict(type='LARS', lr=1.0, momentum=0.9, weight_decay=0.5, paramwise_cfg=dict(custom_keys=keys))
    groups = {id(g['params'][0]): g for g in build_optimizer(model, cfg).param_groups}
    assert groups[id(model.norm.weight)]['lars_exclude'] is True
    assert (groups[id(model.fc.weight)]['momentum'], groups[id(model.gamma)]['momentum']) == (0.5, 0.9)


def test_keys_may_be_combined_or_overruled():
    keys = {'norm': dict(decay_mult=0.5), 'norm.bias': dict(decay_mult=0.5)}
    assert factors(custom_keys=keys)['norm.bias'] == 0.5
    assert factors(custom_keys=keys, combine_custom_keys=True)['norm.bias'] == 0.25
    assert factors(custom_keys=keys, norm_decay_mult=0.0, force_default_settings=True)['norm.bias'] == 0.0


@pytest.mark.parametrize(
    ('cfg', 'text'),
    [
        (dict(type='Adam', paramwise_cfg=dict(bias_lr_mult=2.0)), 'needs lr in the optimizer'),
        (dict(SGD, paramwise_cfg=dict(custom_keys={'a': dict(lr_mul=2.0)})), "has 'lr_mul'. Did you mean 'lr_mult'"),
    ],
)
def test_factors_that_would_change_nothing_are_refused(cfg, text):
    with pytest.raises(ValueError, match=text):
        build_optimizer(Mixed(), cfg)


# ---------------------------------------------------------------------- several optimizers, and the user's own


def test_one_optimizer_for_each_part():
    model = Recognizer()
    cfg = dict(
        backbone=dict(type='SGD', lr=0.1, weight_decay=0.1, paramwise_cfg=dict(norm_decay_mult=0.0)),
        cls_head=dict(type='Adam', lr=0.2),
    )
    made = build_optimizer(model, cfg)
    assert list(made) == ['backbone', 'cls_head']
    assert isinstance(made['cls_head'], torch.optim.Adam)
    assert by_name(model, made['backbone'])['backbone.1.bias'] == (0.1, 0.0)
    with pytest.raises(ValueError, match="Recognizer has no part 'head'. Did you mean 'cls_head'"):
        build_optimizer(model, dict(head=dict(type='SGD', lr=0.1)))


def test_an_optimizer_with_its_own_arguments():
    @OPTIMIZERS.register_module()
    class MyOptimizerOfThree(torch.optim.Optimizer):
        def __init__(self, parameters, a, b, c):
            super().__init__(parameters, dict(a=a, b=b, c=c))

    assert build_optimizer(Mixed(), dict(type='MyOptimizerOfThree', a=1, b=2, c=3)).defaults == dict(a=1, b=2, c=3)


def test_an_optimizer_that_takes_no_parameters_is_explained():
    @OPTIMIZERS.register_module()
    class MyOptimizerOfNothing(torch.optim.Optimizer):
        def __init__(self, a, b, c):
            pass

    with pytest.raises(TypeError, match="MyOptimizerOfNothing gets no parameters: .* must be 'params'"):
        build_optimizer(Mixed(), dict(type='MyOptimizerOfNothing', a=1, b=2, c=3))


def test_a_constructor_that_is_a_plain_class():
    @OPTIMIZER_BUILDERS.register_module()
    class PlainConstructor(object):  # noqa: UP004
        def __init__(self, optimizer_cfg, paramwise_cfg=None):
            self.optimizer_cfg = optimizer_cfg

        def __call__(self, model):
            return OPTIMIZERS.build(self.optimizer_cfg, params=model.parameters())

    made = build_optimizer(Mixed(), dict(type='Adam', lr=0.1, constructor='PlainConstructor'))
    assert made.param_groups[0]['lr'] == 0.1


def test_an_empty_subclass_says_what_it_does_not_read(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger('intarsia'), 'propagate', True)

    @OPTIMIZER_BUILDERS.register_module()
    class EmptyConstructor(DefaultOptimizerConstructor):
        pass

    with caplog.at_level('WARNING', 'intarsia'):
        cfg = dict(SGD, constructor='EmptyConstructor', paramwise_cfg=dict(fc_lr5=True))
        assert len(build_optimizer(Mixed(), cfg).param_groups) == 7
    assert "'fc_lr5', which EmptyConstructor does not read" in caplog.text


def test_a_two_argument_add_params_keeps_full_names():
    @OPTIMIZER_BUILDERS.register_module()
    class TwoArgumentConstructor(DefaultOptimizerConstructor):
        def add_params(self, params, module):
            super().add_params(params, module)

    model = Recognizer()
    keys = {'cls_head.1': dict(lr_mult=5.0)}
    cfg = dict(SGD, constructor='TwoArgumentConstructor', paramwise_cfg=dict(custom_keys=keys))
    got = by_name(model, build_optimizer(model, cfg))
    assert (got['cls_head.1.weight'][0], got['backbone.1.weight'][0]) == (5.0, 1.0)
