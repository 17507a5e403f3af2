"""``intarsia plot schedule``."""

from __future__ import annotations

import json

import pytest

from intarsia.cli.chart import draw_chart
from intarsia.cli.main import main

RECIPE = 'intarsia::classification/resnet_cifar_fashion_mnist.py'
SCHEDULES = """
optimizer = dict(type='AdamW', lr=0.1, betas=(0.8, 0.999), weight_decay=0.05,
                 paramwise_cfg=dict(norm_decay_mult=0.0))
lr_config = dict(policy='exp', gamma=0.5, warmup='linear', warmup_iters=2, warmup_ratio=0.5)
runner = dict(type='EpochBasedRunner', max_epochs=3)
"""


@pytest.fixture
def config(tmp_path):
    def write(text):
        file = tmp_path / 'config.py'
        file.write_text(SCHEDULES + text)
        return str(file)

    return write


def plot(*args):
    return main(['plot', 'schedule', *args])


def test_json_has_every_iteration_and_needs_neither_model_nor_data(config, capsys):
    assert plot(config(''), '--epoch-length', '4', '--json') == 0
    assert json.loads(capsys.readouterr().out) == {
        'iters': list(range(12)),
        'lr': [0.05, 0.07500000000000001] + [0.1] * 2 + [0.05] * 4 + [0.025] * 4,
        'momentum': [0.8] * 12,
        'weight_decay': [0.05] * 12,
    }


def test_without_a_length_the_data_set_says_it(capsys):
    assert plot(RECIPE, '--json') == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document['iters']) == 1880
    assert document['lr'][0] < max(document['lr']) > document['lr'][-1]


def test_a_run_of_iterations_needs_no_length(config, capsys):
    text = "runner = dict(type='IterBasedRunner', max_iters=5)\nlr_config = dict(policy='exp', gamma=0.5)\n"
    assert plot(config(text), '--json', '--epoch-length', '2') == 0
    assert json.loads(capsys.readouterr().out)['lr'] == [0.1, 0.05, 0.025, 0.0125, 0.00625]


def test_the_chart_says_what_stays_and_what_follows_a_metric(config, capsys):
    text = (
        "lr_config = [dict(policy='Exp', gamma=0.5), dict(policy='ReduceOnPlateau', monitor='acc', rule='greater')]\n"
    )
    assert plot(config(text), '--epoch-length', '4') == 0
    out = capsys.readouterr().out
    assert 'learning rate\n' in out
    assert '0.1 ┤' in out
    assert 'momentum: 0.8 throughout' in out
    assert 'weight decay' not in out
    assert 'ReduceOnPlateau follows acc, drawn as constant' in out


@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_pictures(config, tmp_path, suffix):
    pytest.importorskip('matplotlib')
    text = "weight_decay_config = [dict(policy='CosineAnnealing', min_value=0.4)]\n"
    file = tmp_path / f'schedule.{suffix}'
    assert plot(config(text), '--epoch-length', '4', '--out', str(file)) == 0
    assert file.read_bytes().startswith(b'\x89PNG' if suffix == 'png' else b'<?xml')


def test_an_updater_of_the_users_own(config, tmp_path, capsys):
    (tmp_path / 'my_updater_of_plot.py').write_text(
        'from intarsia.core.registries import HOOKS\n'
        'from intarsia.engine.hooks.lr_updater import LrUpdaterHook\n'
        '@HOOKS.register_module()\n'
        'class MyPlottedLrUpdaterHook(LrUpdaterHook):\n'
        '    def __init__(self, runner, factor, **kwargs):\n'
        '        super().__init__(**kwargs)\n'
        '        self.factor = factor\n'
        '    def get_lr(self, runner, base_lr):\n'
        '        return self.factor * runner.epoch\n'
    )
    text = "custom_imports = dict(imports=['my_updater_of_plot'])\nlr_config = dict(policy='MyPlotted', factor=2)\n"
    assert plot(config(text), '--epoch-length', '1', '--json') == 0
    assert json.loads(capsys.readouterr().out)['lr'] == [0, 2, 4]


def test_several_optimizers_and_rates_for_every_group(config, capsys):
    text = (
        "optimizer = dict(a=dict(type='SGD', lr=1.0), b=dict(type='SGD', lr=2.0))\n"
        "lr_config = dict(policy='OneCycle', max_lr=[0.5, 1.0], pct_start=0.5, div_factor=5)\n"
    )
    assert plot(config(text), '--epoch-length', '4', '--json') == 0
    assert json.loads(capsys.readouterr().out)['lr'][5] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ("lr_config = dict(policy='expp', gamma=1)\n", "Did you mean 'Exp'"),
        (
            "lr_config = [dict(policy='Exp', gamma=1, begin=7)]\n",
            'config.py:6: lr_config.0.begin: the span begins at 7',
        ),
        ('runner = None\n', "schedules need 'runner'"),
    ],
)
def test_mistakes_are_reported(config, capsys, text, said):
    assert plot(config(text), '--epoch-length', '2') == 2
    assert said in capsys.readouterr().err


def test_schedules_of_the_newer_generation(tmp_path, capsys):
    file = tmp_path / 'config.py'
    file.write_text(
        "param_scheduler = [dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=2),\n"
        "                   dict(type='MultiStepLR', milestones=[1, 2], gamma=0.1)]\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=1.0))\ntrain_cfg = dict(by_epoch=True, max_epochs=3)\n"
    )
    assert plot(str(file), '--epoch-length', '2', '--json') == 0
    rates = json.loads(capsys.readouterr().out)['lr']
    assert rates == pytest.approx([0.5, 1.0, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize('wrong', [['--epoch-length', '0'], ['--out', 'picture.jpeg']])
def test_usage(config, wrong):
    with pytest.raises(SystemExit) as end:
        plot(config(''), *wrong)
    assert end.value.code == 2


def test_a_chart_reaches_from_corner_to_corner():
    lines = draw_chart('rising', [0.0, 1.0, 2.0, 3.0], 24, 5, ('0', 'x', '3'))
    assert lines[0] == 'rising'
    assert lines[1].startswith('   3 ┤')
    assert lines[5].startswith('   0 ┤')
    assert lines[3].startswith(' 1.5 ┤')
    dots = [row[6:].ljust(18, '⠀') for row in lines[1:6]]
    assert dots[0][-1] != '⠀' == dots[0][0]
    assert dots[-1][0] != '⠀' == dots[-1][-1]
    assert all(any(row[i] != '⠀' for row in dots) for i in range(18)), 'the line has no gaps'
    assert len(draw_chart('one', [1.0, 2.0], 12, 2, ('0', 'iteration', '1'))) == 5
