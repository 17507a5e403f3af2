"""Names of MMCV (1 and 2) and MMEngine."""

from __future__ import annotations

RUNTIME: dict[str, str] = {
    'registry': (
        'HOOKS RUNNERS OPTIMIZERS OPTIMIZER_BUILDERS MODELS DATASETS TRANSFORMS METRICS CONV_LAYERS '
        'NORM_LAYERS ACTIVATION_LAYERS PADDING_LAYERS PLUGIN_LAYERS INITIALIZERS '
        'UPSAMPLE_LAYERS=UPSAMPLE_LAYERS/PLUGIN_LAYERS WEIGHT_INITIALIZERS=WEIGHT_INITIALIZERS/INITIALIZERS '
        'DATA_SAMPLERS=DATA_SAMPLERS/SAMPLERS '
        'OPTIM_WRAPPER_CONSTRUCTORS=OPTIM_WRAPPER_CONSTRUCTORS/OPTIMIZER_BUILDERS PARAM_SCHEDULERS '
        'RUNNER_BUILDERS DROPOUT_LAYERS=DROPOUT_LAYERS/MODELS POSITIONAL_ENCODING=POSITIONAL_ENCODING/MODELS '
        'ATTENTION=ATTENTION/MODELS FEEDFORWARD_NETWORK=FEEDFORWARD_NETWORK/MODELS '
        'TRANSFORMER_LAYER=TRANSFORMER_LAYER/MODELS '
        'TRANSFORMER_LAYER_SEQUENCE=TRANSFORMER_LAYER_SEQUENCE/MODELS MODULE_WRAPPERS OPTIM_WRAPPERS LOOPS '
        'EVALUATOR VISUALIZERS VISBACKENDS LOG_PROCESSORS INFERENCERS STRATEGIES TASK_UTILS MODEL_WRAPPERS '
        'RUNNER_CONSTRUCTORS FUNCTIONS BACKBONES NECKS HEADS LOSSES'
    ),
    'openmmlab.registry': (
        'Registry build_from_cfg build_model_from_cfg init_default_scope DefaultScope register_all_modules'
    ),
    'openmmlab.config': 'Config ConfigDict DictAction read_base',
    'openmmlab.files': (
        'scandir load dump list_from_file dict_from_file symlink check_file_exist is_filepath fopen find_vcs_root'
    ),
    'openmmlab.file_backends': (
        'mkdir_or_exist FileClient LocalBackend HardDiskBackend=LocalBackend BaseStorageBackend '
        'get_file_backend register_backend get get_text put put_text exists isdir isfile join_path '
        'get_local_path remove rmtree copyfile copytree list_dir_or_file'
    ),
    'openmmlab.file_formats': ('file_handlers register_handler BaseFileHandler JsonHandler YamlHandler PickleHandler'),
    'openmmlab.image': ('imread imfrombytes imwrite imshow tensor2imgs use_backend supported_backends'),
    'openmmlab.image_geometry': (
        'imresize imresize_like imresize_to_multiple imrescale rescale_size _scale_size imflip imflip_ '
        'imrotate imshear imtranslate imcrop impad impad_to_multiple cutout'
    ),
    'openmmlab.image_values': (
        'imnormalize imnormalize_ imdenormalize iminvert imequalize solarize posterize auto_contrast '
        'adjust_brightness adjust_contrast adjust_color adjust_hue adjust_sharpness adjust_lighting '
        'lut_transform clahe imconvert bgr2rgb rgb2bgr bgr2gray rgb2gray gray2bgr gray2rgb bgr2hsv hsv2bgr '
        'bgr2hls hls2bgr'
    ),
    'openmmlab.progress': (
        'ProgressBar track_progress track_parallel_progress track_iter_progress Timer TimerError check_time'
    ),
    'openmmlab.checks': (
        'is_str is_seq_of is_list_of is_tuple_of iter_cast list_cast tuple_cast slice_list concat_list '
        'to_1tuple to_2tuple to_3tuple to_4tuple to_ntuple requires_package requires_executable digit_version '
        'get_git_hash is_method_overridden has_method import_modules_from_strings deprecated_api_warning '
        'apply_to collect_env check_prerequisites deprecated_function is_jit_tracing'
    ),
    'openmmlab.data_element': 'BaseDataElement',
    'openmmlab.structures': 'InstanceData PixelData LabelData',
    'openmmlab.logs': 'get_logger print_log MMLogger MessageHub get_root_logger',
    'openmmlab.precision': 'auto_fp16 force_fp32 wrap_fp16_model autocast',
    'openmmlab.parallel': (
        'DataContainer MMDataParallel MMDistributedDataParallel collate pseudo_collate '
        'default_collate=pseudo_collate scatter scatter_kwargs is_module_wrapper '
        'is_model_wrapper=is_module_wrapper get_dist_info init_dist is_main_process is_distributed get_rank '
        'get_world_size master_only barrier'
    ),
    'openmmlab.checkpoints': (
        'load_checkpoint _load_checkpoint load_state_dict save_checkpoint get_state_dict weights_to_cpu '
        'CheckpointLoader find_latest_checkpoint'
    ),
    'openmmlab.runners': (
        'EpochBasedRunner IterBasedRunner BaseRunner build_runner build_optimizer build_optim_wrapper '
        'OptimWrapper set_random_seed init_random_seed'
    ),
    'openmmlab.runs': 'Runner',
    'openmmlab.testing': (
        'single_gpu_test multi_gpu_test collect_results collect_results_cpu=collect_results '
        'collect_results_gpu=collect_results'
    ),
    'openmmlab.ops': (
        'point_sample sigmoid_focal_loss nms multi_scale_deformable_attn_pytorch '
        'MultiScaleDeformableAttention DeformConv2d ModulatedDeformConv2d get_onnxruntime_op_path'
    ),
    'tasks.segmentation.heads.cc_head': 'CrissCrossAttention',
    'openmmlab.hooks': ('OptimizerHook Fp16OptimizerHook EvalHook DistEvalHook DistSamplerSeedHook DistOptimizerHook'),
    'openmmlab.transforms': 'BaseTransform Compose to_tensor cache_randomness',
    'openmmlab.datasets_second': 'BaseDataset',
    'openmmlab.metrics': 'BaseMetric DumpResults _to_cpu',
    'openmmlab.models.base': ('BaseModel BaseDataPreprocessor ImgDataPreprocessor=BaseDataPreprocessor'),
    'engine.hook': 'Hook',
    'engine.priority': 'Priority',
    'engine.log.buffer': 'LogBuffer',
    'engine.hooks.logger': 'LoggerHook',
    'engine.hooks.lr_updater': 'LrUpdaterHook',
    'engine.hooks.momentum_updater': 'MomentumUpdaterHook',
    'optim.constructors.default': (
        'DefaultOptimizerConstructor DefaultOptimWrapperConstructor=DefaultOptimizerConstructor'
    ),
    'nn.module': 'BaseModule Sequential ModuleList ModuleDict',
    'nn.init': (
        'bias_init_with_prob trunc_normal_ constant_init xavier_init normal_init trunc_normal_init '
        'uniform_init kaiming_init caffe2_xavier_init initialize'
    ),
    'nn.norm': ('build_norm_layer revert_sync_batchnorm _BatchNorm=BatchNorm infer_abbr=norm_name'),
    'nn.conv': 'build_conv_layer',
    'nn.standardized_conv': 'ConvWS2d ConvAWS2d',
    'nn.adaptive_conv': 'Conv2dAdaptivePadding',
    'nn.conv_module': 'ConvModule',
    'nn.depthwise_separable': 'DepthwiseSeparableConvModule',
    'nn.activation': 'build_activation_layer Swish HSigmoid Clamp',
    'nn.padding': 'build_padding_layer AdaptivePadding',
    'nn.drop': 'DropPath build_dropout drop_path',
    'nn.scale': 'Scale',
    'nn.layer_scale': 'LayerScale',
    'nn.ffn': 'FFN',
    'nn.embed': 'PatchEmbed PatchMerging',
    'nn.non_local': 'NonLocal1d NonLocal2d NonLocal3d',
    'nn.context_block': 'ContextBlock',
    'openmmlab.layers': (
        'build_upsample_layer fuse_conv_bn get_model_complexity_info flops_to_string params_to_string HSwish is_norm'
    ),
    'models.backbones.plugin': 'build_plugin_layer',
    'openmmlab.transformers': (
        'MultiheadAttention BaseTransformerLayer TransformerLayerSequence build_attention '
        'build_feedforward_network build_positional_encoding build_transformer_layer '
        'build_transformer_layer_sequence'
    ),
    'torch': (
        'Conv2d=nn.Conv2d Conv3d=nn.Conv3d ConvTranspose2d=nn.ConvTranspose2d Linear=nn.Linear '
        'MaxPool2d=nn.MaxPool2d TORCH_VERSION=__version__ _InstanceNorm=nn.InstanceNorm2d '
        '_ConvNd=nn.modules.conv._ConvNd SyncBatchNorm=nn.SyncBatchNorm DataLoader=utils.data.DataLoader'
    ),
}
