custom_imports = dict(imports=['mmpose.models.backbones', 'mmpose.models.keypoint_heads', 'mmpose.models.losses'], allow_failed_imports=False)
channel_cfg = dict(num_output_channels=17, dataset_joints=17, dataset_channel=[list(range(17))], inference_channel=list(range(17)))
head = 'BaseDerivedHead'
model = dict(type='TopDown', pretrained=None, backbone=dict(type='MyModel', arg1=8, arg2=16),
  keypoint_head=dict(type='BaseDerivedHead', in_channels=16, out_channels=17, loss_keypoint=dict(type='MyLoss', use_target_weight=True)),
  train_cfg=dict(), test_cfg=dict(flip_test=True, post_process='default', shift_heatmap=True, modulate_kernel=11))
data_cfg = dict(image_size=[96, 128], heatmap_size=[24, 32], num_output_channels=17, num_joints=17, dataset_channel=channel_cfg['dataset_channel'], inference_channel=channel_cfg['inference_channel'],
  soft_nms=False, nms_thr=1.0, oks_thr=0.9, vis_thr=0.2, use_gt_bbox=True, det_bbox_thr=0.0, bbox_file='')
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='TopDownGetBboxCenterScale', padding=1.25), dict(type='TopDownRandomFlip', flip_prob=0.5), dict(type='TopDownAffine'), dict(type='ToTensor'),
  dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]), dict(type='TopDownGenerateTarget', sigma=2),
  dict(type='Collect', keys=['img', 'target', 'target_weight'], meta_keys=['image_file', 'joints_3d', 'joints_3d_visible', 'center', 'scale', 'rotation', 'bbox_score', 'flip_pairs'])]
val_pipeline = [dict(type='LoadImageFromFile'), dict(type='TopDownGetBboxCenterScale', padding=1.25), dict(type='TopDownAffine'), dict(type='ToTensor'),
  dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
  dict(type='Collect', keys=['img'], meta_keys=['image_file', 'center', 'scale', 'rotation', 'bbox_score', 'flip_pairs'])]
r = '{{ fileDirname }}/../../../data/figures/'
data = dict(samples_per_gpu=16, workers_per_gpu=0,
 train=dict(type='TopDownCocoDataset', ann_file=r+'annotations/person_keypoints_val.json', img_prefix=r+'images/val/', data_cfg=data_cfg, pipeline=train_pipeline),
 val=dict(type='TopDownCocoDataset', ann_file=r+'annotations/person_keypoints_val.json', img_prefix=r+'images/val/', data_cfg=data_cfg, pipeline=val_pipeline),
 test=dict(type='TopDownCocoDataset', ann_file=r+'annotations/person_keypoints_val.json', img_prefix=r+'images/val/', data_cfg=data_cfg, pipeline=val_pipeline))
optimizer = dict(type='Adam', lr=5e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', warmup='linear', warmup_iters=5, warmup_ratio=0.001, step=[170, 200])
total_epochs = 1
evaluation = dict(interval=1, metric='mAP', save_best='AP')
checkpoint_config = dict(interval=1)
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook')])
