"""What to use instead of names that are not served: the beginning of a dotted name -> a sentence."""

from __future__ import annotations

INSTEAD: dict[str, str] = {
    'mmcv.ops': (
        'Compiled operators are not part of this package; torchvision.ops has nms, roi_align and deform_conv2d.'
    ),
    'mmcv.onnx': 'torch.onnx exports every model of this package.',
    'mmcv.tensorrt': 'torch.onnx exports every model of this package; TensorRT reads the file.',
    'mmcv.video': 'cv2.VideoCapture and cv2.calcOpticalFlowFarneback do this.',
    'mmcv.runner.IterLoader': 'IterBasedRunner goes through its loader again and again by itself.',
    'mmcv.runner.PaviLoggerHook': 'Use TensorboardLoggerHook or WandbLoggerHook.',
    'mmcv.runner.NeptuneLoggerHook': 'Use TensorboardLoggerHook or WandbLoggerHook.',
    'mmcv.runner.DvcliveLoggerHook': 'Use MlflowLoggerHook or WandbLoggerHook.',
    'mmengine.runner.FlexibleRunner': "The config field strategy = 'fsdp' shards the model.",
    'mmengine._strategy': "The config field strategy = 'fsdp' shards the model.",
    'mmengine.runner.loops': 'The loop is that of the runner; a hook can do what a loop was subclassed for.',
    'mmengine.optim.optimizer.apex_optimizer_wrapper': "The config field precision = 'bf16' or 'fp16' does this.",
    'mmengine.visualization': (
        'intarsia browse and intarsia predict draw; TensorboardLoggerHook and WandbLoggerHook log.'
    ),
    'mmengine.hub': 'intarsia.load(config, checkpoint) gives a model.',
    'mmseg.core.utils.dist_utils': 'intarsia train with torchrun reduces gradients.',
    'mmdet': 'Detection is not part of this package; guard the import with try/except ImportError.',
    'mmaction.models.roi_heads': 'Spatio-temporal detection is not part of this package.',
    'mmaction.models.multimodal': 'Models of text are not part of this package.',
    'mmpretrain.models.multimodal': 'Models of text are not part of this package.',
    'mmpose.models.detectors.interhand_3d': 'Only poses in the image plane are part of this package.',
    'mmpose.models.mesh_heads': 'Only poses in the image plane are part of this package.',
    'mmpose.apis.webcam': 'intarsia predict takes videos.',
    'mmcls.apis.test': 'intarsia test CONFIG CHECKPOINT evaluates.',
}
