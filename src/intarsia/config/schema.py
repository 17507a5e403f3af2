"""The vocabulary of a run: every field a config may set, with its type, default and meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Node = Mapping[str, Any]


@dataclass(frozen=True)
class LoaderConfig:
    """How samples become batches: common values, overridden by ``data.train_dataloader`` and its siblings."""

    samples_per_gpu: int = 1
    """Samples of one batch on one device; segmentation evaluates one image at a time unless ``val_dataloader`` says."""
    videos_per_gpu: int | None = None
    """``samples_per_gpu``, as older configs of actions call it."""
    workers_per_gpu: int = 0
    """Worker processes of one device; 0 loads in the main process."""
    shuffle: bool | None = None
    """Whether the order is shuffled; by default training is and the rest is not."""
    drop_last: bool = False
    """Leave out a last batch that is not full."""
    persistent_workers: bool = True
    """Keep the workers from one epoch to the next."""
    pin_memory: bool = True
    """Copy batches into page-locked memory when training on a GPU."""
    prefetch_factor: int = 2
    """Batches every worker prepares ahead."""
    sampler: Node | None = None
    """Node of SAMPLERS that orders the samples."""


@dataclass(frozen=True)
class DataConfig(LoaderConfig):
    """Data sets and loaders."""

    train: Node | Sequence[Node] | None = None
    """Data set of training; a list is joined into one."""
    val: Node | Sequence[Node] | None = None
    """Data set of the evaluation during training."""
    test: Node | Sequence[Node] | None = None
    """Data set of ``intarsia test``."""
    train_dataloader: Node = field(default_factory=dict)
    """Loader values for training."""
    val_dataloader: Node = field(default_factory=dict)
    """Loader values for evaluation; ``workflow`` validation uses them too."""
    test_dataloader: Node = field(default_factory=dict)
    """Loader values for testing."""
    check_annotations: bool = True
    """Look at some of the annotations before training, and report what does not fit the classes or the images."""
    val_loss_pipeline: Sequence[Node] | None = None
    """Pipeline of the samples for validation losses; by default that of ``data.train``."""


@dataclass(frozen=True)
class RunnerConfig:
    """How long training lasts, counted in epochs or iterations."""

    type: str = 'EpochBasedRunner'
    """Name in RUNNERS."""
    max_epochs: int | None = None
    """Epochs of training."""
    max_iters: int | None = None
    """Iterations of training."""


@dataclass(frozen=True)
class EvaluationConfig:
    """When and how the model is evaluated during training."""

    interval: int = 1
    """Epochs (or iterations) between two evaluations."""
    start: int | None = None
    """First epoch (or iteration) that is evaluated."""
    dynamic_intervals: Sequence[Any] = ()
    """Later intervals: ``[(280, 1)]`` evaluates every epoch from the 280th on, ``[(280, 1), (290, 2)]`` so on."""
    by_epoch: bool | None = None
    """Whether ``interval`` counts epochs; by default what the runner counts."""
    metric: str | Node | Sequence[Any] | None = None
    """Name, node or list of metrics; the task has a default."""
    metrics: str | Node | Sequence[Any] | None = None
    """``metric``, as older configs of actions call it."""
    metric_options: Node = field(default_factory=dict)
    """Options of the metrics: ``dict(topk=(1, 5))``."""
    topk: int | Sequence[int] | None = None
    """``metric_options=dict(topk=...)``, as older configs of actions say it."""
    rle_score: bool | None = None
    """``metric_options=dict(rle_score=...)``, as older configs of poses say it."""
    save_best: str | bool | Sequence[str] | None = None
    """Metric whose best checkpoint is kept, or several; ``'auto'`` takes the first."""
    rule: Literal['greater', 'less'] | Sequence[str] | None = None
    """Whether more is better, one word or one for each of ``save_best``; by default told from the metric's name."""
    greater_keys: Sequence[str] | None = None
    """Parts of names of metrics of which more is better, besides the usual ones."""
    less_keys: Sequence[str] | None = None
    """Parts of names of metrics of which less is better, besides the usual ones."""
    pre_eval: bool = False
    """Kept from older configs; results are always counted batch by batch."""
    gpu_collect: bool = False
    """Kept from older configs; processes exchange counts, not results."""
    loss: bool = False
    """Whether the validation loss is computed too and logged beside the metrics, as ``loss``."""


@dataclass(frozen=True)
class LogConfig:
    """What is logged, how often and to where."""

    interval: int = 10
    """Iterations between two records."""
    hooks: Sequence[Node] = (dict(type='TextLoggerHook'),)
    """Nodes of HOOKS that receive the records."""


@dataclass(frozen=True)
class AutoScaleLrConfig:
    """A learning rate that was made for another batch size."""

    base_batch_size: int | None = None
    """Samples of all processes in one step that ``optimizer.lr`` was made for."""
    enable: bool = False
    """Whether it is scaled; ``--auto-scale-lr`` sets it."""


@dataclass(frozen=True)
class RunConfig:
    """A whole run, checked. Field names are those of config files."""

    model: Node = field(default_factory=dict)
    """The network: a node of MODELS."""
    data: DataConfig = field(default_factory=DataConfig)
    """Data sets and loaders."""
    optimizer: Node | None = None
    """A node of OPTIMIZERS, with ``constructor`` and ``paramwise_cfg``; or such nodes by part of the model."""
    optimizer_config: Node | None = field(default_factory=dict)
    """How a loss becomes an update: arguments of OptimizerHook, or the node of another hook; None for a model that
    updates itself in ``train_step``."""
    lr_config: Node | Sequence[Node] | None = None
    """Schedule of the learning rate: ``policy``, warm-up, ``by_epoch``; or a list of schedules with their spans."""
    momentum_config: Node | Sequence[Node] | None = None
    """The same for the momentum (the first beta of Adam and its relatives)."""
    weight_decay_config: Sequence[Node] | None = None
    """A list of schedules of the weight decay."""
    precision: Literal['fp32', 'bf16', 'fp16'] = 'fp32'
    """What the forward pass computes in; weights stay float32."""
    fp16: Node | None = None
    """Older spelling of ``precision = 'fp16'``: ``dict(loss_scale=512.)``, ``'dynamic'`` or GradScaler's arguments."""
    compile: bool | Node = False
    """Compile the training step with :func:`torch.compile`; a dict holds its arguments."""
    channels_last: bool = False
    """Keep images and weights of convolutions in the memory order that GPUs prefer."""
    activation_checkpointing: bool | Sequence[str] = False
    """Compute activations again in the backward pass instead of keeping them: of every stage, or of these modules."""
    sync_bn: bool = False
    """Share the statistics of batch norm layers between processes."""
    ema: Node | None = None
    """Average the weights and evaluate the average: arguments of EMAHook."""
    auto_scale_lr: AutoScaleLrConfig | None = None
    """Scale the learning rate with the batch size of all processes."""
    strategy: Literal['ddp', 'fsdp'] = 'ddp'
    """How several processes share the work: copies of the model, or shards of it, whose checkpoints are folders."""
    launcher: Literal['none', 'pytorch', 'slurm'] | None = None
    """Who started the processes; by default told from the environment."""
    runner: RunnerConfig | None = None
    """Kind and length of training."""
    total_epochs: int | None = None
    """Older spelling of ``runner = dict(type='EpochBasedRunner', max_epochs=...)``."""
    total_iters: int | None = None
    """Older spelling of ``runner = dict(type='IterBasedRunner', max_iters=...)``."""
    workflow: Sequence[Sequence[Any]] = (('train', 1),)
    """Flows and how many epochs each lasts: ``[('train', 1), ('val', 1)]`` adds validation losses."""
    evaluation: EvaluationConfig | None = None
    """Evaluation during training; None evaluates once an epoch with the task's default metric."""
    checkpoint_config: Node | None = field(default_factory=lambda: dict(interval=1))
    """When checkpoints are written, files ``epoch_N.pth`` (shards: folders ``epoch_N``): arguments of CheckpointHook;
    None writes none."""
    log_config: LogConfig | None = field(default_factory=LogConfig)
    """Logging."""
    custom_hooks: Sequence[Node] = ()
    """Further nodes of HOOKS; ``priority`` gives their seat."""
    custom_imports: Node | None = None
    """Modules that register the user's components: ``dict(imports=[...], allow_failed_imports=False)``."""
    task: Literal['classification', 'segmentation', 'pose', 'action'] | None = None
    """Task of a model of the user's own that tells none."""
    load_from: str | None = None
    """Checkpoint whose weights training starts from."""
    resume_from: str | None = None
    """Checkpoint of a run that is continued."""
    auto_resume: bool = False
    """Continue from the newest intact checkpoint of the work directory, if there is one."""
    work_dir: str | None = None
    """Folder of everything the run writes; by default ``./work_dirs/CONFIG_STEM``."""
    seed: int | None = None
    """Seed of all randomness; by default drawn, logged and stored."""
    deterministic: bool = False
    """Use only deterministic algorithms."""
    device: str | None = None
    """Device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; by default the best there is."""
    log_level: str = 'INFO'
    """Lowest level of messages that are shown."""
    dist_params: Node = field(default_factory=dict)
    """Arguments of :func:`torch.distributed.init_process_group`: ``dict(backend='nccl')``."""
    cudnn_benchmark: bool = False
    """Let cuDNN try its algorithms on the first batch."""
    opencv_num_threads: int = 0
    """Threads of OpenCV in every process; 0 switches its threading off."""
    mp_start_method: Literal['fork', 'spawn', 'forkserver'] | None = None
    """How worker processes start; by default the system's way."""
    find_unused_parameters: bool = False
    """Let parameters take no part in a loss when several processes train."""
    gpu_ids: Sequence[int] | None = None
    """Kept from older configs; ``device`` decides."""


SECTIONS: dict[str, type[Any]] = {
    'data': DataConfig,
    'runner': RunnerConfig,
    'evaluation': EvaluationConfig,
    'log_config': LogConfig,
    'auto_scale_lr': AutoScaleLrConfig,
}
"""Fields whose content is a dataclass of its own."""


def fields_of(section: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """Fields of a section by name."""
    return {f.name: f for f in dataclasses.fields(section)}


def vocabulary() -> frozenset[str]:
    """All top-level names that mean something."""
    return frozenset(fields_of(RunConfig))


def to_run_config(values: Mapping[str, Any]) -> RunConfig:
    """Make the typed config out of checked values; names outside the vocabulary are left behind."""
    known = fields_of(RunConfig)
    taken = {name: _section(name, value) for name, value in values.items() if name in known}
    if taken.get('runner') is None:
        if taken.get('total_iters') is not None:
            taken['runner'] = RunnerConfig('IterBasedRunner', max_iters=taken['total_iters'])
        elif taken.get('total_epochs') is not None:
            taken['runner'] = RunnerConfig('EpochBasedRunner', max_epochs=taken['total_epochs'])
    return RunConfig(**taken)


OPTIONS = ('topk', 'rle_score')
"""Fields of ``evaluation`` that are options of its metrics."""

OTHER_NAMES = {'videos_per_gpu': 'samples_per_gpu', 'metrics': 'metric'}
"""Fields of the sections ``data`` and ``evaluation`` that mean another one."""


def _with_own_names(section: Mapping[str, Any]) -> dict[str, Any]:
    return {OTHER_NAMES.get(key, key): value for key, value in section.items()}


def _section(name: str, value: Any) -> Any:
    if name in SECTIONS and isinstance(value, Mapping):
        fields = _with_own_names(value)
        loaders = {key: _with_own_names(each) for key, each in fields.items() if key.endswith('_dataloader')}
        options = {key: fields[key] for key in OPTIONS if name == 'evaluation' and fields.get(key) is not None}
        if options:
            fields['metric_options'] = {**fields.get('metric_options', {}), **options}
        return SECTIONS[name](**{**fields, **loaders})
    if value is None and name == 'dist_params':
        return {}
    return value
