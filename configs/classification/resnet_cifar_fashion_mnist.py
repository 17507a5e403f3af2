"""A narrow ResNet on the embedded part of Fashion-MNIST: the quick start.

    intarsia train intarsia::classification/resnet_cifar_fashion_mnist.py --seed 0

6,000 training and 1,000 test images of clothes, 28x28, grey. RESULT
"""

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        in_channels=1,
        stem_channels=16,
        base_channels=16,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=64,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        topk=(1, 5),
    ),
)

img_norm_cfg = dict(mean=[72.94], std=[90.02], to_rgb=False)
train_pipeline = [
    dict(type='RandomCrop', size=28, padding=2),
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
    samples_per_gpu=64,
    workers_per_gpu=0,
    train=dict(type='FashionMNIST', data_prefix='intarsia::fashion_mnist', pipeline=train_pipeline),
    val=dict(type='FashionMNIST', data_prefix='intarsia::fashion_mnist', pipeline=test_pipeline, test_mode=True),
    test=dict(type='FashionMNIST', data_prefix='intarsia::fashion_mnist', pipeline=test_pipeline, test_mode=True),
)

optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
optimizer_config = dict(grad_clip=None)
lr_config = dict(
    policy='CosineAnnealing', by_epoch=False, min_lr=0, warmup='linear', warmup_iters=1, warmup_by_epoch=True
)
runner = dict(type='EpochBasedRunner', max_epochs=10)

evaluation = dict(interval=1, metric='accuracy', save_best='accuracy_top-1')
checkpoint_config = dict(interval=1, max_keep_ckpts=2)
log_config = dict(interval=30, hooks=[dict(type='TextLoggerHook')])
custom_hooks = [dict(type='CurvesHook'), dict(type='ConfusionMatrixHook')]
