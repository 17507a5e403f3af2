custom_imports = dict(imports=['mmaction.models.backbones', 'mmaction.models.heads', 'mmaction.models.losses', 'mmaction.core.optimizer', 'mmaction.core.lr'], allow_failed_imports=False)
model = dict(type='Recognizer2D', backbone=dict(type='ResNet', arg1=8, arg2=16), cls_head=dict(type='TSNHead', num_classes=15, in_channels=16, arg1=0.1, loss_cls=dict(type='MyLoss')), train_cfg=None, test_cfg=dict(average_clips='prob'))
pipe = [dict(type='OpenCVInit'), dict(type='SampleFrames', clip_len=1, frame_interval=2, num_clips=3), dict(type='OpenCVDecode'), dict(type='Resize', scale=(64, 64), keep_ratio=False),
  dict(type='Normalize', mean=[128., 128., 128.], std=[60., 60., 60.], to_bgr=False), dict(type='FormatShape', input_format='NCHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]), dict(type='ToTensor', keys=['imgs', 'label'])]
r = '{{ fileDirname }}/../../../data/actions/'
data = dict(videos_per_gpu=8, workers_per_gpu=0, train=dict(type='VideoDataset', ann_file=r+'val.txt', data_prefix=r.rstrip('/'), pipeline=pipe), val=dict(type='VideoDataset', ann_file=r+'val.txt', data_prefix=r.rstrip('/'), pipeline=pipe, test_mode=True))
optimizer = dict(type='SGD', constructor='MyOptimizerConstructor', paramwise_cfg=dict(fc_lr5=True), lr=0.02, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=dict(max_norm=40, norm_type=2))
lr_config = dict(policy='RelativeStep', steps=[20, 40, 60], lrs=[0.1, 0.01, 0.001])
total_epochs = 1
checkpoint_config = dict(interval=1)
evaluation = dict(interval=1, metrics=['top_k_accuracy', 'mean_class_accuracy'])
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook')])
