"""Containers, wrappers and processes under their old names; batches as MMCV 1.7.2 joins them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intarsia.core.errors import IntarsiaError
from intarsia.data.collate import collate as our_collate
from intarsia.openmmlab import parallel
from intarsia.openmmlab.parallel import DataContainer as DC  # noqa: N817 - its usual name


def samples():
    rows = [
        dict(img=DC(torch.ones(1, 2, 3), stack=True, padding_value=7), m=DC({'n': i}, cpu_only=True),
             v=DC(torch.full((i + 1,), i)), y=i, t=torch.tensor([i]))
        for i in range(3)
    ]  # fmt: skip
    rows[1]['img'] = DC(torch.zeros(1, 3, 2), stack=True, padding_value=7)
    return rows


def test_a_container_tells_of_its_value():
    container = DC(torch.ones(2, 3))
    assert (container.size(), container.size(1), container.dim(), len(container)) == ((2, 3), 3, 2, 2)
    assert container.datatype == 'torch.FloatTensor'
    assert DC([1]).datatype is list
    with pytest.raises(AttributeError, match='no dim'):
        DC([1]).dim()
    with pytest.raises(AssertionError, match='pad_dims'):
        DC(1, pad_dims=4)


def test_batches_of_containers():
    batch = parallel.collate(samples(), samples_per_gpu=2)
    first, second = batch['img'].data
    expected = torch.ones(2, 1, 3, 3)
    expected[0, 0, 2] = 7
    expected[1] = torch.tensor([[0.0, 0, 7]] * 3)
    assert torch.equal(first, expected)
    assert second.shape == (1, 1, 2, 3)
    assert batch['m'].data == [[{'n': 0}, {'n': 1}], [{'n': 2}]]
    assert batch['m'].cpu_only
    assert [[each.tolist() for each in part] for part in batch['v'].data] == [[[0], [1, 1]], [[2, 2, 2]]]
    assert batch['y'].tolist() == [0, 1, 2]
    assert batch['t'].shape == (3, 1)


def test_what_our_pipelines_note_counts_as_a_container():
    sample = {'img': [torch.ones(1)], 'img_metas': [{'a': 1}]}
    batch = parallel.collate([sample], samples_per_gpu=1)
    assert batch['img_metas'][0].data[0] == [{'a': 1}]
    (data,) = parallel.scatter(batch, [-1])
    assert data['img_metas'] == [[{'a': 1}]]
    assert data['img'][0].shape == (1, 1)
    assert parallel.collate([{'img_metas': {'a': 1}}])['img_metas'].data[0] == [{'a': 1}]


def test_our_loader_takes_containers_out():
    batch = our_collate(samples())
    assert batch['img'].shape == (3, 1, 3, 3)
    assert batch['m'] == [{'n': 0}, {'n': 1}, {'n': 2}]
    assert [each.tolist() for each in batch['v']] == [[0], [1, 1], [2, 2, 2]]
    versions = our_collate([{'img': [DC(torch.ones(1), stack=True), DC(torch.zeros(1), stack=True)]}] * 2)
    assert [each.tolist() for each in versions['img']] == [[[1], [1]], [[0], [0]]]


def test_containers_of_one_stack_differ_only_in_axes_that_are_padded():
    with pytest.raises(AssertionError, match='last 2 axes'):
        our_collate([{'a': DC(torch.ones(1, 2, 2), stack=True)}, {'a': DC(torch.ones(2, 2, 2), stack=True)}])


def test_pseudo_collate_stacks_nothing():
    assert parallel.pseudo_collate([{'a': 1, 'b': ('x', 2)}, {'a': 3, 'b': ('y', 4)}]) == {
        'a': [1, 3], 'b': (['x', 'y'], [2, 4])
    }  # fmt: skip


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def forward(self, img, img_metas=None, return_loss=True):
        return img.sum(), img_metas, return_loss

    def train_step(self, data, optimizer, **kwargs):
        return {
            'loss': self.fc(data['img']).sum(),
            'metas': data['img_metas'],
            'half': torch.is_autocast_enabled('cpu'),
        }

    val_step = train_step


@pytest.mark.parametrize('kind', [parallel.MMDataParallel, parallel.MMDistributedDataParallel])
def test_wrappers_take_batches_out_and_hand_them_on(kind):
    model = Model()
    wrapper = kind(model, device_ids=[-1])
    assert wrapper.module is model
    assert parallel.is_module_wrapper(wrapper)
    assert not parallel.is_module_wrapper(model)
    batch = {'img': DC([torch.ones(3, 2)], stack=True), 'img_metas': DC([[{'a': 1}]], cpu_only=True)}
    total, metas, losses = wrapper(return_loss=False, **batch)
    assert (total.item(), metas, losses) == (6, [{'a': 1}], False)
    assert wrapper.train_step(batch, None)['metas'] == [{'a': 1}]
    assert wrapper.val_step(batch, optimizer=None)['loss'].requires_grad
    model.fp16_enabled = True
    assert wrapper.train_step(batch, None)['half']


def test_a_wrapper_of_a_users_own_counts():
    from mmcv.parallel import MODULE_WRAPPERS, is_module_wrapper

    @MODULE_WRAPPERS.register_module('tests.OwnWrapper')
    class OwnWrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    assert is_module_wrapper(OwnWrapper(Model()))


def test_alone_a_process_is_the_first():
    assert parallel.get_dist_info() == (0, 1)
    assert parallel.is_main_process()
    assert not parallel.is_distributed()
    assert parallel.master_only(lambda: 3)() == 3
    parallel.barrier()
    parallel.init_dist('none')
    with pytest.raises(ValueError, match='Invalid launcher type: mine'):
        parallel.init_dist('mine')


def test_a_model_on_one_device():
    wrapper = parallel.build_dp(Model(), 'cpu', device_ids=[0])
    assert parallel.device_of(wrapper).type == 'cpu'
    assert isinstance(parallel.build_ddp(Model(), 'cpu', broadcast_buffers=False), parallel.MMDistributedDataParallel)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_several_gpus_need_several_processes():
    with pytest.raises(IntarsiaError, match='torchrun'):
        parallel.MMDataParallel(Model(), device_ids=[0, 1])
