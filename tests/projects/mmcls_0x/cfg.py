custom_imports = dict(imports='mine', allow_failed_imports=False)
model = dict(type='OwnClassifier', backbone=dict(type='Tiny', width=8), neck=dict(type='MyPool'), head=dict(type='OldHead', num_classes=3, in_channels=8, cal_acc=True, topk=(1, 2), loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
norm = dict(mean=[128., 128., 128.], std=[60., 60., 60.], to_rgb=True)
train_pipeline = [dict(type='Gray'), dict(type='RandomFlip', flip_prob=0.5, direction='horizontal'), dict(type='Normalize', **norm), dict(type='ImageToTensor', keys=['img']), dict(type='ToTensor', keys=['gt_label']), dict(type='Collect', keys=['img', 'gt_label'], meta_keys=[])]
test_pipeline = [dict(type='Gray'), dict(type='Normalize', **norm), dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'], meta_keys=[])]
data = dict(samples_per_gpu=6, workers_per_gpu=0, train=dict(type='Rows', data_prefix='x', pipeline=train_pipeline), val=dict(type='Rows', data_prefix='x', pipeline=test_pipeline, test_mode=True), test=dict(type='Rows', data_prefix='x', pipeline=test_pipeline, test_mode=True))
optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
optimizer_config = dict(type='DistOptHook', update_interval=2, grad_clip=dict(max_norm=5.), use_fp16=False)
lr_config = dict(policy='step', step=[1])
runner = dict(type='EpochBasedRunner', max_epochs=2)
checkpoint_config = dict(interval=1)
evaluation = dict(interval=1, metric='accuracy', save_best='own_acc')
log_config = dict(interval=1, hooks=[dict(type='TextLoggerHook')])
