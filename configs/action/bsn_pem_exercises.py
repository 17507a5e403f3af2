"""BSN, second stage: how well proposed segments fit exercises in the signals of a smart watch.

    intarsia train configs/action/bsn_pem_exercises.py --seed 0

Run it in the root of the repository, after configs/action/bsn_tem_exercises.py, which says how the proposals are made.

Measured on the 12 validation streams after 20 epochs, in half a minute on 2 CPU cores: mAP of 0.929, 0.929, 0.916 and
0.362 at temporal IoU 0.3, 0.5, 0.75 and 0.95, their mean over 0.5 ... 0.95 is 0.840; AR@10 of 0.898, AR@100 of 0.936,
AUC of 90.3. With seed 1 for both stages the mean is 0.854.
"""

_base_ = 'bmn_exercises.py'

model = dict(
    _delete_=True,
    type='PEM',
    pem_feat_dim=32,
    pem_hidden_dim=256,
    pem_u_ratio_m=1,
    pem_u_ratio_l=2,
    pem_high_temporal_iou_threshold=0.6,
    pem_low_temporal_iou_threshold=0.2,
    fc1_ratio=1,
    fc2_ratio=1,
    balanced=True,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.3,
    soft_nms_high_threshold=0.5,
    post_process_top_k=100,
    feature_extraction_interval=1,
)

proposals = dict(pgm_proposals_dir='work_dirs/bsn/pgm_proposals', pgm_features_dir='work_dirs/bsn/pgm_features')
meta = dict(meta_name='video_meta', meta_keys=['video_name', 'duration_second', 'duration_frame'])
train_keys = ['bsp_feature', 'reference_temporal_iou']
train_pipeline = [
    dict(type='LoadProposals', top_k=500, **proposals),
    dict(type='Collect', keys=train_keys, **meta),
    dict(type='ToTensor', keys=train_keys),
    dict(type='ToDataContainer', fields=[dict(key=key, stack=False) for key in train_keys]),
]
test_keys = ['bsp_feature', 'tmin', 'tmax', 'tmin_score', 'tmax_score', 'class_scores']
test_pipeline = [
    dict(type='LoadProposals', top_k=1000, **proposals),
    dict(type='Collect', keys=test_keys, **meta),
    dict(type='ToTensor', keys=test_keys),
    dict(type='ToDataContainer', fields=[dict(key=key, stack=False) for key in test_keys]),
]
data = dict(
    samples_per_gpu=8,
    train=dict(pipeline=train_pipeline),
    val=dict(pipeline=test_pipeline),
    test=dict(pipeline=test_pipeline),
)
total_epochs = 20
