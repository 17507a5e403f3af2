from __future__ import annotations

import csv
import json
import logging
import sys
import types

import pytest
import torch
from torch import nn

from intarsia.core.errors import ConfigError, IntarsiaError
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.clearml_logger import ClearMLLoggerHook
from intarsia.engine.hooks.csv_logger import CSVLoggerHook
from intarsia.engine.hooks.iter_timer import IterTimerHook
from intarsia.engine.hooks.mlflow_logger import MlflowLoggerHook
from intarsia.engine.hooks.optimizer import OptimizerHook
from intarsia.engine.hooks.profiler import ProfilerHook
from intarsia.engine.hooks.text_logger import TextLoggerHook
from intarsia.engine.hooks.wandb_logger import WandbLoggerHook
from intarsia.engine.runner import EpochBasedRunner, IterBasedRunner


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def train_step(self, batch, optimizer=None):
        loss = self.fc(batch).square().mean()
        return dict(loss=loss, log_vars={'loss': loss.detach()}, num_samples=len(batch))

    val_step = train_step


class Evaluated(Hook):
    """A metric, from the second epoch on."""

    def after_train_epoch(self, runner):
        if runner.epoch > 0:
            runner.log_buffer.output = {'mAP@100': 0.25, 'eval_iter_num': 3}
            runner.log_buffer.ready = True


def run(hook, work_dir=None, runner_type=EpochBasedRunner, several=False, rank=0, meta=None, **length):
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)
    optimizers = {'one': optimizer, 'two': torch.optim.Adam([nn.Parameter(torch.ones(1))], lr=0.25)}
    runner = runner_type(
        model, optimizers if several else optimizer, work_dir, logging.getLogger('test'), meta, rank=rank,
        **(length or dict(max_epochs=2)),
    )  # fmt: skip
    runner.register_hook(OptimizerHook(), 'ABOVE_NORMAL')
    runner.register_hook(IterTimerHook(), 'LOW')
    runner.register_hook(Evaluated(), 'LOW')
    runner.register_hook(hook, 'VERY_LOW')
    if work_dir is not None:
        work_dir.mkdir(exist_ok=True)
    runner.run([[torch.ones(4, 2)] * 4])
    return runner


class Fake(types.ModuleType):
    """A library that notes what is called."""

    def __init__(self, name, monkeypatch):
        super().__init__(name)
        self.calls = []
        monkeypatch.setitem(sys.modules, name, self)

    def noting(self, name, result=None):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return result

        return call

    def of(self, name):
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


# ---------------------------------------------------------------------- tags


@pytest.fixture
def wandb(monkeypatch):
    fake = Fake('wandb', monkeypatch)
    for name in ('init', 'log', 'define_metric', 'log_artifact', 'finish'):
        setattr(fake, name, fake.noting(name))
    fake.Artifact = lambda **kwargs: types.SimpleNamespace(add_file=fake.noting('add_file'))
    return fake


def test_wandb_gets_tags_steps_and_files(wandb, tmp_path):
    (tmp_path / 'x.py').write_text('pass')
    (tmp_path / 'y.pth').write_text('')
    (tmp_path / 'wandb').mkdir()
    (tmp_path / 'wandb' / 'own.log').write_text('')
    hook = WandbLoggerHook(dict(project='p'), interval=2, define_metric_cfg={'val/mAP@100': 'max'})
    run(hook, tmp_path)
    assert wandb.of('init') == [((), dict(dir=str(tmp_path), project='p'))]
    assert wandb.of('define_metric') == [(('val/mAP@100',), dict(summary='max'))]
    records = [(kwargs['step'], args[0]) for args, kwargs in wandb.of('log')]
    assert [step for step, _ in records] == [2, 4, 6, 8, 8]
    assert all(set(tags) == {'train/loss', 'learning_rate', 'momentum'} for _, tags in records[:4])
    assert records[4][1] == {'val/mAP@100': 0.25, 'learning_rate': 0.125, 'momentum': 0.5}
    assert [args[0].rpartition('/')[2] for args, _ in wandb.of('add_file')] == ['x.py']
    assert wandb.calls[-1][0] == 'finish'


def test_wandb_without_steps_or_files_and_with_several_optimizers(wandb):
    run(WandbLoggerHook(interval=4, with_step=False, log_artifact=False, commit=False), several=True, max_epochs=1)
    ((tags,), kwargs) = wandb.of('log')[0]
    assert kwargs == {'commit': False}
    assert tags['global_step'] == 4
    assert {k: v for k, v in tags.items() if '/' in k and k != 'train/loss'} == {
        'learning_rate/one': 0.125, 'learning_rate/two': 0.25, 'momentum/one': 0.5, 'momentum/two': 0.9,
    }  # fmt: skip
    assert not wandb.of('log_artifact')


def test_other_processes_log_nothing(wandb, tmp_path):
    run(WandbLoggerHook(interval=1), tmp_path, rank=1)
    assert wandb.calls == []


def test_an_unknown_summary_is_refused(wandb):
    with pytest.raises(ConfigError, match="Did you mean 'max'"):
        WandbLoggerHook(define_metric_cfg={'acc': 'maxi'})


@pytest.mark.parametrize('active', [None, 'a run'])
def test_mlflow(monkeypatch, active):
    fake, pytorch = Fake('mlflow', monkeypatch), Fake('mlflow.pytorch', monkeypatch)
    for name in ('set_experiment', 'start_run', 'set_tags', 'log_params', 'log_metrics', 'end_run'):
        setattr(fake, name, fake.noting(name))
    fake.active_run = lambda: active
    pytorch.log_model = pytorch.noting('log_model')
    runner = run(MlflowLoggerHook('exp', {'a': 'b'}, {'lr': 1}, interval=4))
    assert [name for name, _, _ in fake.calls[:4] if name != 'start_run'][:3] == [
        'set_experiment',
        'set_tags',
        'log_params',
    ]
    assert len(fake.of('start_run')) == len(fake.of('end_run')) == (active is None)
    steps = [(kwargs['step'], sorted(args[0])) for args, kwargs in fake.of('log_metrics')]
    assert steps == [
        (4, ['learning_rate', 'momentum', 'train/loss']),
        (8, ['learning_rate', 'momentum', 'train/loss']),
        (8, ['learning_rate', 'momentum', 'val/mAP_100']),
    ]
    ((model, place), kwargs) = pytorch.of('log_model')[0]
    assert (model, place, kwargs) == (runner.model, 'models', {'pip_requirements': [f'torch=={torch.__version__}']})


def test_clearml(monkeypatch):
    fake = Fake('clearml', monkeypatch)
    logger = types.SimpleNamespace(report_scalar=fake.noting('report_scalar'))
    task = types.SimpleNamespace(get_logger=lambda: logger, close=fake.noting('close'))
    fake.Task = types.SimpleNamespace(init=fake.noting('init', task))
    run(ClearMLLoggerHook(dict(project_name='p'), interval=4), max_epochs=1)
    assert fake.of('init') == [((), {'project_name': 'p'})]
    reported = [args for args, _ in fake.of('report_scalar')]
    assert [(title, series, step) for title, series, _, step in reported] == [
        (tag, tag, 4) for tag in ('train/loss', 'learning_rate', 'momentum')
    ]
    assert fake.calls[-1][0] == 'close'


@pytest.mark.parametrize(
    ('hook', 'library', 'extra'),
    [
        (WandbLoggerHook, 'wandb', 'track-wandb'),
        (MlflowLoggerHook, 'mlflow', 'track-mlflow'),
        (ClearMLLoggerHook, 'clearml', 'track-clearml'),
    ],
)
def test_a_missing_library_says_how_to_install_it(monkeypatch, hook, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(IntarsiaError, match=rf"pip install 'intarsia\[{extra}\]'"):
        hook()


# ---------------------------------------------------------------------- files


def rows_of(file):
    with file.open(newline='') as stream:
        return list(csv.DictReader(stream))


def test_a_table_gets_new_columns_and_goes_on(tmp_path):
    run(CSVLoggerHook('log.csv', interval=2), tmp_path)
    rows = rows_of(tmp_path / 'log.csv')
    assert [(r['mode'], r['epoch'], r['iter']) for r in rows] == [
        ('train', '1', '2'), ('train', '1', '4'), ('train', '2', '6'), ('train', '2', '8'), ('val', '2', '8'),
    ]  # fmt: skip
    assert list(rows[0]) == ['mode', 'epoch', 'iter', 'loss', 'learning_rate', 'momentum', 'mAP@100']
    assert [r['mAP@100'] for r in rows] == ['', '', '', '', '0.25']
    assert all(float(r['loss']) > 0 for r in rows[:4])
    run(CSVLoggerHook('log.csv', interval=4), tmp_path, IterBasedRunner, max_iters=4)
    assert rows_of(tmp_path / 'log.csv')[:5] == rows
    assert len(rows_of(tmp_path / 'log.csv')) == 6
    assert [f.name for f in tmp_path.iterdir()] == ['log.csv']


def test_text_logs_name_the_experiment_and_are_copied(tmp_path, caplog):
    hook = TextLoggerHook(interval=2, interval_exp_name=4, out_dir=str(tmp_path / 'out'), keep_local=False)
    with caplog.at_level('INFO'):
        run(hook, tmp_path / 'job', meta={'exp_name': 'resnet.py'}, max_epochs=1)
    assert caplog.text.count('experiment: resnet.py') == 1
    (copied,) = (tmp_path / 'out' / 'job').glob('*.log.json')
    records = [json.loads(line) for line in copied.read_text().splitlines()]
    assert [record['iter'] for record in records[1:]] == [2, 4]
    assert not list((tmp_path / 'job').iterdir())


def events_of(file):
    return json.loads(file.read_text())['traceEvents']


def test_a_profile_is_written_to_the_work_directory(tmp_path):
    run(ProfilerHook(activities=('cpu',)), tmp_path)
    linear = [e for e in events_of(tmp_path / 'trace.json') if e['name'] == 'aten::linear']
    assert len(linear) == 4  # the first epoch of two


def test_a_profile_by_iterations_with_a_schedule_and_a_table(tmp_path, caplog):
    hook = ProfilerHook(
        by_epoch=False, profile_iters=4, activities=['CPU'], schedule=dict(wait=0, warmup=1, active=1, repeat=2),
        on_trace_ready=dict(type='log_trace', row_limit=3), json_trace_path='profile/p.json', profile_memory=True,
    )  # fmt: skip
    with caplog.at_level('INFO'):
        run(hook, tmp_path, max_epochs=1)
    assert sorted(f.name for f in (tmp_path / 'profile').iterdir()) == ['p.json', 'p_2.json']
    assert caplog.text.count('Self CPU') >= 2
    for name in ('p.json', 'p_2.json'):
        assert len([e for e in events_of(tmp_path / 'profile' / name) if e['name'] == 'aten::linear']) == 1


def test_a_profile_for_tensorboard_one_of_ones_own_and_a_run_that_is_too_short(tmp_path):
    run(ProfilerHook(activities=['cpu'], on_trace_ready='tb_trace'), tmp_path, max_epochs=1)
    assert list((tmp_path / 'tf_tracing_logs').glob('*.pt.trace.json'))
    seen = []
    run(ProfilerHook(profile_iters=9, activities=['cpu'], on_trace_ready=seen.append), tmp_path, max_epochs=1)
    assert len(seen) == 1
    assert not (tmp_path / 'trace.json').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(activities=['gpu']), "no activity 'gpu'"),
        (dict(on_trace_ready=dict(type='log_trase')), "Did you mean 'log_trace'"),
        (dict(profile_iters=0), 'must be positive'),
    ],
)
def test_arguments_of_the_profiler_that_make_no_sense(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ProfilerHook(**arguments)
