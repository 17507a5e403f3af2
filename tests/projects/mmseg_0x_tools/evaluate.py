import argparse
import os.path as osp
import mmcv
import torch
from mmcv.cnn.utils import revert_sync_batchnorm
from mmcv.parallel import MMDataParallel, MMDistributedDataParallel
from mmcv.runner import get_dist_info, init_dist, load_checkpoint, wrap_fp16_model
from mmcv.utils import DictAction
import tiny_net  # noqa: F401
from mmseg.apis import multi_gpu_test, single_gpu_test
from mmseg.datasets import build_dataloader, build_dataset
from mmseg.models import build_segmentor
from mmseg.utils import build_ddp, build_dp, get_device, setup_multi_processes

parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('checkpoint')
parser.add_argument('--eval', nargs='+')
args = parser.parse_args()
cfg = mmcv.Config.fromfile(args.config)
setup_multi_processes(cfg)
cfg.model.pretrained = None
cfg.data.test.test_mode = True
cfg.gpu_ids = [0]
cfg.device = get_device()
distributed = False
dataset = build_dataset(cfg.data.test)
loader_cfg = dict(num_gpus=len(cfg.gpu_ids), dist=distributed, shuffle=False)
loader_cfg.update({k: v for k, v in cfg.data.items() if k not in ['train', 'val', 'test', 'train_dataloader', 'val_dataloader', 'test_dataloader']})
test_loader_cfg = {**loader_cfg, 'samples_per_gpu': 1, 'shuffle': False, **cfg.data.get('test_dataloader', {})}
data_loader = build_dataloader(dataset, **test_loader_cfg)
cfg.model.train_cfg = None
model = build_segmentor(cfg.model, test_cfg=cfg.get('test_cfg'))
checkpoint = load_checkpoint(model, args.checkpoint, map_location='cpu')
model.CLASSES = checkpoint['meta']['CLASSES']
model.PALETTE = checkpoint['meta']['PALETTE']
torch.cuda.empty_cache()
model = revert_sync_batchnorm(model)
model = build_dp(model, cfg.device, device_ids=cfg.gpu_ids)
results = single_gpu_test(model, data_loader, False, None, False, 0.5, pre_eval=True, format_only=False, format_args={})
shapes = []
for data in data_loader:
    meta = data['img_metas'][0].data[0]
    with torch.no_grad():
        result = model(return_loss=False, **data)
    shapes.append([list(meta[0]['ori_shape']), list(data['img'][0].shape), list(result[0].shape)])
rank, _ = get_dist_info()
if rank == 0:
    metric = dataset.evaluate(results, metric=args.eval)
    mmcv.dump(dict(metric=metric, shapes=shapes), osp.join(osp.dirname(args.checkpoint), 'eval.json'))
