"""Config files in the lazy style: bases are imported, types are classes. Expected values are mmengine 0.10.7's."""

from __future__ import annotations

import json
import sys

import pytest

from intarsia.cli.main import main
from intarsia.config.file import load_config
from intarsia.config.lazy import ObjectName
from intarsia.core.errors import ConfigError

MODEL = """
from mmpretrain.models import LinearClsHead, ResNet
from torch.optim import SGD
import torch.nn as nn
import mmengine.hooks
num = 10
model = dict(type='ImageClassifier', backbone=dict(type=ResNet, depth=18, act_cfg=dict(type=nn.GELU)),
             head=dict(type=LinearClsHead, num_classes=num, topk=(1, 5)))
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1))
pipe = [dict(type='A'), dict(type='B')]
loader = dict(dataset=dict(pipeline=pipe))
hook = dict(type=mmengine.hooks.EMAHook)
_private = 3
"""
CHILD = """
from mmengine.config import read_base
with read_base():
    from ._base_.model import *
from mmpretrain.models.backbones import ViT
model.update(dict(backbone=dict(type=ViT, depth=50), head=dict(topk=(1,))))
model.head.num_classes = num * 2
model.merge(dict(head=dict(_delete_=True, type='X')))
pipe.append(dict(type='C'))
optim_wrapper.optimizer.lr = 0.5
cfgs = [dict(a=i) for i in range(3)]
"""
GRANDCHILD = """
from mmengine.config import read_base
with read_base():
    from .child import model, loader as other_loader
lr = 0.1
optim = dict(lr=lr)
"""
MERGED_MODEL = {
    'type': 'ImageClassifier',
    'backbone': {'type': 'mmpretrain.models.backbones.ViT', 'depth': 50, 'act_cfg': {'type': 'torch.nn.GELU'}},
    'head': {'type': 'X'},
}
LOADER = {'dataset': {'pipeline': [{'type': 'A'}, {'type': 'B'}]}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / '_base_').mkdir()
    (tmp_path / '_base_' / 'model.py').write_text(MODEL)
    (tmp_path / 'child.py').write_text(CHILD)
    (tmp_path / 'grand.py').write_text(GRANDCHILD)
    return tmp_path


def test_a_base_is_imported_changed_and_merged(folder):
    assert load_config(folder / 'child.py').values == {
        'num': 10,
        'model': MERGED_MODEL,
        'optim_wrapper': {'optimizer': {'type': 'torch.optim.SGD', 'lr': 0.5}},
        'pipe': [{'type': 'A'}, {'type': 'B'}, {'type': 'C'}],
        'loader': LOADER,
        'hook': {'type': 'mmengine.hooks.EMAHook'},
        '_private': 3,
        'cfgs': [{'a': 0}, {'a': 1}, {'a': 2}],
    }


def test_single_names_of_a_base_may_be_taken_under_other_names(folder):
    found = load_config(folder / 'grand.py')
    assert found.values == {'model': MERGED_MODEL, 'other_loader': LOADER, 'lr': 0.1, 'optim': {'lr': 0.1}}
    origin = found.origins.find('other_loader.dataset')
    assert origin.file.endswith('model.py')
    assert origin.line == 11
    assert 'num = 10' in found.text


def test_reading_imports_nothing(folder, capsys):
    before = set(sys.modules)
    assert main(['config', 'show', str(folder / 'child.py'), '--raw', '--json']) == 0
    assert not {name for name in set(sys.modules) - before if name.startswith(('torch', 'mm'))}
    assert json.loads(capsys.readouterr().out)['model'] == MERGED_MODEL


def test_what_a_file_calls_is_imported(tmp_path):
    (tmp_path / 'a.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    pass\n'
        'from numpy import prod\nsize = int(prod((2, 3)))\n'
    )
    with pytest.raises(ConfigError, match=r'a\.py:3: with read_base'):
        load_config(tmp_path / 'a.py')
    (tmp_path / 'a.py').write_text(
        'from numpy import prod, float32\nsize = int(prod((2, 3)))\na = dict(type=float32)\n'
    )
    assert load_config(tmp_path / 'a.py').values == {'size': 6, 'a': {'type': 'numpy.float32'}}


def test_an_object_name_finds_its_object():
    assert ObjectName('collections.abc').Mapping.resolve().__name__ == 'Mapping'
    with pytest.raises(ImportError, match='no module'):
        ObjectName('nowhere.to.be.found').resolve()
    with pytest.raises(ImportError, match='has no Map'):
        ObjectName('collections.abc.Map').resolve()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('from .missing import *', r'a\.py:3?.*does not exist|missing\.py: the config file does not exist'),
        ('from ._base_.model import modle', r"a\.py:3: .*model\.py has no 'modle'"),
        ('from nopackage.configs.x import *', r'a\.py:3: there is no config file x\.py of nopackage'),
    ],
)
def test_a_base_that_is_not_there(folder, text, message):
    (folder / 'a.py').write_text(f'from mmengine.config import read_base\nwith read_base():\n    {text}\n')
    with pytest.raises(ConfigError, match=message):
        load_config(folder / 'a.py')


def test_files_that_only_import_are_not_lazy(tmp_path):
    (tmp_path / 'a.py').write_text('import math\nfrom numpy import pi\nx = round(math.pi - pi, 3)\n')
    assert load_config(tmp_path / 'a.py').values['x'] == 0.0
