"""BMN with classes: exercises in the signals of a smart watch (159 segments of 7 exercises in 48 streams).

    intarsia train configs/action/bmn_exercises.py --seed 0

Run it in the root of the repository, where data/exercise_streams lies.

Measured on the 12 validation streams after 30 epochs, in 110 seconds on a CPU core: mAP of 0.874, 0.874, 0.873 and
0.535 at temporal IoU 0.3, 0.5, 0.75 and 0.95, their mean over 0.5 ... 0.95 is 0.836; AR@10 of 0.882, AR@100 of 0.973,
AUC of 94.1. With seeds 1 and 2 the mean is 0.854 and 0.817.
"""

model = dict(
    type='BMN',
    temporal_dim=100,
    boundary_ratio=0.5,
    num_samples=16,
    num_samples_per_bin=3,
    feat_dim=18,
    hidden_dim_1d=128,
    hidden_dim_2d=32,
    hidden_dim_3d=64,
    groups=1,
    num_classes=7,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.3,
    soft_nms_high_threshold=0.5,
    post_process_top_k=100,
    feature_extraction_interval=1,
)

meta = dict(meta_name='video_meta', meta_keys=['video_name', 'duration_second', 'duration_frame'])
train_pipeline = [
    dict(type='LoadLocalizationFeature'),
    dict(type='GenerateLocalizationLabels'),
    dict(type='Collect', keys=['raw_feature', 'gt_bbox', 'gt_labels'], **meta),
    dict(type='ToTensor', keys=['raw_feature', 'gt_bbox', 'gt_labels']),
    dict(type='ToDataContainer', fields=[dict(key='gt_bbox', stack=False), dict(key='gt_labels', stack=False)]),
]
test_pipeline = [
    dict(type='LoadLocalizationFeature'),
    dict(type='Collect', keys=['raw_feature'], **meta),
    dict(type='ToTensor', keys=['raw_feature']),
]
common = dict(
    type='ActivityNetDataset',
    data_prefix='data/exercise_streams/features_100',
    classes='data/exercise_streams/annotations/classes.txt',
)
val = dict(
    **common,
    ann_file='data/exercise_streams/annotations/anet_anno_val.json',
    pipeline=test_pipeline,
    test_mode=True,
)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=0,
    train=dict(**common, ann_file='data/exercise_streams/annotations/anet_anno_train.json', pipeline=train_pipeline),
    val=val,
    test=val,
)

optimizer = dict(type='AdamW', lr=1e-3, weight_decay=1e-2)
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=0)
total_epochs = 30
evaluation = dict(
    interval=10,
    metric=['AR@AN', 'mAP', dict(type='SegmentAP', temporal_iou_thresholds=[0.3], prefix='loose')],
    save_best='mAP',
)
checkpoint_config = dict(interval=10, max_keep_ckpts=2)
log_config = dict(interval=12, hooks=[dict(type='TextLoggerHook')])
