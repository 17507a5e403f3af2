"""PoseC3D, slim, on heat maps of joints: 15 motions of rendered people (195 clips, exact joints).

    intarsia train configs/action/posec3d_actions.py --seed 0

Run it in the root of the repository, where data/actions lies.

Measured: top-1 accuracy of 0.800 on the 60 validation clips after 9 epochs (0.717 after 6), in 80 seconds of a CPU core.
"""

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3dSlowOnly',
        depth=18,
        in_channels=17,
        base_channels=16,
        num_stages=3,
        stage_blocks=(1, 1, 1),
        out_indices=(2,),
        conv1_kernel=(1, 3, 3),
        conv1_stride_s=1,
        with_pool1=False,
        inflate=(1, 1, 1),
        spatial_strides=(2, 2, 2),
        temporal_strides=(1, 2, 2),
        dilations=(1, 1, 1),
    ),
    cls_head=dict(type='I3DHead', num_classes=15, in_channels=64, dropout_ratio=0.3),
    test_cfg=dict(average_clips='prob'),
)

left, right = [1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]
train_pipeline = [
    dict(type='UniformSampleFrames', clip_len=16),
    dict(type='PoseDecode'),
    dict(type='PoseCompact', hw_ratio=1.0, allow_imgpad=True),
    dict(type='Resize', scale=(28, 28), keep_ratio=False),
    dict(type='RandomResizedCrop', area_range=(0.7, 1.0), aspect_ratio_range=(0.8, 1.25)),
    dict(type='Resize', scale=(24, 24), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5, left_kp=left, right_kp=right),
    dict(type='GeneratePoseTarget', sigma=0.6, use_score=False),
    dict(type='FormatShape', input_format='NCTHW_Heatmap'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs', 'label']),
]
test_pipeline = [
    dict(type='UniformSampleFrames', clip_len=16, test_mode=True),
    dict(type='PoseDecode'),
    dict(type='PoseCompact', hw_ratio=1.0, allow_imgpad=True),
    dict(type='Resize', scale=(24, 24), keep_ratio=False),
    dict(type='GeneratePoseTarget', sigma=0.6, use_score=False),
    dict(type='FormatShape', input_format='NCTHW_Heatmap'),
    dict(type='Collect', keys=['imgs'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs']),
]
common = dict(type='PoseDataset', ann_file='data/actions/keypoints_2d.npz')
val = dict(split='val', pipeline=test_pipeline, test_mode=True, **common)
data = dict(
    samples_per_gpu=16,
    workers_per_gpu=0,
    train=dict(type='RepeatDataset', times=4, dataset=dict(split='train', pipeline=train_pipeline, **common)),
    val=val,
    test=val,
)

optimizer = dict(type='AdamW', lr=3e-3, weight_decay=0.05)
optimizer_config = dict(grad_clip=dict(max_norm=5.0))
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=0, warmup='linear', warmup_iters=20)
total_epochs = 9
evaluation = dict(interval=3, save_best='top1_acc')
checkpoint_config = dict(interval=3, max_keep_ckpts=2)
log_config = dict(interval=30, hooks=[dict(type='TextLoggerHook')])
ema = dict(momentum=0.05, update_buffers=True)
custom_hooks = [dict(type='CurvesHook')]
