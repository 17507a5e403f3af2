"""Projects written for the older toolboxes train and test without a change."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e import commands

PROJECTS = Path(__file__).resolve().parents[1] / 'projects'
METRICS = {
    'mmseg_0x': {'mIoU', 'aAcc'},
    'mmseg_1x': {'mIoU', 'own/pix'},
    'mmseg_0x_adaptation': {'mIoU', 'aAcc'},
    'mmcls_0x': {'own_acc', 'accuracy_top-1'},
    'mmcls_1x': {'accuracy/top1', 'mine/hit', 'mine/n'},
    'mmpose_0x': {'AP', 'AR'},
    'mmpose_1x': {'PCK', 'own/dist'},
    'mmaction_1x': {'acc/top1', 'own/top1'},
}


def train(project, config, tmp_path):
    command = f'intarsia train {PROJECTS / project / config} --seed 0 --work-dir {tmp_path}'
    output, code = commands.run(command.split(), PROJECTS / project)
    assert code == 0, output
    return output


@pytest.mark.parametrize('project', METRICS)
def test_training_and_testing(project, tmp_path):
    train(project, 'cfg.py', tmp_path)
    command = f'intarsia test {PROJECTS / project / "cfg.py"} {tmp_path / "latest.pth"} --json'
    output, code = commands.run(command.split(), PROJECTS / project)
    assert code == 0, output
    metrics = json.loads(output[output.index('{') :])['metrics']
    assert METRICS[project] <= metrics.keys()


def test_own_metrics_of_a_project_are_those_of_the_package(tmp_path):
    records = train('mmaction_1x', 'cfg.py', tmp_path)
    own, ours = (float(re.search(rf'{name}: ([\d.]+)', records)[1]) for name in ('own/top1', 'acc/top1'))
    assert own == ours


def test_what_a_project_brings_replaces_what_is_here(tmp_path):
    output = train('mmaction_0x', 'cfg.py', tmp_path)
    for name in ("'ResNet' of MODELS", "'TSNHead' of MODELS", "'RelativeStepLrUpdaterHook' of HOOKS"):
        assert f'{name} is yours' in output
    assert 'lr: 1.000e-01' in output, 'the rate of the own schedule'


def test_a_plain_module_as_head_with_the_loss_beside_it(tmp_path):
    assert 'loss_keypoint' in train('mmpose_0x', 'cfg_plain.py', tmp_path)


def test_a_model_of_its_own_and_a_constructor_of_groups(tmp_path):
    output = train('mmengine_1x', 'cfg.py', tmp_path)
    assert re.search(r'0\.05 +0 +2 +15 +fc', output), 'the group with half the rate'
    assert 'accuracy/top1' in output


def test_hooks_of_both_generations_are_called(tmp_path):
    assert 'MyHook says 1 6' in train('mmseg_0x', 'cfg.py', tmp_path / 'first')
    second = train('mmcls_1x', 'cfg.py', tmp_path / 'second')
    assert 'iter 2 outputs' in second
    assert "metrics {'mine/hit'" in second
