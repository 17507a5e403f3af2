"""Localizers through the command line, on the signals of a smart watch, cut short."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from tests.e2e import commands

ROOT = Path(__file__).resolve().parents[2]
FEATURES = 'data/exercise_streams/features_100'
BMN, TEM, PEM = (f'configs/action/{name}_exercises.py' for name in ('bmn', 'bsn_tem', 'bsn_pem'))
SMALL = {
    BMN: ['model.hidden_dim_1d=8', 'model.hidden_dim_2d=4', 'model.hidden_dim_3d=4', 'model.num_samples=4'],
    TEM: ['model.tem_hidden_dim=8'],
    PEM: ['model.pem_hidden_dim=8'],
}
SHORT = ['total_epochs=1', 'evaluation.interval=1', 'data.samples_per_gpu=12', 'log_config.interval=1']


def run_command(folder, *words):
    return commands.run(['intarsia', *map(str, words)], folder)


def train(folder, recipe, work_dir):
    options = ['--cfg-options', *SMALL[recipe], *SHORT]
    return run_command(folder, 'train', recipe, '--seed', 0, '--device', 'cpu', '--work-dir', work_dir, *options)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with recipes and data."""
    made = tmp_path_factory.mktemp('streams')
    for name in ('configs', 'data'):
        (made / name).symlink_to(ROOT / name)
    return made


@pytest.fixture(scope='module')
def bmn(folder):
    """What training of BMN printed."""
    output, code = train(folder, BMN, 'bmn')
    assert code == 0, output
    return output


def test_training_reports_losses_recall_and_precision(bmn):
    for word in ('pem_reg', 'loss_cls', 'auc: ', 'AR@100: 0.', 'mAP@0.50: 0.'):
        assert word in bmn


def test_a_test_gives_metrics_as_json(folder, bmn):
    output, code = run_command(folder, 'test', BMN, 'bmn/latest.pth', '--json', '--cfg-options', *SMALL[BMN])
    assert code == 0, output
    found = json.loads(output[output.index('{') :])
    assert found['num_samples'] == 12
    assert f'AR@10: {found["metrics"]["AR@10"]:.4f}' in bmn


def test_a_file_of_features_becomes_a_timeline(folder, bmn):
    words = ['predict', BMN, 'bmn/latest.pth', f'{FEATURES}/v_val_000.csv', '--cfg-options', *SMALL[BMN]]
    output, code = run_command(folder, *words)
    assert code == 0, output
    assert ' and 195 more -> predictions' in output
    assert cv2.imread(str(folder / 'predictions/v_val_000.png')).shape[1] == 960


def test_a_file_of_other_features_is_named(folder, bmn):
    file = 'data/exercise_streams/raw_25hz/v_val_000.npz'
    output, code = run_command(folder, 'predict', BMN, 'bmn/latest.pth', file, '--cfg-options', *SMALL[BMN])
    assert code == 1
    assert f'error: {file}: BMN takes 18 features at 100 positions' in output


def test_the_two_stages_of_bsn(folder):
    output, code = train(folder, PEM, 'pem')
    assert code == 2
    assert 'was `intarsia proposals` run?' in output
    output, code = train(folder, TEM, 'tem')
    assert code == 0, output
    words = ['proposals', TEM, 'tem/latest.pth', '--out', 'work_dirs/bsn', '--cfg-options', *SMALL[TEM]]
    output, code = run_command(folder, *words)
    assert code == 0, output
    assert 'wrote proposals of 48 streams of train, 12 streams of val to work_dirs/bsn' in output
    output, code = train(folder, PEM, 'pem')
    assert code == 0, output
    assert 'temporal_iou_loss' in output
    assert 'mAP@0.50: 0.' in output
    output, code = run_command(folder, 'predict', PEM, 'pem/latest.pth', f'{FEATURES}/v_val_000.csv',
                               '--cfg-options', *SMALL[PEM])  # fmt: skip
    assert code == 0, output
    assert '(0.' in output
