"""``intarsia zoo check``: a folder of configs of both generations, good and bad ones."""

from __future__ import annotations

import json

from intarsia.api.models import build_model
from intarsia.api.zoo import TABLE, check_zoo, key_hash
from intarsia.cli.main import main

MODEL = """model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(3, ), style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes={classes}, in_channels=512,
              loss=dict(type='CrossEntropyLoss', loss_weight=1.0), topk=(1, 5)))
"""
DATA = "data = dict(train=dict(type='ImageNet', data_prefix='x', pipeline=[]))\n"


def write(root, name, text):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_files_are_read_checked_and_built_and_keys_are_compared(tmp_path, capsys):
    good = MODEL.format(classes=1000) + DATA
    write(tmp_path, 'configs/_base_/fragment.py', MODEL.format(classes=1000))
    write(tmp_path, 'configs/resnet/resnet18_8xb32_in1k.py', good)
    write(tmp_path, 'configs/resnet/mine.py', "_base_ = '../_base_/fragment.py'\n" + DATA)
    write(tmp_path, 'configs/resnet/other.py', good.replace('num_classes=1000', 'num_classes=7'))
    write(tmp_path, 'configs/x/missing.py', good.replace("'ResNet'", "'ResNuts'"))
    write(tmp_path, 'configs/x/typo.py', good.replace('num_classes', 'num_clases'))
    write(tmp_path, 'configs/x/broken.py', 'model = (')
    assert main(['zoo', 'check', str(tmp_path), '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    files = {each['config'].rpartition('/')[2]: each for each in found['files']}
    assert files.keys() == {'resnet18_8xb32_in1k.py', 'mine.py', 'other.py', 'missing.py', 'typo.py', 'broken.py'}
    good = files['resnet18_8xb32_in1k.py']
    assert good == {
        'config': 'configs/resnet/resnet18_8xb32_in1k.py', 'read': True, 'checked': True, 'built': True,
        'keys_equal': True, 'golden_equal': None, 'missing': [],
    }  # fmt: skip
    assert files['mine.py']['keys_equal'] is None
    assert files['mine.py']['built']
    assert files['missing.py']['missing'] == ['ResNuts']
    assert not files['missing.py']['built']
    assert not files['typo.py']['checked']
    assert not files['broken.py']['read']
    assert found['totals'] == {'files': 6, 'read': 5, 'checked': 2, 'built': 3, 'keys_equal': 1}
    assert found['unlocks'] == {'ResNuts': 1}


def test_other_keys_are_seen(tmp_path):
    write(tmp_path, 'resnet/resnet18_8xb32_in1k.py', MODEL.format(classes=7) + DATA)
    (report,) = check_zoo(tmp_path).files
    assert report.built
    assert report.keys_equal is False


def test_the_hash_is_that_of_sorted_keys_and_shapes():
    model = build_model(dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18)), init=False)
    assert len(key_hash(model)) == 40
    assert TABLE.stat().st_size < 80_000


def test_an_empty_folder(tmp_path, capsys):
    assert main(['zoo', 'check', str(tmp_path)]) == 1
    assert 'no config files below' in capsys.readouterr().err
