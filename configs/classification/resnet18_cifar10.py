"""ResNet-18 on CIFAR-10, the full recipe.

    intarsia train intarsia::classification/resnet18_cifar10.py

Put the python version of CIFAR-10 (the folder ``cifar-10-batches-py``) into ``data/cifar10``. The settings are those of
MMClassification's resnet18_8xb16_cifar10, whose published accuracy is 94.82 %; on one device the batch of 128 is whole.
Not measured here: it takes hours on a CPU.
"""

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, num_stages=4, out_indices=(3,), style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=512, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

img_norm_cfg = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False)
train_pipeline = [
    dict(type='RandomCrop', size=32, padding=4),
    dict(type='RandomFlip', flip_prob=0.5, direction='horizontal'),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label']),
]
test_pipeline = [
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img']),
]
data = dict(
    samples_per_gpu=128,
    workers_per_gpu=2,
    train=dict(type='CIFAR10', data_prefix='data/cifar10', pipeline=train_pipeline),
    val=dict(type='CIFAR10', data_prefix='data/cifar10', pipeline=test_pipeline, test_mode=True),
    test=dict(type='CIFAR10', data_prefix='data/cifar10', pipeline=test_pipeline, test_mode=True),
)

optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[100, 150])
runner = dict(type='EpochBasedRunner', max_epochs=200)

evaluation = dict(interval=1, metric='accuracy', save_best='accuracy_top-1')
checkpoint_config = dict(interval=10, max_keep_ckpts=3)
log_config = dict(interval=100, hooks=[dict(type='TextLoggerHook')])
