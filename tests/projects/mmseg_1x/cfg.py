custom_imports = dict(imports=['mine'])
default_scope = 'mmseg'
data_preprocessor = dict(type='SegDataPreProcessor', mean=[60., 110., 0.], std=[50., 50., 50.], bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=(96, 96))
model = dict(type='Seg', data_preprocessor=data_preprocessor, backbone=dict(type='Net', width=8), decode_head=dict(type='Head', in_channels=16, in_index=1, channels=8, num_classes=3, norm_cfg=dict(type='BN'), align_corners=False, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)), train_cfg=dict(), test_cfg=dict(mode='whole'))
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=(96, 96), cat_max_ratio=0.95), dict(type='RandomFlip', prob=0.5), dict(type='Shade'), dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
root = '{{ fileDirname }}/../../../data/cells'
train_dataloader = dict(batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True), dataset=dict(type='CellSet', data_root=root, data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'), pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(type='CellSet', data_root=root, data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'), pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='IoUMetric', iou_metrics=['mIoU']), dict(type='PixAcc', prefix='own')]
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005), clip_grad=None)
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=6, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=6)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=2, log_metric_by_epoch=False), param_scheduler=dict(type='ParamSchedulerHook'), checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=6), sampler_seed=dict(type='DistSamplerSeedHook'))
log_processor = dict(by_epoch=False)
