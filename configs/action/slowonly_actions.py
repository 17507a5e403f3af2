"""SlowOnly, slim, on differences of frames: 15 motions of rendered people (195 clips from other views).

    intarsia train configs/action/slowonly_actions.py --seed 0

Run it in the root of the repository, where data/actions lies.

Measured: top-1 accuracy of 0.767 on the 60 validation clips after 8 epochs (0.650 after 4). An iteration takes 0.65
seconds on 2 free CPU cores, all 488 and the evaluations five and a half minutes.
"""

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3dSlowOnly',
        depth=18,
        base_channels=32,
        conv1_kernel=(3, 5, 5),
        conv1_stride_s=2,
        pool1_stride_s=2,
        inflate=(1, 1, 1, 1),
        temporal_strides=(1, 2, 2, 1),
    ),
    cls_head=dict(type='I3DHead', num_classes=15, in_channels=256, dropout_ratio=0.5),
    test_cfg=dict(average_clips='prob'),
)

normalize = dict(type='Normalize', mean=[128.0, 128.0, 128.0], std=[20.0, 20.0, 20.0])
train_pipeline = [
    dict(type='OpenCVInit'),
    dict(type='SampleFrames', clip_len=17, frame_interval=2, num_clips=1),
    dict(type='OpenCVDecode'),
    dict(type='FrameDifference'),
    dict(type='Resize', scale=(76, 76), keep_ratio=False),
    dict(type='RandomResizedCrop', area_range=(0.6, 1.0), aspect_ratio_range=(0.8, 1.25)),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    normalize,
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs', 'label']),
]
test_pipeline = [
    dict(type='OpenCVInit'),
    dict(type='SampleFrames', clip_len=17, frame_interval=2, num_clips=2, test_mode=True),
    dict(type='OpenCVDecode'),
    dict(type='FrameDifference'),
    dict(type='Resize', scale=(72, 72), keep_ratio=False),
    dict(type='CenterCrop', crop_size=64),
    normalize,
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs']),
]
common = dict(type='VideoDataset', data_prefix='data/actions', classes='data/actions/classes.txt')
val = dict(ann_file='data/actions/val.txt', pipeline=test_pipeline, test_mode=True, **common)
data = dict(
    samples_per_gpu=16,
    workers_per_gpu=0,
    train=dict(
        type='RepeatDataset',
        times=5,
        dataset=dict(ann_file='data/actions/train.txt', pipeline=train_pipeline, **common),
    ),
    val=val,
    test=val,
)

optimizer = dict(type='AdamW', lr=2e-3, weight_decay=0.1)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=0, warmup='linear', warmup_iters=50)
total_epochs = 8
ema = dict(momentum=0.02, update_buffers=True)
evaluation = dict(interval=4, save_best='top1_acc')
checkpoint_config = dict(interval=4, max_keep_ckpts=2)
log_config = dict(interval=20, hooks=[dict(type='TextLoggerHook')])
custom_hooks = [dict(type='CurvesHook')]
