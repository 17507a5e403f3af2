norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder', pretrained=None, backbone=dict(type='TinyNet', width=8),
    decode_head=dict(
        type='FCNHead', in_channels=8, in_index=1, channels=8, num_convs=1, concat_input=False, dropout_ratio=0.1,
        num_classes=3, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='RandomFlip', prob=0.5),
    dict(type='Normalize', **img_norm_cfg), dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_semantic_seg'])]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(64, 64), flip=False, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **img_norm_cfg),
        dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
dataset = dict(type='CustomDataset', data_root='data', classes=('a', 'b', 'c'), palette=[[0, 0, 0], [0, 255, 0], [255, 0, 0]],
               img_suffix='.png', seg_map_suffix='.png')
data = dict(
    samples_per_gpu=4, workers_per_gpu=0,
    train=dict(img_dir='images', ann_dir='masks', pipeline=train_pipeline, **dataset),
    val=dict(img_dir='images', ann_dir='masks', pipeline=test_pipeline, **dataset),
    test=dict(img_dir='images', ann_dir='masks', pipeline=test_pipeline, **dataset))
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook', by_epoch=False)])
dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = None
workflow = [('train', 1)]
cudnn_benchmark = True
optimizer = dict(type='AdamW', lr=0.001, weight_decay=0.01)
optimizer_config = dict()
lr_config = dict(policy='poly', warmup='linear', warmup_iters=2, warmup_ratio=1e-6, power=1.0, min_lr=0.0, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=4)
checkpoint_config = dict(by_epoch=False, interval=4)
evaluation = dict(interval=4, metric='mIoU', pre_eval=True)
