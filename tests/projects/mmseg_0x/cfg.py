custom_imports = dict(imports=['mmseg.models.backbones', 'mmseg.models.losses', 'mmseg.models.decode_heads', 'mmseg.core.optimizer', 'mine'], allow_failed_imports=False)
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(type='MySegmentor', backbone=dict(type='MobileNet', arg1=8, arg2=16),
  decode_head=dict(type='PSPHead', in_channels=16, in_index=1, channels=8, pool_scales=(1,2), num_classes=3, norm_cfg=norm_cfg, align_corners=False, loss_decode=[dict(type='MyLoss', loss_weight=1.0), dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)]),
  train_cfg=dict(), test_cfg=dict(mode='whole'))
img_norm_cfg = dict(mean=[60., 110., 0.], std=[50., 50., 50.], to_rgb=True)
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='Brighten', amount=5), dict(type='RandomCrop', crop_size=(96, 96)), dict(type='RandomFlip', prob=0.5), dict(type='Normalize', **img_norm_cfg), dict(type='DefaultFormatBundle'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='MultiScaleFlipAug', img_scale=(192, 96), flip=False, transforms=[dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **img_norm_cfg), dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
root = '{{ fileDirname }}/../../../data/cells'
data = dict(samples_per_gpu=4, workers_per_gpu=0,
  train=dict(type='Cells', data_root=root, img_dir='images/train', ann_dir='annotations/train', pipeline=train_pipeline),
  val=dict(type='Cells', data_root=root, img_dir='images/val', ann_dir='annotations/val', pipeline=test_pipeline),
  test=dict(type='Cells', data_root=root, img_dir='images/val', ann_dir='annotations/val', pipeline=test_pipeline))
optimizer = dict(type='MyOptimizer', a=0.01, b=1, c=2, constructor='CocktailOptimizerConstructor')
optimizer_config = dict()
lr_config = dict(policy='poly', power=0.9, min_lr=1e-4, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=6)
checkpoint_config = dict(by_epoch=False, interval=6)
evaluation = dict(interval=6, metric='mIoU')
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook', by_epoch=False)])
custom_hooks = [dict(type='MyHook', a=1, b=2, priority='NORMAL')]
