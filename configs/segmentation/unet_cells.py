"""A small U-Net on real microscopy (36 tiles of a scratch assay, 3 classes).

    intarsia train configs/segmentation/unet_cells.py --seed 0

Run it in the root of the repository, where data/cells lies.

Measured: mIoU 0.749 on the validation tiles after 300 iterations, in 90 seconds on 2 CPU cores (background 0.69,
cytoplasm 0.73, nucleus 0.83); 0.753 with one thread.
"""

classes = ('background', 'cytoplasm', 'nucleus')
palette = [[0, 0, 0], [0, 160, 80], [220, 60, 60]]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='UNet',
        in_channels=3,
        base_channels=16,
        num_stages=4,
        strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2),
        dec_num_convs=(2, 2, 2),
        downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1),
        dec_dilations=(1, 1, 1),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=16,
        in_index=-1,
        channels=16,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=3,
        norm_cfg=norm_cfg,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            dict(type='DiceLoss', loss_name='loss_dice'),
        ],
    ),
    test_cfg=dict(mode='whole'),
)

img_norm_cfg = dict(mean=[60.0, 110.0, 0.0], std=[50.0, 50.0, 50.0], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(96, 96)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='RandomRotate', prob=0.5, degree=45, pad_val=0, seg_pad_val=255),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(192, 96),
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
common = dict(type='CustomDataset', data_root='data/cells', img_suffix='.png', classes=classes, palette=palette)
val = dict(img_dir='images/val', ann_dir='annotations/val', pipeline=test_pipeline, test_mode=True, **common)
data = dict(
    samples_per_gpu=8,
    workers_per_gpu=0,
    val_dataloader=dict(samples_per_gpu=12),
    test_dataloader=dict(samples_per_gpu=12),
    train=dict(img_dir='images/train', ann_dir='annotations/train', pipeline=train_pipeline, **common),
    val=val,
    test=val,
)

optimizer = dict(type='AdamW', lr=5e-3, weight_decay=0.5)
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=0, warmup='linear', warmup_iters=50)
runner = dict(type='IterBasedRunner', max_iters=300)
ema = dict(momentum=0.02, update_buffers=True)
evaluation = dict(interval=50, metric='mIoU', save_best='mIoU')
checkpoint_config = dict(by_epoch=False, interval=100, max_keep_ckpts=2)
log_config = dict(interval=20, hooks=[dict(type='TextLoggerHook')])
custom_hooks = [dict(type='CurvesHook')]
