custom_imports = dict(imports=['mmcls.models.backbones', 'mmcls.models.necks', 'mmcls.models.heads', 'mmcls.models.losses', 'mine'], allow_failed_imports=False)
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8, num_stages=4, out_indices=(3,), style='pytorch'),
  neck=dict(type='GlobalAveragePooling'),
  head=dict(type='MyClsHead', num_classes=3, in_channels=64, hidden_dim=16, loss=dict(type='L1Loss', loss_weight=1.0)))
data_preprocessor = dict(num_classes=3, mean=[128., 128., 128.], std=[60., 60., 60.], to_rgb=True)
ds = dict(type='Blobs', data_root='root', ann_file='list.txt')
train_pipeline = [dict(type='AddNoise', sigma=2.0), dict(type='RandomFlip', prob=0.5, direction='horizontal'), dict(type='PackInputs')]
train_dataloader = dict(batch_size=6, num_workers=0, dataset=dict(**ds, pipeline=train_pipeline), sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=6, num_workers=0, dataset=dict(**ds, test_mode=True, pipeline=[dict(type='PackInputs')]), sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='PerClass', thr=0.3)]
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[2], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=2), param_scheduler=dict(type='ParamSchedulerHook'), checkpoint=dict(type='CheckpointHook', interval=1), sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [dict(type='Speak')]
randomness = dict(seed=0)
