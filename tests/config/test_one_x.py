"""Configs of the newer generation in the words of the house: section by section, and whole files."""

from __future__ import annotations

import pytest

from intarsia.cli.main import main
from intarsia.config.check import check
from intarsia.config.dialects.door import house_form
from intarsia.config.dialects.one_x.pipelines import translate_pipeline
from intarsia.config.file import config_of, load_config
from intarsia.core.errors import ConfigError
from intarsia.engine.hooks.ema import EMAHook

SEGMENTATION = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
crop_size = (64, 96)
data_preprocessor = dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                         bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=crop_size)
model = dict(
    type='EncoderDecoder', data_preprocessor=data_preprocessor, pretrained=None,
    backbone=dict(type='mmseg.ResNetV1c', depth=18, norm_cfg=norm_cfg),
    decode_head=dict(type='FCNHead', in_channels=512, in_index=3, channels=16, num_classes=19, norm_cfg=norm_cfg,
                     loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(128, 64), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(128, 64), keep_ratio=True), dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=4, persistent_workers=True, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='CityscapesDataset', data_root='data/cityscapes/', pipeline=train_pipeline,
                 data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train')))
val_dataloader = dict(
    batch_size=1, num_workers=4, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CityscapesDataset', data_root='data/cityscapes/', pipeline=test_pipeline,
                 data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005)
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=optimizer, clip_grad=dict(max_norm=1.0), accumulative_counts=2,
                     loss_scale=512.0, paramwise_cfg=dict(norm_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=80000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=8000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'), sampler_seed=dict(type='DistSamplerSeedHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=8000, save_best='mIoU'),
    visualization=dict(type='SegVisualizationHook'))
custom_hooks = [dict(type='EMAHook', momentum=0.001)]
default_scope = 'mmseg'
env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
               dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = 'weights.pth'
resume = False
randomness = dict(seed=3, deterministic=False)
tta_model = dict(type='SegTTAModel')
auto_scale_lr = dict(enable=False, base_batch_size=16)
"""
NORMALIZE = {'type': 'Normalize', 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'to_rgb': True}


@pytest.fixture
def segmentation(tmp_path):
    (tmp_path / 'seg.py').write_text(SEGMENTATION)
    return tmp_path / 'seg.py'


def test_a_whole_file(segmentation):
    house = house_form(load_config(segmentation))
    values = house.values
    assert check(house, files=False) == []
    assert values['task'] == 'segmentation'
    assert values['model']['backbone']['type'] == 'ResNetV1c'
    assert 'data_preprocessor' not in values['model']
    data = values['data']
    assert [step['type'] for step in data['train']['pipeline']] == [
        'LoadImageFromFile', 'LoadAnnotations', 'Resize', 'RandomCrop', 'RandomFlip', 'PhotoMetricDistortion',
        'Normalize', 'Pad', 'DefaultFormatBundle', 'Collect',
    ]  # fmt: skip
    assert data['train']['pipeline'][2] == {
        'type': 'Resize', 'img_scale': (128, 64), 'ratio_range': (0.5, 2.0), 'keep_ratio': True,
    }  # fmt: skip
    assert data['train']['pipeline'][6] == NORMALIZE
    assert data['train']['pipeline'][7] == {'type': 'Pad', 'size': (64, 96), 'pad_val': 0, 'seg_pad_val': 255}
    assert [step['type'] for step in data['val']['pipeline']] == [
        'LoadImageFromFile', 'Resize', 'Normalize', 'ImageToTensor', 'Collect',
    ]  # fmt: skip
    assert data['train']['img_dir'] == 'leftImg8bit/train'
    assert data['val']['test_mode'] is True
    assert data['train_dataloader'] == {
        'samples_per_gpu': 2, 'workers_per_gpu': 4, 'persistent_workers': True, 'shuffle': True,
    }  # fmt: skip
    assert values['runner'] == {'type': 'IterBasedRunner', 'max_iters': 80000}
    assert values['optimizer'] == {
        'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0005,
        'paramwise_cfg': {'norm_decay_mult': 0.0, 'bias_decay_everywhere': True, 'skip_frozen': True},
    }  # fmt: skip
    assert values['optimizer_config'] == {'grad_clip': {'max_norm': 1.0}, 'cumulative_iters': 2}
    assert values['fp16'] == {'loss_scale': 512.0}
    assert values['lr_config'][0]['policy'] == 'Poly'
    assert values['evaluation'] == {
        'interval': 8000, 'save_best': 'mIoU', 'metric': [{'type': 'IoUMetric', 'iou_metrics': ['mIoU']}],
    }  # fmt: skip
    assert values['checkpoint_config'] == {'by_epoch': False, 'interval': 8000}
    assert values['log_config'] == {
        'interval': 50, 'hooks': [{'type': 'TextLoggerHook'}, {'type': 'TensorboardLoggerHook'}],
    }  # fmt: skip
    assert values['custom_hooks'] == [{'type': 'EMAHook', 'momentum': 0.001, 'ema_type': 'ExponentialMovingAverage'}]
    assert EMAHook(**{k: v for k, v in values['custom_hooks'][0].items() if k != 'type'}).interval == 1
    expected = dict(
        cudnn_benchmark=True, mp_start_method='fork', opencv_num_threads=0, dist_params={'backend': 'nccl'}, seed=3,
        deterministic=False, load_from='weights.pth', log_level='INFO',
        auto_scale_lr={'enable': False, 'base_batch_size': 16},
    )  # fmt: skip
    assert {key: values[key] for key in expected} == expected


def test_mistakes_are_found_where_they_were_written(segmentation):
    text = SEGMENTATION.replace('cat_max_ratio=', 'cat_max_ration=').replace(
        "dict(type='PhotoMetric", "dict(type='FotoMetric"
    )
    segmentation.write_text(text)
    problems = check(house_form(load_config(segmentation)), files=False)
    lines = text.splitlines()
    assert [(p.path, lines[p.line - 1].strip()[:14]) for p in problems] == [
        ('data.train.pipeline.3.cat_max_ration', "dict(type='Ran"),
        ('data.train.pipeline.5.type', "dict(type='Fot"),
    ]
    assert problems[0].suggestion == 'cat_max_ratio'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'train_cfg': {'by_epoch': True, 'max_epoch': 3}}, r"train_cfg\.max_epoch: .*Did you mean 'max_epochs'"),
        ({'train_cfg': {'type': 'MyLoop', 'max_epochs': 3}}, r"train_cfg\.type: there is no loop 'MyLoop'"),
        (
            {'optim_wrapper': {'type': 'OptimWraper', 'optimizer': {}}},
            r"optim_wrapper\.type: there is no 'OptimWraper'",
        ),
        ({'optim_wrapper': {'optimizer': {}, 'clip_grads': 1}}, r"clip_grads: .*Did you mean 'clip_grad'"),
        ({'fp16': {'loss_scale': 512}}, r"fp16: 'fp16' is a field of 0\.x.*_allow_unused_ = \['fp16'\]"),
        ({'param_scheduler': {'type': 'LinearLRR'}}, r"param_scheduler\.type: there is no schedule 'LinearLRR'"),
        ({'vis_backends': [{'type': 'MyBackend'}]}, r"vis_backends\.0: there is no backend 'MyBackend'"),
        ({'default_hooks': {'checkpoint': {'intervall': 3}}}, r"checkpoint\.intervall: .*Did you mean 'interval'"),
        ({'train_dataloader': {'batch_sizes': 3}}, r"train_dataloader\.batch_sizes: .*Did you mean 'batch_size'"),
    ],
)
def test_what_cannot_be_translated_is_reported(change, message):
    config = config_of({'model': {'type': 'ImageClassifier'}, 'default_scope': 'mmpretrain', **change})
    with pytest.raises(ConfigError, match=message):
        house_form(config)


def test_a_field_that_does_nothing_can_be_allowed():
    values = {'model': {'type': 'ImageClassifier'}, 'default_scope': 'mmpretrain', 'fp16': {}}
    assert 'fp16' not in house_form(config_of({**values, '_allow_unused_': ['fp16']})).values


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ({'resume': True}, {'auto_resume': True}),
        ({'resume': True, 'load_from': 'a.pth'}, {'resume_from': 'a.pth'}),
        ({'train_cfg': {'max_epochs': 9, 'val_interval': 5, 'val_begin': 7}},
         {'evaluation': {'interval': 5, 'start': 10}, 'runner': {'type': 'EpochBasedRunner', 'max_epochs': 9}}),
        ({'optim_wrapper': {'type': 'AmpOptimWrapper', 'dtype': 'bfloat16', 'optimizer': {'type': 'SGD'}}},
         {'precision': 'bf16'}),
        ({'optim_wrapper': {'constructor': 'TSMOptimWrapperConstructor', 'paramwise_cfg': {'fc_lr5': True},
                            'optimizer': {'type': 'SGD'}}},
         {'optimizer': {'type': 'SGD', 'constructor': 'TSMOptimizerConstructor', 'paramwise_cfg': {'fc_lr5': True}}}),
        ({'default_hooks': {'checkpoint': None, 'logger': None}}, {'checkpoint_config': None, 'log_config': None}),
    ],
)  # fmt: skip
def test_sections(given, expected):
    house = house_form(config_of({'model': {'type': 'ImageClassifier'}, 'default_scope': 'mmpretrain', **given}))
    assert {key: house.values[key] for key in expected} == expected


@pytest.mark.parametrize(
    ('step', 'expected'),
    [
        (dict(type='ResizeEdge', scale=256, edge='short'), dict(type='Resize', size=(256, -1), adaptive_side='short')),
        (dict(type='Resize', scale=(200, 100)), dict(type='Resize', size=(100, 200))),
        (dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0)),
         dict(type='RandomResizedCrop', size=224, scale=(0.2, 1.0))),
        (dict(type='RandomFlip', prob=0.5), dict(type='RandomFlip', flip_prob=0.5)),
        (dict(type='mmpretrain.EfficientNetCenterCrop', crop_size=224),
         dict(type='CenterCrop', crop_size=224, efficientnet_style=True, interpolation='bicubic')),
    ],
)  # fmt: skip
def test_steps_of_classification(step, expected):
    config = config_of({
        'model': {'type': 'ImageClassifier', 'data_preprocessor': {'num_classes': 10}},
        'train_dataloader': {'dataset': {'type': 'CIFAR10', 'data_root': 'data', 'split': 'train', 'pipeline': [step]}},
    })  # fmt: skip
    assert house_form(config).values['data']['train'] == {
        'type': 'CIFAR10', 'data_prefix': 'data', 'test_mode': False, 'pipeline': [expected],
    }  # fmt: skip


def test_batch_augments_get_their_classes_and_chances():
    augments = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)], probs=[0.3, 0.7])
    model = dict(type='ImageClassifier', head=dict(type='LinearClsHead', num_classes=7, in_channels=3))
    config = config_of({'model': {**model, 'data_preprocessor': {'batch_augments': augments}}, 'default_scope': 'x'})
    assert house_form(config).values['model']['train_cfg']['augments'] == [
        {'type': 'BatchMixup', 'alpha': 0.8, 'num_classes': 7, 'prob': 0.3},
        {'type': 'BatchCutMix', 'alpha': 1.0, 'num_classes': 7, 'prob': 0.7},
    ]


def test_the_command_line_shows_both_forms(segmentation, capsys):
    assert main(['config', 'show', str(segmentation), '--cfg-options', 'optim_wrapper.optimizer.lr=0.5']) == 0
    shown = capsys.readouterr().out
    assert 'lr=0.5' in shown
    assert 'optim_wrapper' not in shown
    assert main(['config', 'show', str(segmentation), '--raw']) == 0
    assert 'optim_wrapper' in capsys.readouterr().out


def test_a_migrated_file_is_the_same_run(segmentation, tmp_path, capsys):
    out = tmp_path / 'house.py'
    assert main(['config', 'migrate', str(segmentation), '--out', str(out)]) == 0
    assert 'optim_wrapper' not in out.read_text()
    assert house_form(load_config(out)).values == house_form(load_config(segmentation)).values
    assert main(['config', 'migrate', str(segmentation), '--out', str(out)]) == 1
    assert 'is not overwritten' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('keys', 'is_training', 'collected', 'lists'),
    [
        (['gt_bbox'], True, ['raw_feature', 'gt_bbox'], ['gt_bbox']),
        (['gt_bbox'], False, ['raw_feature'], []),
        (['reference_temporal_iou', 'bsp_feature'], True, ['reference_temporal_iou', 'bsp_feature'], None),
        (['tmin', 'tmax', 'bsp_feature'], False, ['tmin', 'tmax', 'bsp_feature'], None),
    ],
)
def test_streams_are_packed_as_localizers_take_them(keys, is_training, collected, lists):
    pack = {'type': 'PackLocalizationInputs', 'keys': keys, 'meta_keys': ('video_name',)}
    pipeline = [{'type': 'LoadLocalizationFeature'}, {'type': 'GenerateLocalizationLabels'}, pack]
    steps = [step for step, _ in translate_pipeline(pipeline, 'action', {}, is_training)]
    kinds = [step['type'] for step in steps]
    assert ('GenerateLocalizationLabels' in kinds) == is_training
    collect = steps[kinds.index('Collect')]
    assert (collect['keys'], collect['meta_name']) == (collected, 'video_meta')
    lists = collected if lists is None else lists
    assert [f['key'] for step in steps for f in step.get('fields', ())] == lists
