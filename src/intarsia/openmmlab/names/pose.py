"""Names of MMPose alone."""

from __future__ import annotations

POSE: dict[str, str] = {
    'registry': ('POSENETS MESH_MODELS=MESH_MODELS/MODELS KEYPOINT_CODECS=KEYPOINT_CODECS/CODECS'),
    'openmmlab.builders': 'build_posenet build_pose_estimator',
    'openmmlab.models.pose': (
        'BasePose TopDown TopdownHeatmapBaseHead BasePoseEstimator TopdownPoseEstimator BaseHead BaseKeypointCodec'
    ),
    'openmmlab.models.base': 'BaseModel PoseDataPreprocessor=BaseDataPreprocessor',
    'openmmlab.structures': 'PoseDataSample InstanceData PixelData',
    'openmmlab.datasets': 'Kpt2dSviewRgbImgTopDownDataset=PoseDataset',
    'openmmlab.datasets_second': 'BaseCocoStyleDataset',
    'openmmlab.pose': (
        'flip_back transform_preds get_affine_transform get_warp_matrix get_udp_warp_matrix affine_transform '
        'to_numpy fliplr_joints'
    ),
    'tasks.pose.metrics.oks': 'oks_nms soft_oks_nms oks_iou',
    'tasks.pose.metrics.distances': 'keypoint_pck_accuracy keypoint_auc keypoint_nme keypoint_epe',
    'openmmlab.inference': (
        'init_pose_model inference_top_down_pose_model inference_topdown vis_pose_result process_mmdet_results'
    ),
    'openmmlab.types': (
        'ConfigType OptConfigType MultiConfig OptMultiConfig SampleList OptSampleList InstanceList '
        'PixelDataList Predictions Features'
    ),
    'models.backbones.backbone': 'BaseBackbone=Backbone',
    'tasks.pose.dataset_info': 'DatasetInfo',
    'tasks.pose.codecs.flip': 'flip_heatmaps flip_vectors',
    'tasks.pose.metrics.training_accuracy': ('pose_pck_accuracy simcc_pck_accuracy multilabel_classification_accuracy'),
    'nn.resize': 'resize',
    'nn.channels': 'make_divisible',
    'nn.channel_shuffle': 'channel_shuffle',
    'nn.squeeze_excite': 'SELayer',
}
