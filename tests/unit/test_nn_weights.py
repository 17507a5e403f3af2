import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.nn.weights import find_weights, load_state_dict, read_checkpoint, read_state_dict


class NotATensor:
    pass


def test_round_trip_of_both_formats(tmp_path):
    state = {'weight': torch.arange(4.0)}
    torch.save({'state_dict': state, 'meta': {'CLASSES': ['a']}}, tmp_path / 'a.pth')
    save_file(state, tmp_path / 'a.safetensors')
    assert read_checkpoint(tmp_path / 'a.pth')['meta'] == {'CLASSES': ['a']}
    for name in ('a.pth', 'a.safetensors'):
        assert torch.equal(read_state_dict(tmp_path / name)['weight'], state['weight'])


@pytest.mark.parametrize('top', ['state_dict', 'model', None])
def test_state_dict_is_found_where_publishers_put_it(tmp_path, top):
    state = {'weight': torch.ones(1)}
    torch.save({top: state, 'epoch': 3} if top else state, tmp_path / 'a.pth')
    assert list(read_state_dict(tmp_path / 'a.pth')) == ['weight']


def test_single_numbers_of_numpy_are_plain_values(tmp_path):
    meta = {'best': np.float64(71.5), 'score': np.float32(0.5), 'epoch': np.int64(3)}
    torch.save({'state_dict': {'weight': torch.ones(1)}, 'meta': meta}, tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['meta'] == meta


def test_unreadable_files_are_told_apart(tmp_path):
    file = tmp_path / 'a.pth'
    with pytest.raises(CheckpointError, match='there is no checkpoint'):
        read_checkpoint(file)
    file.touch()
    with pytest.raises(CheckpointError, match='empty'):
        read_checkpoint(file)
    torch.save({'weight': torch.ones(1000)}, file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match='truncated'):
        read_checkpoint(file)
    torch.save({'x': NotATensor()}, file)
    with pytest.raises(CheckpointError, match='NotATensor.*only tensors and plain values'):
        read_checkpoint(file)
    torch.save([1, 2], file)
    with pytest.raises(CheckpointError, match='holds a list'):
        read_checkpoint(file)
    torch.save({'epoch': 1}, file)
    with pytest.raises(CheckpointError, match='no tensors'):
        read_state_dict(file)
    (tmp_path / 'b.safetensors').write_bytes(b'12345678')
    with pytest.raises(CheckpointError, match='truncated'):
        read_checkpoint(tmp_path / 'b.safetensors')


def test_names_are_looked_up_by_file_name(tmp_path, monkeypatch):
    monkeypatch.setenv('INTARSIA_HOME', str(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        find_weights('https://example.org/models/resnet50_8xb32-ea4938fc.pth')
    assert str(tmp_path / 'checkpoints' / 'resnet50_8xb32-ea4938fc.pth') in str(caught.value)
    assert '--no-pretrained' in str(caught.value)
    folder = tmp_path / 'checkpoints'
    folder.mkdir()
    for name in ('resnet50_8xb32-ea4938fc.pth', 'resnet50-0676ba61.pth', 'vgg16_caffe.pth'):
        (folder / name).touch()
    assert find_weights('https://example.org/a/resnet50_8xb32-ea4938fc.pth?x=1').name == 'resnet50_8xb32-ea4938fc.pth'
    assert find_weights('torchvision://resnet50').name == 'resnet50-0676ba61.pth'
    assert find_weights('open-mmlab://vgg16_caffe').name == 'vgg16_caffe.pth'
    (folder / 'resnet50-11ad3fa6.pth').touch()
    with pytest.raises(CheckpointError, match='keep one'):
        find_weights('torchvision://resnet50')


def test_paths(tmp_path):
    file = tmp_path / 'a.pth'
    with pytest.raises(CheckpointError, match='there is no checkpoint'):
        find_weights(file)
    file.touch()
    assert find_weights(str(file)) == file


def state_of(module, **changes):
    return {**{k: v.clone() for k, v in module.state_dict().items()}, **changes}


def test_strict_loading_reports_everything_and_changes_nothing():
    net = nn.Linear(2, 3)
    before = net.weight.clone()
    state = {'module.weight': torch.zeros(5, 2), 'extra': torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_state_dict(net, state)
    text = str(caught.value)
    assert 'Linear' in text
    assert '1 missing: bias' in text
    assert '1 unexpected: extra' in text
    assert 'weight is (5, 2), expected (3, 2)' in text
    assert torch.equal(net.weight, before)


def test_lenient_loading_takes_what_fits():
    net = nn.Linear(2, 3)
    report = load_state_dict(net, {'weight': torch.ones(3, 2), 'bias': torch.ones(4)}, strict=False)
    assert report.loaded == ('weight',)
    assert report.mismatched == (('bias', (4,), (3,)),)
    assert torch.equal(net.weight, torch.ones(3, 2))


def test_prefixes_and_revised_keys():
    net = nn.Linear(2, 3)
    state = {f'module.{k}': v for k, v in state_of(net).items()}
    assert load_state_dict(net, state).complete
    nested = {f'backbone.{k}': v for k, v in state_of(net).items()}
    assert load_state_dict(net, {**nested, 'head.weight': torch.ones(1)}, prefix='backbone').complete
    assert load_state_dict(net, nested, revise_keys=[(r'^backbone\.', '')]).complete


def test_counters_of_batches_may_be_missing():
    net = nn.BatchNorm2d(3)
    state = state_of(net)
    del state['num_batches_tracked']
    assert load_state_dict(net, state).complete


def test_a_module_may_rewrite_what_is_loaded():
    def rename(module, state, prefix, *_):
        if f'{prefix}old' in state:
            state[f'{prefix}weight'] = state.pop(f'{prefix}old')

    net = nn.Sequential(nn.Linear(2, 3, bias=False))
    net[0].register_load_state_dict_pre_hook(rename)
    state = {'0.old': torch.ones(3, 2)}
    assert load_state_dict(net, state).complete
    assert torch.equal(net[0].weight, torch.ones(3, 2))
    assert list(state) == ['0.old']
