"""Samplers of pixels for segmentation losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from intarsia.core.registries import LOSSES, PIXEL_SAMPLERS

N, C, H, W = 2, 4, 6, 7


def data():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, C, (N, H, W), generator=generator)
    target[:, :2, 3:] = 255
    return 2 * torch.randn(N, C, H, W, generator=generator), target


class TestOHEM:
    @staticmethod
    def sampler(losses=('CrossEntropyLoss',), **options):
        head = nn.Module()
        head.ignore_index = 255
        head.loss_decode = nn.ModuleList(LOSSES.of('segmentation').build({'type': name}) for name in losses)
        return PIXEL_SAMPLERS.build({'type': 'OHEMPixelSampler', **options}, context=head)

    def test_keeps_uncertain_pixels(self):
        pred, target = data()
        prob = pred.softmax(1).gather(1, torch.where(target == 255, 0, target)[:, None])[:, 0]
        weight = self.sampler(thresh=0.6, min_kept=2).sample(pred, target[:, None])
        assert torch.equal(weight.bool(), (prob < 0.6) & (target != 255))
        assert weight.dtype == pred.dtype

    def test_keeps_at_least_so_many(self):
        pred, target = data()
        weight = self.sampler(thresh=1e-9, min_kept=10).sample(pred, target[:, None])
        assert weight.sum() == 10 * N
        assert not weight[target == 255].any()

    def test_greatest_losses(self):
        pred, target = data()
        weight = self.sampler(min_kept=10).sample(pred, target[:, None])
        loss = F.cross_entropy(pred, target, ignore_index=255, reduction='none')
        assert weight.sum() == 10 * N
        assert loss[weight == 1].min() >= loss[(weight == 0) & (target != 255)].max()

    def test_losses_of_regions_choose_no_pixels(self):
        pred, target = data()
        both = self.sampler(('CrossEntropyLoss', 'DiceLoss'), min_kept=10).sample(pred, target[:, None])
        assert torch.equal(both, self.sampler(min_kept=10).sample(pred, target[:, None]))
        with pytest.raises(ValueError, match='no loss per pixel'):
            self.sampler(('DiceLoss',)).sample(pred, target[:, None])

    @pytest.mark.parametrize('options', [{'thresh': 0.5}, {}])
    def test_fewer_pixels_than_to_keep(self, options):
        pred, target = data()
        weight = self.sampler(**options).sample(pred, target[:, None])
        assert weight[target == 255].sum() == 0
        assert weight.sum() >= (target != 255).sum() - 1
        target[:] = 255
        assert self.sampler(**options).sample(pred, target[:, None]).sum() == 0

    def test_errors(self):
        with pytest.raises(ValueError, match='min_kept'):
            self.sampler(min_kept=1)
