"""The table of parameter groups says what is trained how, and why."""

from __future__ import annotations

import torch
from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.optim.build import build_optimizer
from intarsia.optim.groups import abbreviate, describe_groups

SGD = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)


def network(backbone, channels):
    model = nn.Module()
    model.backbone = BACKBONES.build(backbone)
    model.head = nn.Linear(channels, 1000)
    return model


def rows(model, cfg):
    """Cells of the table, by splitting where two spaces are."""
    lines = describe_groups(model, build_optimizer(model, cfg)).splitlines()
    return [[cell.strip() for cell in line.split('  ') if cell.strip()] for line in lines]


def test_resnet_without_options_is_one_row():
    assert rows(network(dict(type='ResNet', depth=50), 2048), SGD) == [
        ['lr', 'weight decay', 'parameters', 'elements', 'names'],
        ['0.1', '0.0001', '161', '25,557,032', 'all'],
    ]


def test_resnet_without_decay_of_norms():
    got = rows(network(dict(type='ResNet', depth=50), 2048), dict(SGD, paramwise_cfg=dict(norm_decay_mult=0)))
    assert got[1][:4] == ['0.1', '0.0001', '55', '25,503,912']
    assert got[2] == [
        '0.1', '0', '106', '53,120', 'norm_decay_mult',
        'backbone: bn1, layer{1-4}.0.downsample.1, layer{1-4}.{0-5}.bn{1-3}',
    ]  # fmt: skip
    assert len(got) == 3


def test_transformer_with_custom_keys():
    keys = {'.cls_token': dict(decay_mult=0), '.pos_embed': dict(decay_mult=0)}
    cfg = dict(type='AdamW', lr=1e-3, weight_decay=0.05, paramwise_cfg=dict(norm_decay_mult=0, custom_keys=keys))
    got = rows(network(dict(type='VisionTransformer', arch='deit-t'), 192), cfg)
    assert [row[4:] for row in got[1:3]] == [
        ["custom_keys['.cls_token']", 'backbone.cls_token'],
        ["custom_keys['.pos_embed']", 'backbone.pos_embed'],
    ]
    assert got[4][4:] == ['norm_decay_mult', 'backbone: layers.{0-11}.ln{1-2}, ln1']
    assert len(got) == 5


def test_tsm():
    cfg = dict(SGD, constructor='TSMOptimizerConstructor', paramwise_cfg=dict(fc_lr5=True))
    got = rows(network(dict(type='ResNet', depth=18), 512), cfg)
    assert [row[4:] for row in got[1:]] == [
        ['first convolution', 'backbone.conv1'],
        ['backbone: layer{1-4}.{0-1}.conv{1-2}, layer{2-4}.0.downsample.0'],
        ['norm: no decay', 'backbone: bn1, layer{1-4}.{0-1}.bn{1-2}, layer{2-4}.0.downsample.1'],
        ['fc_lr5: 5 x lr', 'head.weight'],
        ['fc_lr5: 10 x lr, no decay', 'head.bias'],
    ]


def test_frozen_and_forgotten_parameters_are_named():
    model = network(dict(type='ResNet', depth=18, frozen_stages=1), 512)
    assert rows(model, SGD)[1][4:] == ['frozen', 'backbone: conv1, bn1, layer1']
    forgotten = torch.optim.SGD(model.head.parameters(), lr=0.1)
    lines = describe_groups(model, forgotten).splitlines()
    assert lines[2].endswith('left out, frozen  backbone: conv1, bn1, layer1')
    sizes = [
        p.numel()
        for n, p in model.named_parameters()
        if n[:15] in ('backbone.layer2', 'backbone.layer3', 'backbone.layer4')
    ]
    assert lines[3].split()[:2] == [str(len(sizes)), f'{sum(sizes):,}']
    assert lines[3].endswith('left out          backbone.layer{2-4}')


def test_options_that_differ_get_a_column():
    keys = {'bn': dict(lars_exclude=True)}
    model = nn.Sequential()
    model.fc, model.bn = nn.Linear(2, 2), nn.BatchNorm1d(2)
    got = rows(model, dict(type='LARS', lr=0.1, paramwise_cfg=dict(custom_keys=keys)))
    assert got[0][2] == 'lars_exclude'
    assert got[2][2] == 'True'


def test_several_optimizers_share_a_table():
    model = network(dict(type='ResNet', depth=18), 512)
    got = rows(model, dict(backbone=SGD, head=dict(type='Adam', lr=1e-3)))
    assert [row[0] for row in got] == ['optimizer', 'backbone', 'head']


def test_an_optimizer_of_another_kind_is_no_obstacle():
    assert describe_groups(nn.Linear(2, 2), object()) == 'unknown: object has no param_groups'


def test_the_state_of_the_optimizer_holds_no_reasons():
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(model, dict(SGD, paramwise_cfg=dict(bias_lr_mult=2.0)))
    assert optimizer.group_reasons[model.bias] == 'bias_lr_mult'
    assert optimizer.state_dict()['param_groups'][1].keys() == torch.optim.SGD([model.bias]).param_groups[0].keys()


def test_names_are_abbreviated():
    everything = ['a.0.w', 'a.0.b', 'a.1.w', 'a.1.b', 'a.3.w', 'a.3.b', 'c']
    assert abbreviate(everything, everything) == ['all']
    assert abbreviate(everything[:6], everything) == ['a']
    assert abbreviate(['a.0.w', 'a.0.b', 'a.1.w'], everything) == ['a.0', 'a.1.w']
    assert abbreviate(['a.0.w', 'a.1.w', 'a.3.w', 'c'], everything) == ['a.{0,1,3}.w', 'c']
