"""Names of MMSegmentation alone."""

from __future__ import annotations

SEGMENTATION: dict[str, str] = {
    'registry': 'SEGMENTORS ATTENTION=ATTENTION/MODELS PIXEL_SAMPLERS',
    'openmmlab.builders': 'build_segmentor build_pixel_sampler',
    'openmmlab.models.segmentation': (
        'BaseSegmentor EncoderDecoder CascadeEncoderDecoder BaseDecodeHead MLP add_prefix'
    ),
    'openmmlab.models.base': 'BaseModel SegDataPreProcessor=BaseDataPreprocessor',
    'openmmlab.structures': 'SegDataSample BaseDataElement PixelData',
    'openmmlab.datasets': 'CustomDataset=SegDataset',
    'openmmlab.datasets_second': 'BaseSegDataset',
    'openmmlab.segmentation': (
        'get_palette get_classes intersect_and_union eval_metrics mean_iou ASPPModule DepthwiseSeparableASPPModule'
    ),
    'openmmlab.runs': 'train_segmentor',
    'openmmlab.inference': 'init_segmentor inference_segmentor inference_model show_result_pyplot',
    'openmmlab.types': (
        'ConfigType OptConfigType MultiConfig OptMultiConfig SampleList OptSampleList ForwardResults '
        'TensorDict TensorList'
    ),
    'tasks.segmentation.decode_head': 'BaseCascadeDecodeHead',
    'tasks.segmentation.losses.accuracy': 'accuracy',
    'tasks.segmentation.losses.class_weight': 'get_class_weight=read_class_weight',
    'models.losses.weighted': 'weighted_loss weight_reduce_loss',
    'nn.resize': 'resize Upsample',
    'nn.embed': 'PatchEmbed PatchMerging',
    'nn.squeeze_excite': 'SELayer',
    'nn.channels': 'make_divisible',
    'nn.drop': 'DropPath',
}
