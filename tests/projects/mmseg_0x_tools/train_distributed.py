import mmcv
import tiny_net  # noqa: F401
import torch
from mmcv.parallel import MMDistributedDataParallel
from mmcv.runner import build_optimizer, build_runner, get_dist_info, init_dist
from mmseg.core import DistEvalHook
from mmseg.datasets import build_dataloader, build_dataset
from mmseg.models import build_segmentor
from mmseg.utils import get_root_logger

init_dist('pytorch', backend='nccl')
rank, world_size = get_dist_info()
cfg = mmcv.Config.fromfile('config.py')
cfg.model.decode_head.norm_cfg = dict(type='BN')
torch.manual_seed(rank)
model = build_segmentor(cfg.model)
model.init_weights()
data_loaders = [build_dataloader(build_dataset(cfg.data.train), 2, 0, dist=True, seed=1)]
model = MMDistributedDataParallel(model, device_ids=[0], broadcast_buffers=False, find_unused_parameters=False)
optimizer = build_optimizer(model, cfg.optimizer)
runner = build_runner(cfg.runner, default_args=dict(model=model, optimizer=optimizer, work_dir='dist', logger=get_root_logger(), meta={}))
runner.register_training_hooks(cfg.lr_config, cfg.optimizer_config, cfg.checkpoint_config, cfg.log_config)
runner.timestamp = '20220101_000000'
val_loader = build_dataloader(build_dataset(cfg.data.val, dict(test_mode=True)), 1, 0, dist=True, shuffle=False)
runner.register_hook(DistEvalHook(val_loader, interval=4, metric='mIoU', save_best='mIoU'))
runner.run(data_loaders, cfg.workflow)
sums = [None] * world_size
torch.distributed.all_gather_object(sums, sum(p.double().sum().item() for p in model.parameters()))
if rank == 0:
    mmcv.dump(sums, 'dist/sums.json')
