"""The same training with and without the engine.

The parts are Intarsia's, the loop is plain PyTorch: what the runner and its hooks do, written out. A test shows that
both give identical weights.

    python examples/plain_loop.py
"""

from __future__ import annotations

import copy
import math

import torch

from intarsia import build_model
from intarsia.core.registries import DATASETS
from intarsia.data.device import DeviceNormalize, ToDevice
from intarsia.data.loader import Loader
from intarsia.data.samplers import RandomSampler
from intarsia.engine.hooks.lr_annealing import CosineAnnealingLrUpdaterHook
from intarsia.engine.hooks.optimizer import OptimizerHook
from intarsia.engine.runner import EpochBasedRunner

SEED, EPOCHS, LR = 3, 2, 0.05

MODEL = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, in_channels=1, base_channels=8, stem_channels=8, out_indices=(3,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
)


def make_parts(num_samples: int = 64) -> tuple[torch.nn.Module, Loader]:
    """A network and a loader of the embedded data set, cut to ``num_samples``."""
    torch.manual_seed(SEED)
    dataset = DATASETS.of('classification').build(
        dict(
            type='FashionMNIST',
            data_prefix='intarsia::fashion_mnist',
            pipeline=[
                dict(type='RandomCrop', size=28, padding=2),
                dict(type='ImageToTensor', keys=['img']),
                dict(type='ToTensor', keys=['gt_label']),
                dict(type='Collect', keys=['img', 'gt_label']),
            ],
        )
    )

    prepare = ToDevice('cpu', DeviceNormalize([72.9], [90.0], to_rgb=False))
    loader = Loader(dataset, RandomSampler(range(num_samples), seed=SEED), batch_size=16, seed=SEED, prepare=prepare)
    return build_model(MODEL), loader


def plain(model: torch.nn.Module, loader: Loader) -> torch.nn.Module:
    """The loop by hand."""
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)
    max_iters, done = EPOCHS * len(loader), 0
    for epoch in range(EPOCHS):
        model.train()
        loader.start(epoch)
        for batch in loader:
            rate = 0.5 * LR * (math.cos(math.pi * done / max_iters) + 1)
            for group in optimizer.param_groups:
                group['lr'] = rate
            loss = model.train_step(batch)['loss']
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
    return model


def with_engine(model: torch.nn.Module, loader: Loader) -> torch.nn.Module:
    """The same by the runner and two of its hooks."""
    runner = EpochBasedRunner(
        model, torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9), max_epochs=EPOCHS, seed=SEED
    )
    runner.register_hook(CosineAnnealingLrUpdaterHook(min_lr=0, by_epoch=False), 'VERY_HIGH')
    runner.register_hook(OptimizerHook(), 'ABOVE_NORMAL')
    runner.run([loader], [('train', 1)])
    return model


def main() -> bool:
    """Train both ways from the same start and compare every weight."""
    model, loader = make_parts()
    one, other = plain(copy.deepcopy(model), loader), with_engine(copy.deepcopy(model), loader)
    same = all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    print('identical weights' if same else 'the weights differ')
    return same


if __name__ == '__main__':
    main()
