"""A pose model through the command line, on rendered people, cut short."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import intarsia
from intarsia.api.probe import probe_model
from intarsia.api.tasks import ready
from intarsia.config.file import load_config
from intarsia.config.override import apply_options
from intarsia.core.errors import DataError
from tests.e2e import commands

ROOT = Path(__file__).resolve().parents[2]
RECIPE = 'configs/pose/heatmap_resnet18_figures.py'
IMAGE = 'data/figures/images/val/000001.jpg'
SMALL = [
    '--cfg-options', 'model.backbone.base_channels=8', 'model.backbone.stem_channels=8',
    'model.keypoint_head.in_channels=64', 'model.keypoint_head.num_deconv_filters=[16,16,16]',
]  # fmt: skip
SHORT = [
    'data.samples_per_gpu=16', 'runner.type=IterBasedRunner', 'runner.max_iters=2', 'lr_config.warmup_iters=1',
    'total_epochs=None', 'evaluation.interval=2', 'checkpoint_config.interval=2', 'checkpoint_config.by_epoch=False',
    'log_config.interval=1', 'custom_hooks=[]',
]  # fmt: skip


def run_command(folder, *words):
    return commands.run(['intarsia', *map(str, words)], folder)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A folder with the data and a checkpoint, and what training printed."""
    folder = tmp_path_factory.mktemp('pose')
    for name in ('configs', 'data'):
        (folder / name).symlink_to(ROOT / name)
    output, code = run_command(folder, 'train', RECIPE, '--seed', 0, '--work-dir', 'run', *SMALL, *SHORT)
    assert code == 0, output
    return folder, output


def test_training_reports_loss_accuracy_and_metrics(run):
    _, output = run
    assert 'heatmap_loss' in output
    assert 'acc_pose' in output
    assert 'PCK: 0.' in output
    assert 'AR (L)' in output


def test_a_test_gives_metrics_as_json(run):
    folder, _ = run
    output, code = run_command(folder, 'test', RECIPE, 'run/latest.pth', '--json', *SMALL)
    assert code == 0, output
    found = json.loads(output[output.index('{') :])
    assert found['num_samples'] == 153
    assert 0 <= found['metrics']['PCK'] <= 1
    assert {'AP', 'AP .5', 'AR (M)'} <= found['metrics'].keys()


def test_people_are_predicted_in_boxes_from_a_file(run):
    folder, _ = run
    boxes = {Path(IMAGE).name: [[20, 30, 60, 120], [90, 20, 80, 160, 0.5]]}
    (folder / 'boxes.json').write_text(json.dumps(boxes))
    words = ['predict', RECIPE, 'run/latest.pth', IMAGE, '--boxes', 'boxes.json', '--json', *SMALL]
    output, code = run_command(folder, *words)
    assert code == 0, output
    (answer,) = json.loads(output[output.index('[') :])
    people = answer['result']['people']
    assert [person['box_score'] for person in people] == [1.0, 0.5]
    assert people[0]['box'] == [20, 30, 60, 120]
    assert len(people[0]['keypoints']['left_wrist']) == 3
    assert cv2.imread(str(folder / answer['output'])).shape == cv2.imread(str(ROOT / IMAGE)).shape


def test_boxes_must_be_of_the_images(run):
    folder, _ = run
    (folder / 'other.json').write_text('{"other.jpg": []}')
    output, code = run_command(folder, 'predict', RECIPE, 'run/latest.pth', IMAGE, '--boxes', 'other.json', *SMALL)
    assert code == 1
    assert 'has no boxes for 000001.jpg' in output


def test_a_video_becomes_a_video(run):
    folder, _ = run
    frame = cv2.imread(str(ROOT / IMAGE))
    size = (frame.shape[1], frame.shape[0])
    writer = cv2.VideoWriter(str(folder / 'clip.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 12.0, size)
    for shift in range(5):
        writer.write(np.roll(frame, shift, axis=1))
    writer.release()
    output, code = run_command(folder, 'predict', RECIPE, 'run/latest.pth', 'clip.mp4', '--json', *SMALL)
    assert code == 0, output
    (answer,) = json.loads(output[output.index('[') :])
    assert len(answer['result']['frames']) == 5
    capture = cv2.VideoCapture(str(folder / 'predictions/clip.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert capture.get(cv2.CAP_PROP_FPS) == 12


def test_a_broken_video_is_named(run):
    folder, _ = run
    (folder / 'broken.mp4').write_bytes(b'no video')
    output, code = run_command(folder, 'predict', RECIPE, 'run/latest.pth', 'broken.mp4', *SMALL)
    assert code == 1
    assert 'broken.mp4 cannot be decoded' in output


def test_results_do_not_hang_on_how_people_are_put_together(run, monkeypatch):
    folder, _ = run
    monkeypatch.chdir(folder)
    model = intarsia.load(RECIPE, 'run/latest.pth', cfg_options=SMALL[1:])
    boxes = np.array([[20, 30, 60, 120], [90, 20, 80, 160]])
    (both,) = model.predict([IMAGE], boxes=[boxes])
    (first,), (second,) = (model.predict([IMAGE], boxes=[boxes[i : i + 1]]) for i in range(2))
    # maxima of maps this flat may jump with the last bit, their heights do not
    np.testing.assert_allclose(both.scores, np.concatenate([first.scores, second.scores]), atol=1e-5)
    np.testing.assert_array_equal(both.boxes, boxes)
    (nobody,) = model.predict([IMAGE], boxes=[[]])
    assert len(nobody) == 0
    with pytest.raises(DataError, match='has no size'):
        model.predict([IMAGE], boxes=[[[1, 2, 0, 4]]])


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('model.keypoint_head.out_channels=16', 'the head gives 16 maps, but the targets of 17 joints have 17'),
        ('model.codec.heatmap_size=[48,64]', 'gives maps of 24 x 32, but heatmap_size is 48 x 64'),
    ],
)
def test_maps_that_do_not_fit_the_targets_are_found_before_training(option, message):
    config = load_config(ROOT / RECIPE)
    apply_options(config, [option])
    (problem,) = probe_model(ready(config, files=False))
    assert message in problem.message
    assert problem.path == option.partition('=')[0]
