import mmcv
import tiny_net  # noqa: F401
from mmcv.parallel import MMDataParallel
from mmcv.runner import DistSamplerSeedHook, EpochBasedRunner, build_optimizer, build_runner
from mmseg.core import EvalHook
from mmseg.datasets import build_dataloader, build_dataset
from mmseg.models import build_segmentor
from mmseg.utils import get_root_logger
cfg = mmcv.Config.fromfile('config.py')
cfg.work_dir = 'own'
mmcv.mkdir_or_exist(cfg.work_dir)
logger = get_root_logger(cfg.log_level)
model = build_segmentor(cfg.model)
model.init_weights()
dataset = [build_dataset(cfg.data.train)]
data_loaders = [build_dataloader(ds, cfg.data.samples_per_gpu, cfg.data.workers_per_gpu, 1, dist=False, seed=3, drop_last=True) for ds in dataset]
model = MMDataParallel(model, device_ids=[0])
optimizer = build_optimizer(model, cfg.optimizer)
runner = build_runner(cfg.runner, default_args=dict(model=model, batch_processor=None, optimizer=optimizer, work_dir=cfg.work_dir, logger=logger, meta=dict()))
runner.register_training_hooks(cfg.lr_config, cfg.optimizer_config, cfg.checkpoint_config, cfg.log_config, cfg.get('momentum_config', None))
if isinstance(runner, EpochBasedRunner):
    runner.register_hook(DistSamplerSeedHook())
runner.timestamp = '20220101_000000'
val_dataset = build_dataset(cfg.data.val, dict(test_mode=True))
val_dataloader = build_dataloader(val_dataset, samples_per_gpu=1, workers_per_gpu=0, dist=False, shuffle=False)
eval_cfg = cfg.get('evaluation', {})
eval_cfg['by_epoch'] = 'IterBasedRunner' not in cfg.runner['type']
runner.register_hook(EvalHook(val_dataloader, save_best='mIoU', **eval_cfg), priority='LOW')
runner.run(data_loaders, cfg.workflow)
