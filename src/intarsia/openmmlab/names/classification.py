"""Names of MMClassification and MMPretrain alone."""

from __future__ import annotations

CLASSIFICATION: dict[str, str] = {
    'registry': 'CLASSIFIERS ATTENTION=ATTENTION/MODELS BATCH_AUGMENTS AUGMENT=AUGMENT/BATCH_AUGMENTS',
    'openmmlab.builders': 'build_classifier',
    'openmmlab.models.classification': 'BaseClassifier ImageClassifier ClsHead BaseHead LinearClsHead',
    'openmmlab.models.base': 'BaseModel BaseDataPreprocessor ClsDataPreprocessor=BaseDataPreprocessor',
    'openmmlab.structures': 'DataSample',
    'openmmlab.datasets_second': 'BaseDataset',
    'openmmlab.inference': 'inference_model',
    'models.backbones.backbone': 'BaseBackbone=Backbone',
    'models.losses.weighted': 'weighted_loss weight_reduce_loss',
    'models.losses.accuracy': 'accuracy',
    'nn.norm': 'build_norm_layer LayerNorm2d GRN=GlobalResponseNorm',
    'nn.channels': 'make_divisible',
    'nn.channel_shuffle': 'channel_shuffle',
    'nn.squeeze_excite': 'SELayer',
    'nn.layer_scale': 'LayerScale',
    'nn.ffn': 'SwiGLUFFN',
    'nn.attention': 'MultiheadAttention WindowMSA ShiftWindowMSA',
    'nn.embed': 'PatchEmbed PatchMerging resize_pos_embed resize_relative_position_bias_table',
}

FIRST_CLASSIFICATION: dict[str, str] = {
    'openmmlab.datasets': 'BaseDataset=ClassDataset',
}
"""What MMClassification's name means otherwise."""
