custom_imports = dict(imports=['mine'], allow_failed_imports=False)
default_scope = 'mmaction'
model = dict(type='Recognizer3D', backbone=dict(type='Frames', width=8), cls_head=dict(type='PoolHead', num_classes=15, in_channels=8, dropout_ratio=0.1, average_clips='prob'),
  data_preprocessor=dict(type='ActionDataPreprocessor', mean=[128., 128., 128.], std=[60., 60., 60.], format_shape='NCTHW'))
root = '{{ fileDirname }}/../../../data/actions/'
pipe = [dict(type='OpenCVInit'), dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=1), dict(type='OpenCVDecode'), dict(type='Resize', scale=(64, 64), keep_ratio=False), dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
tpipe = [dict(type='OpenCVInit'), dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=1, test_mode=True), dict(type='OpenCVDecode'), dict(type='Resize', scale=(64, 64), keep_ratio=False), dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
train_dataloader = dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(type='Videos', ann_file=root + 'val.txt', data_prefix=dict(video=root), pipeline=pipe))
val_dataloader = dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(type='Videos', ann_file=root + 'val.txt', data_prefix=dict(video=root), pipeline=tpipe, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = [dict(type='AccMetric'), dict(type='TopOne')]
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9), clip_grad=dict(max_norm=40, norm_type=2))
param_scheduler = [dict(type='MultiStepLR', begin=0, end=1, by_epoch=True, milestones=[1], gamma=0.1)]
default_hooks = dict(runtime_info=dict(type='RuntimeInfoHook'), timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=2, ignore_last=False), param_scheduler=dict(type='ParamSchedulerHook'), checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto'), sampler_seed=dict(type='DistSamplerSeedHook'), sync_buffers=dict(type='SyncBuffersHook'))
