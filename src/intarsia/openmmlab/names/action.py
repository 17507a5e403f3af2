"""Names of MMAction2 alone."""

from __future__ import annotations

ACTION: dict[str, str] = {
    'registry': ('RECOGNIZERS LOCALIZERS BLENDINGS=BLENDINGS/BATCH_AUGMENTS MODULE_HOOKS'),
    'openmmlab.builders': 'build_recognizer build_localizer build_model',
    'openmmlab.models.action': 'BaseRecognizer Recognizer2D Recognizer3D BaseHead BaseWeightedLoss',
    'openmmlab.models.base': 'BaseModel ActionDataPreprocessor=BaseDataPreprocessor',
    'openmmlab.structures': 'ActionDataSample InstanceData',
    'openmmlab.datasets': 'BaseDataset=ActionDataset',
    'openmmlab.datasets_second': 'BaseActionDataset',
    'openmmlab.action': ('top_k_accuracy mean_class_accuracy mean_average_precision confusion_matrix softmax'),
    'openmmlab.inference': 'init_recognizer inference_recognizer',
    'openmmlab.types': ('ConfigType OptConfigType MultiConfig OptMultiConfig SampleList OptSampleList ForwardResults'),
}
