custom_imports = dict(imports=['taa'])
norm_cfg = dict(type='SyncBN', requires_grad=True)
inner = dict(type='EncoderDecoder', backbone=dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, strides=(1,2,1,1), dilations=(1,1,2,4), norm_cfg=norm_cfg, contract_dilation=True), decode_head=dict(type='FCNHead', in_channels=64, in_index=3, channels=8, num_convs=1, num_classes=3, norm_cfg=norm_cfg, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)), train_cfg=dict(), test_cfg=dict(mode='slide', crop_size=(64,64), stride=(48,48)))
model = dict(type='SelfTraining', model=inner)
img_norm_cfg = dict(mean=[60., 110., 0.], std=[50., 50., 50.], to_rgb=True)
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=(96, 96)), dict(type='RandomFlip', prob=0.5), dict(type='Normalize', **img_norm_cfg), dict(type='MyFormat'), dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='MultiScaleFlipAug', img_scale=(192, 96), flip=False, transforms=[dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **img_norm_cfg), dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
root = '{{ fileDirname }}/../../../data/cells'
data = dict(samples_per_gpu=4, workers_per_gpu=0,
  train=dict(type='CustomDataset', data_root=root, img_suffix='.png', classes=('background','cytoplasm','nucleus'), img_dir='images/train', ann_dir='annotations/train', pipeline=train_pipeline),
  val=dict(type='CustomDataset', data_root=root, img_suffix='.png', classes=('background','cytoplasm','nucleus'), img_dir='images/val', ann_dir='annotations/val', pipeline=test_pipeline),
  test=dict(type='CustomDataset', data_root=root, img_suffix='.png', classes=('background','cytoplasm','nucleus'), img_dir='images/val', ann_dir='annotations/val', pipeline=test_pipeline))
optimizer = dict(type='AdamW', lr=6e-05, betas=(0.9, 0.999), weight_decay=0.01, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
optimizer_config = None
lr_config = dict(policy='poly', power=0.9, min_lr=1e-4, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=6)
checkpoint_config = dict(by_epoch=False, interval=6)
evaluation = dict(interval=6, metric='mIoU')
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook', by_epoch=False)])

