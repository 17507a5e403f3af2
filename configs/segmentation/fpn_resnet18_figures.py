"""Semantic FPN on a slim ResNet-18-V1c: seven body parts of rendered people (460 images, colour).

    intarsia train configs/segmentation/fpn_resnet18_figures.py --seed 0

Run it in the root of the repository, where data/figures lies.

Measured: mIoU 0.442 on the validation images after 900 iterations, in 260 seconds on 2 CPU cores (0.355 after 300).
"""

classes = ('background', 'head', 'torso', 'upper arm', 'lower arm', 'upper leg', 'lower leg')
palette = [[0, 0, 0], [230, 60, 60], [240, 170, 40], [60, 180, 75], [60, 200, 200], [70, 90, 230], [180, 70, 200]]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=32,
        base_channels=32,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(type='FPN', in_channels=[32, 64, 128, 256], out_channels=64, num_outs=4),
    decode_head=dict(
        type='FPNHead',
        in_channels=[64, 64, 64, 64],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=64,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=[
            dict(
                type='CrossEntropyLoss',
                loss_name='loss_ce',
                class_weight=[0.4, 1.0, 1.0, 1.5, 1.5, 1.0, 1.0],
                avg_non_ignore=True,
            ),
            dict(type='DiceLoss', loss_name='loss_dice'),
        ],
    ),
    test_cfg=dict(mode='whole'),
)

img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', img_scale=(256, 256), ratio_range=(0.8, 1.4)),
    dict(type='RandomCrop', crop_size=(192, 192), cat_max_ratio=0.95),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Pad', size=(192, 192), pad_val=0, seg_pad_val=255),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(256, 256),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
common = dict(type='CustomDataset', data_root='data/figures', img_suffix='.jpg', classes=classes, palette=palette)
val = dict(img_dir='images/val', ann_dir='annotations/val', pipeline=test_pipeline, test_mode=True, **common)
data = dict(
    samples_per_gpu=8,
    workers_per_gpu=0,
    train=dict(img_dir='images/train', ann_dir='annotations/train', pipeline=train_pipeline, **common),
    val=val,
    test=val,
)

channels_last = True
optimizer = dict(type='AdamW', lr=2e-3, weight_decay=0.05)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=0, warmup='linear', warmup_iters=50)
runner = dict(type='IterBasedRunner', max_iters=900)
evaluation = dict(interval=300, metric='mIoU', save_best='mIoU')
checkpoint_config = dict(by_epoch=False, interval=300, max_keep_ckpts=2)
log_config = dict(interval=50, hooks=[dict(type='TextLoggerHook')])
ema = dict(momentum=0.01, update_buffers=True)
custom_hooks = [dict(type='CurvesHook')]
