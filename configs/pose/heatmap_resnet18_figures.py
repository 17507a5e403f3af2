"""Heat maps from a slim ResNet-18: the 17 joints of rendered people (623 people in 460 images).

    intarsia train configs/pose/heatmap_resnet18_figures.py --seed 0

Run it in the root of the repository, where data/figures lies.

Measured: PCK@0.2 of 0.789 on the validation people after 40 epochs (0.781, 0.780 and 0.787 after 10, 20 and 30). An
iteration takes 0.13 seconds on 2 free CPU cores, all 1,560 and the evaluations less than four minutes.
"""

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='TopDown',
    codec=dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=2, unbiased=True),
    backbone=dict(type='ResNet', depth=18, stem_channels=32, base_channels=32, norm_cfg=norm_cfg, norm_eval=False),
    keypoint_head=dict(
        type='TopdownHeatmapSimpleHead',
        in_channels=256,
        out_channels=17,
        num_deconv_filters=(64, 64, 64),
        loss_keypoint=dict(type='JointsMSELoss', use_target_weight=True, loss_weight=1000.0),
    ),
    test_cfg=dict(flip_test=True, shift_heatmap=True),
)

normalize = dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TopDownGetBboxCenterScale', padding=1.25),
    dict(type='TopDownRandomFlip', flip_prob=0.5),
    dict(type='TopDownGetRandomScaleRotation', rot_factor=30, scale_factor=0.25),
    dict(type='TopDownAffine'),
    dict(type='PhotometricDistortion'),
    dict(type='ToTensor'),
    normalize,
    dict(type='GenerateTarget'),
    dict(type='Collect', keys=['img', 'target', 'target_weight']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TopDownGetBboxCenterScale', padding=1.25),
    dict(type='TopDownAffine'),
    dict(type='ToTensor'),
    normalize,
    dict(type='Collect', keys=['img']),
]
val = dict(
    type='TopDownCocoDataset',
    ann_file='data/figures/annotations/person_keypoints_val.json',
    img_prefix='data/figures/images/val/',
    pipeline=test_pipeline,
    test_mode=True,
)
data = dict(
    samples_per_gpu=16,
    workers_per_gpu=0,
    train=dict(
        type='TopDownCocoDataset',
        ann_file='data/figures/annotations/person_keypoints_train.json',
        img_prefix='data/figures/images/train/',
        pipeline=train_pipeline,
    ),
    val=val,
    test=val,
)

channels_last = True
optimizer = dict(type='AdamW', lr=4e-3, weight_decay=0.1)
ema = dict(momentum=0.02, update_buffers=True)
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=0, warmup='linear', warmup_iters=50)
total_epochs = 40
evaluation = dict(interval=10, metric=[dict(type='PCKAccuracy', thr=0.2, norm_item='bbox'), 'mAP'], save_best='PCK')
checkpoint_config = dict(interval=5, max_keep_ckpts=2)
log_config = dict(interval=10, hooks=[dict(type='TextLoggerHook')])
custom_hooks = [dict(type='CurvesHook')]
