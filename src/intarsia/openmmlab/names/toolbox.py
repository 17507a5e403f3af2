"""Names that all four toolboxes have."""

from __future__ import annotations

TOOLBOX: dict[str, str] = {
    'registry': (
        'BACKBONES NECKS HEADS LOSSES MODELS DATASETS PIPELINES=PIPELINES/TRANSFORMS TRANSFORMS SAMPLERS '
        'HOOKS METRICS OPTIMIZERS OPTIMIZER_BUILDERS RUNNERS DATA_SAMPLERS=DATA_SAMPLERS/SAMPLERS '
        'OPTIM_WRAPPER_CONSTRUCTORS=OPTIM_WRAPPER_CONSTRUCTORS/OPTIMIZER_BUILDERS '
        'WEIGHT_INITIALIZERS=WEIGHT_INITIALIZERS/INITIALIZERS PARAM_SCHEDULERS OPTIM_WRAPPERS LOOPS EVALUATOR '
        'EVALUATORS=EVALUATOR VISUALIZERS VISBACKENDS LOG_PROCESSORS INFERENCERS TASK_UTILS MODEL_WRAPPERS '
        'RUNNER_CONSTRUCTORS'
    ),
    'openmmlab.builders': 'build_backbone build_neck build_head build_loss',
    'openmmlab.apis': 'build_dataset build_dataloader setup_multi_processes get_device',
    'openmmlab.runs': 'train_model',
    'openmmlab.testing': 'single_gpu_test multi_gpu_test collect_results_cpu=collect_results',
    'openmmlab.inference': 'init_model',
    'openmmlab.parallel': 'build_dp build_ddp',
    'openmmlab.checkpoints': 'find_latest_checkpoint',
    'openmmlab.registry': 'build_from_cfg Registry register_all_modules init_default_scope',
    'openmmlab.logs': 'get_root_logger',
    'openmmlab.checks': 'collect_env to_2tuple to_ntuple digit_version',
    'openmmlab.hooks': ('EvalHook DistEvalHook DistOptimizerHook OptimizerHook Fp16OptimizerHook'),
    'openmmlab.runners': ('set_random_seed init_random_seed build_optimizer build_optimizers=build_optimizer'),
    'openmmlab.transforms': 'Compose to_tensor BaseTransform',
    'openmmlab.precision': 'auto_fp16 force_fp32 wrap_fp16_model',
    'openmmlab.metrics': 'BaseMetric',
}
