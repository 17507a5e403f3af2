"""Scripts of projects, line by line, and what they call."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from intarsia.core.errors import ConfigError
from intarsia.core.registries import DATASETS
from intarsia.openmmlab import apis, builders, inference, runs, testing
from intarsia.openmmlab.config import Config
from intarsia.openmmlab.datasets import ClassDataset, OldDataset
from intarsia.openmmlab.models.segmentation import EncoderDecoder
from intarsia.openmmlab.parallel import DataContainer, MMDataParallel

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tests' / 'projects' / 'mmseg_0x_tools'


def picture(i):
    rng = np.random.default_rng(i)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:40, 8:50], mask[20:30, 20 + i : 40] = 1, 2
    return (mask[..., None] * 100 + rng.integers(0, 40, (64, 64, 3))).astype(np.uint8), mask


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp('project')
    shutil.copytree(TOOLS, folder, dirs_exist_ok=True)
    for i in range(6):
        for kind, image in zip(('images', 'masks'), picture(i), strict=True):
            (folder / 'data' / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / 'data' / kind / f'{i}.png'), image)
    return folder


def run(folder, *words, module=('intarsia.openmmlab',)):
    done = subprocess.run([sys.executable, '-m', *module, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope='module')
def trained(project):
    run(
        project,
        'train.py',
        'config.py',
        '--work-dir',
        'out',
        '--seed',
        '1',
        '--cfg-options',
        'optimizer.lr=0.01',
        'runner.max_iters=8',
    )
    return project / 'out'


def test_a_script_that_trains(trained):
    names = {f.name for f in trained.iterdir()}
    assert {'config.py', 'iter_4.pth', 'iter_8.pth', 'latest.pth'} <= names
    logs = [f for f in names if f.endswith('.log')]
    assert len(logs) == 1
    text = (trained / logs[0]).read_text()
    for line in ('Distributed training: False', 'Set random seed to 1', 'decode.loss_ce', 'mIoU'):
        assert line in text
    records = [json.loads(line) for line in (trained / f'{logs[0]}.json').read_text().splitlines()]
    assert records[0]['exp_name'] == 'config.py'
    assert [r['iter'] for r in records if r.get('mode') == 'val'] == [4, 8]
    meta = torch.load(trained / 'latest.pth', weights_only=True)['meta']
    assert meta['CLASSES'] == ['a', 'b', 'c']
    assert meta['mmseg_version'].startswith('0.30.0+')
    assert meta['seed'] == 1


def test_a_script_that_tests(project, trained):
    run(project, 'evaluate.py', 'config.py', 'out/latest.pth', '--eval', 'mIoU')
    found = json.loads((trained / 'eval.json').read_text())
    log = next(f for f in trained.iterdir() if f.name.endswith('.log.json'))
    last = [json.loads(line) for line in log.read_text().splitlines()][-1]
    assert found['metric']['mIoU'] == pytest.approx(last['mIoU'], abs=1e-4)
    assert found['shapes'][0] == [[64, 64, 3], [1, 3, 64, 64], [64, 64]]
    assert len(found['shapes']) == 6


def test_a_script_that_builds_its_runner(project):
    run(project, 'train_own.py')
    names = {f.name for f in (project / 'own').iterdir()}
    assert {'20220101_000000.log.json', 'best_mIoU_iter_4.pth', 'iter_4.pth', 'latest.pth'} <= names


@pytest.mark.slow
def test_a_script_that_builds_its_runner_in_two_processes(project):
    words = ['torch.distributed.run', '--standalone', '--nproc-per-node', '2', '-m', 'intarsia.openmmlab']
    run(project, 'train_distributed.py', module=words)
    one, other = json.loads((project / 'dist' / 'sums.json').read_text())
    assert one == other
    names = {f.name for f in (project / 'dist').iterdir()}
    assert {'best_mIoU_iter_4.pth', 'iter_4.pth', 'latest.pth'} <= names


# ---------------------------------------------------------------------- what scripts call, task by task


def class_config(folder):
    steps = [dict(type='LoadImageFromFile'), dict(type='Normalize', mean=[0.0] * 3, std=[255.0] * 3)]
    last = [dict(type='ImageToTensor', keys=['img'])]
    train = [*steps, *last, dict(type='ToTensor', keys=['gt_label']), dict(type='Collect', keys=['img', 'gt_label'])]
    data = dict(type='CustomDataset', data_prefix=str(folder))
    return Config(
        dict(
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=2, in_channels=32, topk=(1,)),
            ),
            data=dict(
                samples_per_gpu=2, workers_per_gpu=0, train=dict(**data, pipeline=train),
                test=dict(**data, pipeline=[*steps, *last, dict(type='Collect', keys=['img'])], test_mode=True),
            ),
            optimizer=dict(type='SGD', lr=0.1), optimizer_config=dict(grad_clip=None), lr_config=dict(policy='step', step=[1]),
            runner=dict(type='EpochBasedRunner', max_epochs=1), checkpoint_config=dict(interval=1),
            log_config=dict(interval=1, hooks=[dict(type='TextLoggerHook')]), seed=0, work_dir=str(folder.parent / 'run'),
            gpu_ids=range(1),
        )
    )  # fmt: skip


@pytest.fixture
def classes(tmp_path):
    for i in range(4):
        file = tmp_path / 'classes' / 'ab'[i % 2] / f'{i}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), picture(i)[0])
    return class_config(tmp_path / 'classes')


def test_a_classifier_is_trained_tested_and_asked(classes, tmp_path):
    cfg = classes
    model = builders.build_classifier(cfg.model)
    train_set = apis.build_dataset(cfg.data.train, task='classification')
    result = runs.train_model(model, [train_set], cfg, timestamp='20200101_000000', meta=dict(seed=0, mine='x'))
    assert (result.work_dir / '20200101_000000.log').is_file()
    checkpoint = torch.load(result.work_dir / 'latest.pth', weights_only=True)
    assert (checkpoint['meta']['mine'], checkpoint['meta']['CLASSES']) == ('x', ['a', 'b'])
    assert all(torch.equal(value, checkpoint['state_dict'][name]) for name, value in model.state_dict().items())

    dataset = apis.build_dataset(cfg.data.test, dict(test_mode=True), task='classification')
    loader = apis.build_dataloader(
        dataset, samples_per_gpu=3, workers_per_gpu=0, dist=False, shuffle=False, task='classification'
    )
    outputs = testing.single_gpu_test(MMDataParallel(model, device_ids=[-1]), loader)
    assert len(outputs) == 4
    assert outputs[0].shape == (2,)
    metrics = dataset.evaluate(results=outputs, metric='accuracy', metric_options=dict(topk=(1,)))
    right = sum(int(np.argmax(each) == label) for each, label in zip(outputs, dataset.get_gt_labels(), strict=True))
    assert next(iter(metrics.values())) == pytest.approx(right / 4 * 100)

    asked = inference.init_model(cfg, str(result.work_dir / 'latest.pth'), device='cpu')
    file = str(next((tmp_path / 'classes' / 'a').glob('*.png')))
    answer = inference.inference_model(asked, file)
    assert set(answer) >= {'pred_label', 'pred_score', 'pred_class'}
    assert answer['pred_score'] == pytest.approx(float(outputs[0].max()), abs=1e-5)
    assert len(inference.inference_model(asked, [file, file])) == 2
    drawn = inference.show_result_pyplot(asked, file, answer, out_file=str(tmp_path / 'drawn.png'))
    assert drawn.ndim == 3
    assert (tmp_path / 'drawn.png').is_file()


def test_mistakes_of_a_config_are_told_together(classes):
    classes.optimizer = dict(type='SGDD', lr=0.1)
    model = builders.build_classifier(classes.model)
    with pytest.raises(ConfigError, match="Did you mean 'SGD'"):
        runs.train_model(model, [apis.build_dataset(classes.data.train, task='classification')], classes)


def test_segmentors_answer_old_and_new_calls(project, trained, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    import tiny_net  # noqa: F401

    model = inference.init_segmentor('config.py', 'out/latest.pth')
    assert isinstance(model, EncoderDecoder)
    assert model.CLASSES == ['a', 'b', 'c']
    assert model.cfg.data.test.type == 'CustomDataset'
    one = inference.inference_segmentor(model, 'data/images/0.png')
    assert (len(one), one[0].shape, one[0].dtype) == (1, (64, 64), np.int64)
    sample = inference.inference_model(model, ['data/images/0.png'])[0]
    assert np.array_equal(sample.pred_sem_seg.data[0].numpy(), one[0])
    picture_drawn = inference.show_result_pyplot(model, 'data/images/0.png', one, show=False)
    assert picture_drawn.dtype == np.uint8


def test_builders_know_the_task_of_the_package_they_come_from():
    from mmcls.models import build_loss as of_classes
    from mmseg.models import build_loss
    from mmseg.models.builder import build_backbone
    from mmseg.models.builder import build_loss as the_same

    assert build_loss is the_same
    cfg = dict(type='CrossEntropyLoss')
    assert type(build_loss(cfg)).__module__.startswith('intarsia.tasks.segmentation')
    assert type(of_classes(cfg)) is not type(build_loss(cfg))
    assert len(build_backbone(dict(type='mmseg.ResNetV1c', depth=18)).eval()(torch.zeros(1, 3, 32, 32))) == 4


def test_data_sets_have_the_old_methods_and_keep_a_users_own():
    kind = apis.old_class(DATASETS.of('segmentation').get('ADE20KDataset'), 'segmentation')
    assert issubclass(kind, OldDataset)
    assert kind is apis.old_class(DATASETS.of('segmentation').get('ADE20KDataset'), 'segmentation')
    assert len(kind.CLASSES) == 150

    class Own(ClassDataset):
        pass

    assert apis.old_class(Own, 'classification') is Own


def test_batches_come_in_containers():
    train = apis._Contained(all_stacked=True, is_test=False)
    batch = {'img': torch.ones(2, 3), 'img_metas': [{'a': 1}, {'a': 2}], 'sample_idx': torch.arange(2)}
    found = train(batch)
    assert set(found) == {'img', 'img_metas'}
    assert found['img'].data[0].shape == (2, 3)
    assert found['img_metas'].data[0][1] == {'a': 2}
    test = apis._Contained(all_stacked=True, is_test=True)(batch)
    assert test['img_metas'][0].data[0][0] == {'a': 1}
    assert isinstance(test['img'][0], torch.Tensor)
    other = apis._Contained(all_stacked=False, is_test=True)(batch)
    assert isinstance(other['img'], torch.Tensor)
    assert isinstance(other['img_metas'], DataContainer)


def test_results_of_processes_that_took_turns():
    assert testing.collect_results(['a', 'b'], 2) == ['a', 'b']
    assert testing.collect_results(['a', 'b'], 1, tmpdir='x') == ['a']


# ---------------------------------------------------------------------- people and clips


@pytest.fixture(scope='module')
def pose():
    cfg = Config.fromfile(ROOT / 'tests' / 'projects' / 'mmpose_0x' / 'cfg_plain.py', import_custom_modules=False)
    del cfg['custom_imports']
    cfg.merge_from_dict({'load_from': None})
    cfg.model.backbone = dict(type='ResNet', depth=18, stem_channels=4, base_channels=4)
    cfg.model.keypoint_head = dict(
        type='TopdownHeatmapSimpleHead', in_channels=32, out_channels=17, num_deconv_filters=(4, 4, 4),
        loss_keypoint=dict(type='JointsMSELoss', use_target_weight=True),
    )  # fmt: skip
    del cfg.model['loss_pose']
    return cfg


def test_people_are_tested_and_found(pose, tmp_path):
    dataset = apis.build_dataset(pose.data.test, dict(test_mode=True), task='pose')
    model = builders.build_posenet(pose.model)
    loader = apis.build_dataloader(dataset, 64, 0, dist=False, shuffle=False, task='pose')
    outputs = testing.single_gpu_test(MMDataParallel(model), loader)
    assert sum(len(each['preds']) for each in outputs) == len(dataset)
    metrics = dataset.evaluate(outputs, str(tmp_path), metric='mAP')
    assert 0 <= metrics['AP'] <= 1

    asked = inference.init_pose_model(pose, None, device='cpu')
    image = str(next((ROOT / 'data' / 'figures' / 'images' / 'val').iterdir()))
    people = [{'bbox': np.array([10, 20, 50, 80, 0.9]), 'track_id': 7}, {'bbox': np.array([0, 0, 40, 60, 0.1])}]
    found, more = inference.inference_top_down_pose_model(asked, image, people, bbox_thr=0.3, format='xyxy')
    assert (len(found), more, found[0]['track_id']) == (1, [], 7)
    assert found[0]['keypoints'].shape == (17, 3)
    assert found[0]['bbox'].tolist() == pytest.approx([10, 20, 50, 80, 0.9])
    assert len(inference.inference_top_down_pose_model(asked, image)[0]) == 1
    assert inference.inference_top_down_pose_model(asked, image, people, bbox_thr=0.99) == ([], [])
    drawn = inference.vis_pose_result(asked, image, found, out_file=str(tmp_path / 'pose.png'))
    assert drawn.dtype == np.uint8
    assert (tmp_path / 'pose.png').is_file()
    samples = inference.inference_topdown(asked, image, np.array([[10, 20, 50, 80]]))
    np.testing.assert_allclose(samples[0].pred_instances.keypoints[0], found[0]['keypoints'][:, :2], atol=1e-3)
    assert inference.process_mmdet_results(([np.ones((2, 5))], None)) == [{'bbox': pytest.approx(np.ones(5))}] * 2


def test_a_pose_model_is_told_what_its_config_says_elsewhere(pose, tmp_path):
    pose = pose.copy()
    pose.work_dir, pose.seed = str(tmp_path), 0
    pose.data.samples_per_gpu = 64
    model = builders.build_posenet(pose.model)
    dataset = apis.build_dataset(pose.data.train, task='pose')
    result = runs.train_model(model, dataset, pose, validate=False)
    assert result.epoch == 1
    assert model.codec is not None


def test_a_recognizer_is_asked(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmengine', raising=False)
    cfg = Config.fromfile(ROOT / 'configs' / 'action' / 'slowonly_actions.py')
    model = inference.init_recognizer(cfg, device='cpu')
    video = str(sorted((ROOT / 'data' / 'actions' / 'videos' / 'val').rglob('*.*'))[0])
    best = inference.inference_recognizer(model, video)
    assert [score for _, score in best] == sorted((score for _, score in best), reverse=True)
    assert isinstance(best[0][0], int)
    monkeypatch.setitem(sys.modules, 'mmengine', sys)
    sample = inference.inference_recognizer(model, video)
    assert int(sample.pred_label[0]) == best[0][0]


def test_a_runner_of_the_second_generation(tmp_path, classes):
    cfg = classes
    cfg.data.val = cfg.data.test
    cfg.evaluation = dict(interval=1, metric='accuracy', metric_options=dict(topk=(1,)))
    runner = runs.Runner.from_cfg(cfg)
    runner.train()
    assert runner.result.epoch == 1
    assert runner.work_dir == cfg.work_dir
    metrics = runner.test()
    assert runner.val() == metrics
    assert type(runner.model).__name__ == 'ImageClassifier'
