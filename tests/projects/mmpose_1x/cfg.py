custom_imports = dict(imports=['mine'], allow_failed_imports=False)
default_scope = 'mmpose'
codec = dict(type='Blob', input_size=(96, 128), heatmap_size=(24, 32), sigma=2)
model = dict(type='TopdownPoseEstimator', data_preprocessor=dict(type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
  backbone=dict(type='Conv', width=8), head=dict(type='MapHead', in_channels=16, out_channels=17, loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=codec), test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
train_pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='RandomFlip', direction='horizontal'), dict(type='Jitter', amount=2.0), dict(type='TopdownAffine', input_size=codec['input_size']), dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
val_pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=codec['input_size']), dict(type='PackPoseInputs')]
root = '{{ fileDirname }}/../../../data/figures/'
train_dataloader = dict(batch_size=16, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(type='Figures', data_root=root, data_mode='topdown', ann_file='annotations/person_keypoints_val.json', data_prefix=dict(img='images/val/'), pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, num_workers=0, drop_last=False, sampler=dict(type='DefaultSampler', shuffle=False, round_up=False), dataset=dict(type='Figures', data_root=root, data_mode='topdown', ann_file='annotations/person_keypoints_val.json', data_prefix=dict(img='images/val/'), test_mode=True, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='PCKAccuracy', thr=0.2, norm_item='bbox'), dict(type='Dist')]
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-4))
param_scheduler = [dict(type='LinearLR', begin=0, end=5, start_factor=0.001, by_epoch=False), dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1, by_epoch=True)]
train_cfg = dict(max_epochs=1, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=2), param_scheduler=dict(type='ParamSchedulerHook'), checkpoint=dict(type='CheckpointHook', interval=1, save_best='own/dist', rule='less'), sampler_seed=dict(type='DistSamplerSeedHook'))
