"""The names of the old packages: every one in the tables leads somewhere, and those that projects use are there."""

import importlib
import sys

import pytest

import intarsia.openmmlab  # noqa: F401 - what is tested
from intarsia.openmmlab.finder import known_modules
from intarsia.openmmlab.names import PACKAGES, places

USED = {
    'mmcv': 'mkdir_or_exist Config dump __version__ imresize DictAction imread imrescale ProgressBar is_list_of scandir '
    'imfrombytes imwrite track_parallel_progress track_progress __path__ impad load bgr2rgb FileClient imshow symlink '
    'get_logger print_log slice_list digit_version imflip_ iminvert imnormalize imrotate is_str is_tuple_of '
    'list_from_file',
    'mmcv.runner': 'load_checkpoint get_dist_info init_dist BaseModule wrap_fp16_model OptimizerHook '
    'DefaultOptimizerConstructor HOOKS OPTIMIZER_BUILDERS OPTIMIZERS _load_checkpoint EpochBasedRunner set_random_seed '
    'auto_fp16 build_optimizer DistSamplerSeedHook DistEvalHook build_runner force_fp32 IterBasedRunner '
    'CheckpointLoader ModuleList RUNNERS EvalHook Fp16OptimizerHook TextLoggerHook Hook LrUpdaterHook Sequential',
    'mmcv.runner.checkpoint': 'get_state_dict weights_to_cpu load_checkpoint _load_checkpoint',
    'mmcv.runner.base_module': 'BaseModule ModuleList Sequential',
    'mmcv.runner.hooks': 'HOOKS Hook',
    'mmcv.runner.optimizer': 'OPTIMIZERS OPTIMIZER_BUILDERS',
    'mmcv.parallel': 'MMDistributedDataParallel MMDataParallel is_module_wrapper DataContainer collate scatter',
    'mmcv.utils': 'get_git_hash Config DictAction build_from_cfg print_log Registry deprecated_api_warning '
    'mkdir_or_exist is_tuple_of get_logger ConfigDict collect_env digit_version to_2tuple',
    'mmcv.cnn': 'build_norm_layer ConvModule build_activation_layer build_conv_layer fuse_conv_bn '
    'get_model_complexity_info normal_init DepthwiseSeparableConvModule constant_init Conv2d Linear build_plugin_layer '
    'kaiming_init xavier_init PLUGIN_LAYERS caffe2_xavier_init MODELS build_upsample_layer trunc_normal_init',
    'mmcv.cnn.utils': 'revert_sync_batchnorm',
    'mmcv.cnn.utils.flops_counter': 'flops_to_string params_to_string',
    'mmcv.cnn.bricks': 'DropPath',
    'mmcv.cnn.bricks.drop': 'build_dropout',
    'mmcv.cnn.bricks.registry': 'TRANSFORMER_LAYER TRANSFORMER_LAYER_SEQUENCE FEEDFORWARD_NETWORK',
    'mmcv.cnn.bricks.transformer': 'BaseTransformerLayer POSITIONAL_ENCODING PatchEmbed TransformerLayerSequence '
    'build_positional_encoding build_transformer_layer_sequence FFN build_attention build_feedforward_network',
    'mmcv.transforms': 'BaseTransform to_tensor Compose LoadAnnotations LoadImageFromFile',
    'mmengine': 'Config dump mkdir_or_exist DictAction list_from_file print_log track_parallel_progress',
    'mmengine.config': 'Config DictAction ConfigDict',
    'mmengine.registry': 'init_default_scope HOOKS METRICS OPTIM_WRAPPERS RUNNERS MODELS OPTIMIZERS Registry TRANSFORMS '
    'OPTIM_WRAPPER_CONSTRUCTORS build_from_cfg DATASETS DATA_SAMPLERS LOOPS VISUALIZERS WEIGHT_INITIALIZERS',
    'mmengine.runner': 'Runner load_checkpoint CheckpointLoader save_checkpoint',
    'mmengine.runner.checkpoint': '_load_checkpoint load_checkpoint load_state_dict',
    'mmengine.model': 'BaseModule ModuleList Sequential is_model_wrapper BaseDataPreprocessor kaiming_init BaseModel '
    'revert_sync_batchnorm',
    'mmengine.model.weight_init': 'trunc_normal_ constant_init caffe2_xavier_init normal_init',
    'mmengine.hooks': 'Hook',
    'mmengine.evaluator': 'BaseMetric DumpResults',
    'mmengine.logging': 'MMLogger print_log MessageHub',
    'mmengine.optim': 'DefaultOptimWrapperConstructor',
    'mmengine.structures': 'InstanceData PixelData LabelData BaseDataElement',
    'mmengine.dataset': 'BaseDataset Compose pseudo_collate',
    'mmengine.dist': 'is_main_process get_dist_info',
    'mmengine.fileio': 'FileClient exists load dump',
    'mmengine.utils': 'digit_version is_list_of',
    'mmengine.utils.dl_utils.parrots_wrapper': '_BatchNorm',
    'mmseg.models': 'build_segmentor BaseSegmentor ResNet EncoderDecoder FCNHead',
    'mmseg.models.builder': 'BACKBONES HEADS SEGMENTORS LOSSES NECKS MODELS build_head build_backbone build_loss '
    'build_neck build_segmentor',
    'mmseg.models.decode_heads.decode_head': 'BaseDecodeHead',
    'mmseg.models.decode_heads.aspp_head': 'ASPPModule ASPPHead',
    'mmseg.models.decode_heads.sep_aspp_head': 'DepthwiseSeparableASPPModule',
    'mmseg.models.decode_heads.segformer_head': 'MLP',
    'mmseg.models.segmentors.base': 'BaseSegmentor',
    'mmseg.models.segmentors.encoder_decoder': 'EncoderDecoder',
    'mmseg.models.losses': 'accuracy CrossEntropyLoss',
    'mmseg.models.losses.utils': 'weighted_loss weight_reduce_loss get_class_weight',
    'mmseg.models.utils': 'resize',
    'mmseg.datasets': 'build_dataloader build_dataset CityscapesDataset DATASETS BaseSegDataset',
    'mmseg.datasets.builder': 'PIPELINES DATASETS build_dataset',
    'mmseg.datasets.custom': 'CustomDataset',
    'mmseg.datasets.pipelines': 'Compose',
    'mmseg.datasets.pipelines.formatting': 'to_tensor',
    'mmseg.datasets.dataset_wrappers': 'MultiImageMixDataset',
    'mmseg.core': 'add_prefix DistEvalHook EvalHook build_pixel_sampler get_classes intersect_and_union',
    'mmseg.core.evaluation': 'get_palette',
    'mmseg.apis': 'multi_gpu_test set_random_seed single_gpu_test train_segmentor init_segmentor inference_segmentor '
    'show_result_pyplot init_random_seed init_model',
    'mmseg.utils': 'get_root_logger collect_env get_device setup_multi_processes build_ddp build_dp OptConfigType',
    'mmseg.ops': 'resize',
    'mmseg.registry': 'MODELS DATASETS HOOKS METRICS TRANSFORMS',
    'mmseg.evaluation': 'IoUMetric',
    'mmseg.structures': 'SegDataSample',
    'mmpose.models': 'build_posenet LOSSES',
    'mmpose.models.builder': 'BACKBONES POSENETS HEADS LOSSES build_backbone build_head build_loss',
    'mmpose.models.detectors.base': 'BasePose',
    'mmpose.models.heads.topdown_heatmap_base_head': 'TopdownHeatmapBaseHead',
    'mmpose.models.heads.base_head': 'BaseHead',
    'mmpose.models.pose_estimators': 'TopdownPoseEstimator',
    'mmpose.datasets': 'build_dataloader build_dataset DatasetInfo',
    'mmpose.datasets.builder': 'DATASETS PIPELINES',
    'mmpose.datasets.datasets.base': 'BaseCocoStyleDataset',
    'mmpose.core': 'wrap_fp16_model DistEvalHook EvalHook',
    'mmpose.core.post_processing': 'flip_back transform_preds',
    'mmpose.core.evaluation': 'pose_pck_accuracy',
    'mmpose.apis': 'multi_gpu_test single_gpu_test inference_topdown init_model inference_top_down_pose_model '
    'init_pose_model train_model init_random_seed',
    'mmpose.registry': 'MODELS DATASETS KEYPOINT_CODECS TRANSFORMS',
    'mmpose.utils': 'get_root_logger collect_env register_all_modules',
    'mmpose.utils.typing': 'ConfigType OptConfigType OptSampleList InstanceList',
    'mmpose.codecs.base': 'BaseKeypointCodec',
    'mmpose.structures': 'PoseDataSample',
    'mmpose.structures.bbox': 'get_warp_matrix get_udp_warp_matrix',
    'mmcls.models.builder': 'HEADS LOSSES NECKS BACKBONES build_head build_classifier',
    'mmcls.models.heads': 'ClsHead',
    'mmcls.registry': 'MODELS',
    'mmpretrain.registry': 'MODELS DATASETS METRICS',
    'mmpretrain.models.backbones.base_backbone': 'BaseBackbone',
    'mmpretrain.models': 'build_norm_layer ClsHead',
    'mmaction.registry': 'MODELS DATASETS TRANSFORMS HOOKS METRICS',
    'mmaction.models.builder': 'BACKBONES HEADS',
    'mmaction.models.heads.base': 'BaseHead',
    'mmaction.utils': 'get_root_logger ConfigType',
    'mmaction.structures': 'ActionDataSample',
}  # fmt: skip
"""Names that projects import, by module."""


@pytest.mark.parametrize('module', USED)
def test_what_projects_import(module):
    found = importlib.import_module(module)
    for name in USED[module].split():
        assert getattr(found, name) is not None


@pytest.mark.parametrize('package', PACKAGES)
def test_every_name_in_the_tables(package):
    module = importlib.import_module(package)
    for name in places(package):
        assert getattr(module, name) is not None


def test_a_name_is_one_object_however_it_is_imported():
    import mmcv
    import mmcv.runner
    import mmcv.utils
    import mmseg.models.builder

    assert mmcv.Config is mmcv.utils.Config
    assert mmcv.runner.HOOKS is importlib.import_module('mmcv.runner.hooks').HOOKS
    assert mmseg.models.builder.BACKBONES is importlib.import_module('mmseg.models').BACKBONES
    assert mmcv.runner.BaseModule is importlib.import_module('mmcv.runner.base_module').BaseModule


@pytest.mark.parametrize(
    ('line', 'text'),
    [
        ('from mmcv.ops import roi_align', 'torchvision.ops'),
        ('from mmcv.runner import EpochBasedRuner', "Did you mean 'EpochBasedRunner'?"),
        ('from mmengine.runner import FlexibleRunner', "strategy = 'fsdp'"),
        ('import mmseg.models.nonsense', "No module named 'mmseg.models.nonsense'"),
        ('import mmdet', "No module named 'mmdet'"),
    ],
)
def test_what_is_not_served_says_so(line, text):
    with pytest.raises(ImportError, match=text.replace('?', r'\?')):
        exec(line, {})


def test_attributes_that_are_not_there_can_be_asked_for():
    import mmcv

    assert not hasattr(mmcv, 'nonsense')
    assert list(mmcv.__path__) == []


def test_the_version_is_that_of_the_generation(monkeypatch):
    import mmcv

    monkeypatch.delitem(sys.modules, 'mmengine', raising=False)
    assert mmcv.__version__ == '1.7.2'
    import mmengine  # noqa: F401

    assert mmcv.__version__ == '2.1.0'


def test_modules_of_both_generations_are_known():
    modules = known_modules()
    assert {'mmcls.models.builder', 'mmpretrain.registry', 'mmseg.core.optimizer', 'mmcv.cnn.bricks'} <= modules


def test_installed_packages_are_left_alone(monkeypatch):
    from intarsia.openmmlab import finder

    ours = finder.OldPackages()
    assert ours.find_spec('mmcv.runner', []) is not None
    monkeypatch.setattr(finder, 'is_installed', lambda package: package == 'mmcv')
    assert ours.find_spec('mmcv.runner', []) is None
    assert ours.find_spec('numpy') is None


def test_files_of_the_users_own_lie_in_the_package(tmp_path, monkeypatch):
    folder = tmp_path / 'mmseg' / 'models' / 'losses'
    folder.mkdir(parents=True)
    (folder / '__init__.py').write_text('from .mine import Mine\n')
    (folder / 'mine.py').write_text('from .utils import weighted_loss\nfrom ..builder import LOSSES\nMine = LOSSES\n')
    for name in [n for n in sys.modules if n.partition('.')[0] == 'mmseg']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    losses = importlib.import_module('mmseg.models.losses')
    assert losses.Mine.name == 'LOSSES'
    assert losses.CrossEntropyLoss.__name__ == 'CrossEntropyLoss', 'a name of ours that the folder lacks'
    for name in [n for n in sys.modules if n.partition('.')[0] == 'mmseg']:
        monkeypatch.delitem(sys.modules, name)
