import math

import pytest
import torch
from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.nn.init import bias_init_with_prob, initialize
from intarsia.nn.module import BaseModule, ModuleList, Sequential


def small_net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def is_constant(tensor, value):
    return torch.equal(tensor, torch.full_like(tensor, value))


def test_layer_names_and_their_bases():
    net = small_net()
    linear = net[2].weight.clone()
    initialize(net, [
        {'type': 'Constant', 'val': 2, 'bias': 1, 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 3, 'layer': ['_BatchNorm', 'GroupNorm']},
    ])  # fmt: skip
    assert is_constant(net[0].weight, 2)
    assert is_constant(net[0].bias, 1)
    assert is_constant(net[1].weight, 3)
    assert torch.equal(net[2].weight, linear)


@pytest.mark.parametrize(
    ('cfg', 'std'),
    [
        ({'type': 'Normal', 'std': 0.3}, 0.3),
        ({'type': 'TruncNormal', 'std': 0.02}, 0.02),
        ({'type': 'Uniform', 'a': -1, 'b': 1}, 1 / math.sqrt(3)),
        ({'type': 'Xavier'}, math.sqrt(2 / 300)),
        ({'type': 'Xavier', 'distribution': 'uniform', 'gain': 2}, 2 * math.sqrt(2 / 300)),
        ({'type': 'Kaiming'}, math.sqrt(2 / 200)),
        ({'type': 'Kaiming', 'mode': 'fan_in', 'distribution': 'uniform'}, math.sqrt(2 / 100)),
        ({'type': 'Caffe2Xavier'}, math.sqrt(1 / 100)),
    ],
)
def test_spread_of_the_weights(cfg, std):
    torch.manual_seed(0)
    layer = nn.Linear(100, 200)
    initialize(Sequential(layer), {'layer': 'Linear', **cfg})
    assert layer.weight.std().item() == pytest.approx(std, rel=0.03)
    assert is_constant(layer.bias, 0)


def test_truncation_is_by_value():
    layer = nn.Linear(100, 100)
    initialize(layer, {'type': 'TruncNormal', 'std': 1, 'a': -0.5, 'b': 0.25, 'layer': 'Linear'})
    assert -0.5 <= layer.weight.min() < -0.4
    assert 0.2 < layer.weight.max() <= 0.25


def test_bias_from_a_probability():
    layer = nn.Linear(2, 2)
    initialize(layer, {'type': 'Normal', 'layer': 'Linear', 'bias_prob': 0.01})
    assert layer.bias.sigmoid().tolist() == pytest.approx([0.01, 0.01])
    assert bias_init_with_prob(0.5) == 0


class TwoHeads(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.reg, self.cls = nn.Linear(2, 2), nn.Linear(2, 2)


def test_override_wins_and_may_repeat_the_rule():
    net = TwoHeads({
        'type': 'Constant', 'val': 1, 'layer': 'Linear',
        'override': {'type': 'Constant', 'name': 'reg', 'val': 5, 'bias': 7},
    })  # fmt: skip
    net.init_weights()
    assert is_constant(net.reg.weight, 5)
    assert is_constant(net.reg.bias, 7)
    assert is_constant(net.cls.weight, 1)
    only = TwoHeads({'type': 'Constant', 'val': 4, 'override': {'name': 'cls'}})
    reg = only.reg.weight.clone()
    only.init_weights()
    assert is_constant(only.cls.weight, 4)
    assert torch.equal(only.reg.weight, reg)


@pytest.mark.parametrize(
    ('override', 'words'), [({'name': 'mask'}, r'reg, cls.*mask'), ({'name': 'reg', 'val': 3}, "own 'type'")]
)
def test_override_must_make_sense(override, words):
    with pytest.raises(ValueError, match=words):
        initialize(TwoHeads(), {'type': 'Constant', 'val': 1, 'override': override})


def test_a_typo_in_a_rule_is_named():
    with pytest.raises(TypeError, match="Did you mean 'std'"):
        initialize(small_net(), {'type': 'Normal', 'sdt': 1, 'layer': 'Linear'})


def test_children_have_the_later_word_and_a_second_call_does_nothing():
    child = Sequential(nn.Linear(2, 2), init_cfg={'type': 'Constant', 'val': 2, 'layer': 'Linear'})
    net = ModuleList(
        [nn.Linear(2, 2), nn.Sequential(child)], init_cfg={'type': 'Constant', 'val': 1, 'layer': 'Linear'}
    )
    net.init_weights()
    assert is_constant(net[0].weight, 1)
    assert is_constant(child[0].weight, 2)
    nn.init.constant_(net[0].weight, 9)
    net.init_weights()
    assert is_constant(net[0].weight, 9)


def test_a_plain_child_with_the_old_signature_is_called():
    class Old(nn.Module):
        def init_weights(self, pretrained=None):
            self.called_with = pretrained

    net = Sequential(Old())
    net.init_weights()
    assert net[0].called_with is None


def test_config_is_copied():
    cfg = {'type': 'Constant', 'val': 1, 'layer': 'Linear', 'override': {'name': 'reg'}}
    net = TwoHeads(cfg)
    net.init_weights()
    assert cfg == {'type': 'Constant', 'val': 1, 'layer': 'Linear', 'override': {'name': 'reg'}}
    assert net.init_cfg is not cfg


class Special(BaseModule):
    default_init = ({'type': 'Constant', 'val': 1, 'layer': 'Linear'},)

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.fc = nn.Linear(2, 2)
        self.calls = []

    def init_own_weights(self):
        self.calls.append('own')


def test_class_default_and_how_to_switch_it_off():
    net, off = Special(), Special(init_cfg=[])
    before = off.fc.weight.clone()
    net.init_weights()
    off.init_weights()
    assert net.init_cfg is None
    assert is_constant(net.fc.weight, 1)
    assert torch.equal(off.fc.weight, before)
    assert net.calls == ['own']


def test_pretrained_is_the_last_word(tmp_path):
    file = tmp_path / 'weights.pth'
    torch.save({'state_dict': {'fc.weight': torch.full((2, 2), 8.0), 'head.weight': torch.zeros(1)}}, file)
    alone = Special({'type': 'Pretrained', 'checkpoint': str(file)})
    alone.init_weights()
    assert is_constant(alone.fc.weight, 8)
    assert alone.calls == []
    among = Special(
        [{'type': 'Pretrained', 'checkpoint': str(file)}, {'type': 'Constant', 'val': 1, 'layer': 'Linear'}]
    )
    among.init_weights()
    assert is_constant(among.fc.weight, 8)
    assert is_constant(among.fc.bias, 0)
    assert among.calls == ['own']


def test_pretrained_with_prefix(tmp_path):
    file = tmp_path / 'weights.pth'
    state = {'backbone.fc.weight': torch.ones(2, 2), 'backbone.fc.bias': torch.ones(2)}
    torch.save({'state_dict': state}, file)
    net = Special({'type': 'Pretrained', 'checkpoint': str(file), 'prefix': 'backbone'})
    net.init_weights()
    assert is_constant(net.fc.bias, 1)
    with pytest.raises(CheckpointError, match=r"none of its 2 entries fits.*'neck\.'"):
        Special({'type': 'Pretrained', 'checkpoint': str(file), 'prefix': 'neck.'}).init_weights()
