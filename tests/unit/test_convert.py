"""Weights of other libraries and generations: names and shapes as these write them, read from a recorded list."""

from __future__ import annotations

import json
import lzma
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from intarsia.api.convert import SOURCES, TARGETS, convert_checkpoint
from intarsia.api.generations import as_newer, as_older
from intarsia.api.models import build_model, tell_facts
from intarsia.cli import convert as command
from intarsia.cli.main import main
from intarsia.core.errors import CheckpointError, IntarsiaError
from intarsia.models.conversion.layout import choose_layout
from intarsia.models.conversion.layouts import LAYOUTS
from intarsia.models.conversion.transformers import merged_patches
from intarsia.nn.embed import PatchMerging
from intarsia.nn.weights import load_state_dict, read_checkpoint

RECORDED = Path(__file__).parents[1] / 'golden' / 'foreign_weights.jsonl.xz'
"""Keys and shapes of models of torchvision 0.28 and timm 1.0.31 (0.6.13 where it says so)."""

with lzma.open(RECORDED, 'rt') as lines:
    SHAPES = {record['name']: record['shapes'] for record in map(json.loads, lines)}

BN = {'type': 'BN'}
MODELS = {
    'torchvision/resnet18': ('ResNet', dict(type='ResNet', depth=18)),
    'torchvision/resnet50': ('ResNet', dict(type='ResNet', depth=50)),
    'torchvision/resnext50_32x4d': ('ResNet', dict(type='ResNeXt', depth=50, groups=32, width_per_group=4)),
    'torchvision/wide_resnet50_2': (
        'ResNet',
        dict(type='ResNet', depth=50, stem_channels=64, base_channels=128, expansion=2),
    ),
    'torchvision/vgg11': ('VGG', dict(type='VGG', depth=11, num_classes=1000)),
    'torchvision/vgg13_bn': ('VGG', dict(type='VGG', depth=13, num_classes=1000, norm_cfg=BN)),
    'torchvision/alexnet': ('AlexNet', dict(type='AlexNet', num_classes=1000)),
    'torchvision/mobilenet_v2': ('MobileNetV2', dict(type='MobileNetV2')),
    'torchvision/shufflenet_v2_x1_0': ('ShuffleNetV2', dict(type='ShuffleNetV2')),
    'torchvision/convnext_tiny': ('ConvNeXt', dict(type='ConvNeXt', arch='tiny')),
    'torchvision/swin_t': ('Swin', dict(type='SwinTransformer', arch='tiny')),
    'torchvision/vit_b_16': ('ViT', dict(type='VisionTransformer', arch='base')),
    'timm/resnet50c': ('ResNet-C', dict(type='ResNetV1c', depth=50)),
    'timm/resnet50d': ('ResNet-D', dict(type='ResNetV1d', depth=50)),
    'timm/seresnet50': ('SE-ResNet', dict(type='SEResNet', depth=50)),
    'timm/seresnext50_32x4d': ('SE-ResNet', dict(type='SEResNeXt', depth=50, groups=32, width_per_group=4)),
    'timm/resnest50d': ('ResNeSt', dict(type='ResNeSt', depth=50)),
    'timm/vgg16_bn': ('VGG', dict(type='VGG', depth=16, num_classes=1000, norm_cfg=BN)),
    'timm/mobilenetv2_100': ('MobileNetV2', dict(type='MobileNetV2')),
    'timm/repvgg_a0': ('RepVGG', dict(type='RepVGG', arch='A0')),
    'timm/mobileone_s4': ('MobileOne', dict(type='MobileOne', arch='s4')),
    'timm/convnext_tiny': ('ConvNeXt', dict(type='ConvNeXt', arch='tiny')),
    'timm/swin_tiny_patch4_window7_224': ('Swin', dict(type='SwinTransformer', arch='tiny')),
    'timm-0.6.13/swin_tiny_patch4_window7_224': ('Swin', dict(type='SwinTransformer', arch='tiny')),
    'timm/deit_small_patch16_224': ('ViT', dict(type='VisionTransformer', arch='deit-s')),
    'timm/vit_base_patch16_clip_224': ('ViT', dict(type='VisionTransformer', arch='base', pre_norm=True)),
    'timm/pvt_v2_b1': (
        'PVT v2',
        dict(type='PyramidVisionTransformerV2', embed_dims=64, num_layers=[2, 2, 2, 2]),
    ),
}


def classifier(backbone, channels):
    head = dict(type='LinearClsHead', num_classes=1000, in_channels=channels)
    if backbone['type'] in ('VGG', 'AlexNet'):
        return dict(type='ImageClassifier', backbone=backbone, head=dict(type='ClsHead'))
    if backbone['type'] == 'VisionTransformer':
        return dict(type='ImageClassifier', backbone=backbone, head={**head, 'type': 'VisionTransformerClsHead'})
    return dict(type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'), head=head)


def empty(shapes):
    return {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}


@pytest.mark.parametrize('name', MODELS)
def test_names_and_shapes_are_those_of_our_classifiers(name):
    family, backbone = MODELS[name]
    library, converted = choose_layout(empty(SHAPES[name]), LAYOUTS)
    assert (library, converted.layout.name) == (name.split('/')[0].split('-')[0], family)
    assert backbone['type'] in converted.layout.models
    assert not converted.left_over
    found = {key: tuple(value.shape) for key, value in converted.state.items()}
    heads = [shape[1] for key, shape in found.items() if key in ('head.fc.weight', 'head.layers.head.weight')]
    with torch.device('meta'):
        model = build_model(classifier(backbone, *heads or [0]), init=False)
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert found == expected


def test_a_backbone_alone(tmp_path):
    found = choose_layout(empty(SHAPES['timm/hrnet_w18']), LAYOUTS)[1]
    assert len(found.state) == 1830
    assert {key.split('.')[0] for key in found.left_over} == {
        'incre_modules',
        'downsamp_modules',
        'final_layer',
        'classifier',
    }
    found = choose_layout(empty(SHAPES['timm/vit_small_patch14_dinov2']), LAYOUTS)[1]
    assert not found.left_over
    assert {'backbone.layers.0.attn.gamma1.weight', 'backbone.layers.0.ffn.gamma2.weight'} <= set(found.state)


@pytest.mark.parametrize('name', ['timm/densenet121', 'timm/mixer_b16_224', 'torchvision/swin_v2_t', 'timm/skresnet50'])
def test_unknown_networks_are_refused(name):
    with pytest.raises(CheckpointError, match=r'of no network that is known here.*torchvision: ResNet, .*timm: HRNet'):
        choose_layout(empty(SHAPES[name]), LAYOUTS)


def test_what_nothing_takes_is_left_over():
    found = choose_layout(empty(SHAPES['timm/deit_base_distilled_patch16_224']), LAYOUTS)[1]
    assert found.left_over == ['dist_token', 'head_dist.weight', 'head_dist.bias']


def test_merged_patches_give_equal_numbers():
    """Other libraries put four pixels one after the other: (0, 0), (1, 0), (0, 1), (1, 1), as (row, column)."""
    generator = torch.Generator().manual_seed(0)
    theirs_norm, theirs_linear = nn.LayerNorm(20), nn.Linear(20, 10, bias=False)
    for parameter in theirs_norm.parameters():
        nn.init.normal_(parameter, generator=generator)
    ours = PatchMerging(5, 10)
    ours.norm.load_state_dict({k: merged_patches(v) for k, v in theirs_norm.state_dict().items()})
    ours.reduction.load_state_dict({'weight': merged_patches(theirs_linear.weight)})
    x_nhwc = torch.randn(2, 4, 6, 5, generator=generator)
    pixels = [x_nhwc[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    expected = theirs_linear(theirs_norm(torch.cat(pixels, -1))).flatten(1, 2)
    torch.testing.assert_close(ours(x_nhwc.flatten(1, 2), (4, 6))[0], expected)


# ---------------------------------------------------------------------- files


@pytest.fixture
def resnet(tmp_path):
    """Weights of a small ResNet-18 as torchvision names them, and ours."""
    torch.manual_seed(0)
    config = classifier(dict(type='ResNet', depth=18, stem_channels=8, base_channels=8), 64)
    model = build_model(config).eval()
    theirs = {k.removeprefix('backbone.').removeprefix('head.'): v for k, v in model.state_dict().items()}
    torch.save(theirs, tmp_path / 'theirs.pth')
    return model, config, tmp_path


def test_a_file_of_torchvision(resnet):
    model, config, folder = resnet
    found = convert_checkpoint(folder / 'theirs.pth', folder / 'ours.pth')
    assert (found.source, found.family, found.num_entries) == ('torchvision', 'ResNet', 122)
    assert found.renamed['layer2.0.downsample.1.running_var'] == 'backbone.layer2.0.downsample.1.running_var'
    assert found.renamed['fc.bias'] == 'head.fc.bias'
    content = read_checkpoint(folder / 'ours.pth')
    assert content['meta']['converted_from'] == 'torchvision ResNet'
    other = build_model(config).eval()
    assert load_state_dict(other, content['state_dict']).complete
    image_nchw = torch.randn(2, 3, 32, 32)
    assert torch.equal(other(image_nchw), model(image_nchw))
    with pytest.raises(IntarsiaError, match='exists already'):
        convert_checkpoint(folder / 'theirs.pth', folder / 'ours.pth')
    with pytest.raises(CheckpointError, match='of no network that is known here'):
        convert_checkpoint(folder / 'ours.pth', folder / 'other.pth', source='timm')


def test_a_config_has_the_last_word(resnet):
    _, config, folder = resnet
    config['head']['num_classes'] = 5
    (folder / 'config.py').write_text(f'model = {config!r}\n')
    source, file = folder / 'theirs.pth', folder / 'ours.pth'
    with pytest.raises(
        CheckpointError, match=r'2 entries have no place: head\.fc\.weight \(1000, 64\) instead of \(5, 64\)'
    ):
        convert_checkpoint(source, file, config=folder / 'config.py')
    assert not file.exists()
    found = convert_checkpoint(source, file, config=folder / 'config.py', partial=True)
    assert (found.num_entries, len(found.left_over)) == (120, 2)
    options = ['model.head.num_classes=1000']
    found = convert_checkpoint(source, folder / 'all.pth', config=folder / 'config.py', cfg_options=options)
    assert found.num_entries == 122


POSE = {
    'backbone.conv1.weight': (1,),
    'keypoint_head.final_layer.0.weight': (2, 2, 1, 1),
    'keypoint_head.final_layer.0.bias': (2,),
    'keypoint_head.final_layer.1.running_mean': (2,),
    'keypoint_head.final_layer.3.weight': (3, 2, 1, 1),
    'keypoint_head.final_layer.3.bias': (3,),
    'keypoint_head.loss.flow_model.loc': (2,),
}
NEWER_POSE = {
    'backbone.conv1.weight': (1,),
    'head.conv_layers.0.weight': (2, 2, 1, 1),
    'head.conv_layers.0.bias': (2,),
    'head.conv_layers.1.running_mean': (2,),
    'head.final_layer.weight': (3, 2, 1, 1),
    'head.final_layer.bias': (3,),
    'head.loss_module.flow_model.loc': (2,),
}


def shapes_of(state):
    return {key: tuple(value.shape) for key, value in state.items()}


class TestGenerations:
    def test_pose_heads(self):
        assert shapes_of(as_newer(empty(POSE))) == NEWER_POSE
        assert shapes_of(as_older(empty(NEWER_POSE))) == POSE
        assert shapes_of(as_older(empty(POSE))) == POSE
        assert shapes_of(as_newer(empty(NEWER_POSE))) == NEWER_POSE

    def test_a_head_of_one_layer(self):
        older = {'keypoint_head.final_layer.weight': (3, 2, 1, 1)}
        newer = {'head.final_layer.weight': (3, 2, 1, 1)}
        assert shapes_of(as_newer(empty(older))) == newer
        assert shapes_of(as_older(empty(newer))) == older

    def test_classifiers_keep_their_head(self):
        state = {'head.fc.weight': (3, 2)}
        assert shapes_of(as_older(empty(state))) == shapes_of(as_newer(empty(state))) == state
        assert list(as_older(empty(state), is_pose=True)) == ['keypoint_head.fc.weight']

    def test_the_mask_of_bmn(self):
        newer = as_newer({'sample_mask': torch.zeros(3, 12)})
        assert newer['bm_mask'].tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
        assert list(as_older(newer)) == ['sample_mask']

    def test_files(self, tmp_path):
        state = {key: torch.rand(shape) for key, shape in POSE.items()}
        meta = {'CLASSES': ('a', 'b'), 'PALETTE': np.array([[1, 2, 3]]), 'epoch': 3}
        extra = {'data_preprocessor.mean': torch.zeros(3, 1, 1), 'ema_backbone_conv1_weight': torch.zeros(1)}
        torch.save({'state_dict': {**state, **extra}, 'meta': meta, 'optimizer': {}}, tmp_path / 'a.pth')
        found = convert_checkpoint(tmp_path / 'a.pth', tmp_path / 'b.pth', target='1.x')
        assert set(found.dropped) == set(extra)
        assert found.renamed['keypoint_head.final_layer.3.bias'] == 'head.final_layer.bias'
        content = torch.load(tmp_path / 'b.pth', weights_only=True)
        assert set(content) == {'state_dict', 'meta'}
        assert shapes_of(content['state_dict']) == NEWER_POSE
        assert content['meta']['dataset_meta'] == {'classes': ['a', 'b'], 'palette': [[1, 2, 3]]}
        convert_checkpoint(tmp_path / 'b.pth', tmp_path / 'c.pth', source='mmpose', target='0.x')
        content = torch.load(tmp_path / 'c.pth', weights_only=True)
        assert content['meta']['CLASSES'] == ['a', 'b']
        assert all(torch.equal(content['state_dict'][key], value) for key, value in state.items())

    def test_a_config_chooses_the_names(self, tmp_path):
        backbone = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
        head = dict(in_channels=64, out_channels=3)
        older = dict(type='TopdownHeatmapSimpleHead', **head, num_deconv_layers=0)
        newer = dict(type='HeatmapHead', **head, deconv_out_channels=None)
        models = {
            'older': dict(type='TopDown', backbone=backbone, keypoint_head=older),
            'newer': dict(type='TopdownPoseEstimator', backbone=backbone, head=newer),
        }
        for name, config in models.items():
            (tmp_path / f'{name}.py').write_text(f'model = {config!r}\n')
        torch.save(build_model(models['older']).state_dict(), tmp_path / 'older.pth')
        convert_checkpoint(tmp_path / 'older.pth', tmp_path / 'newer.pth', config=tmp_path / 'newer.py')
        assert load_state_dict(
            build_model(models['newer']), read_checkpoint(tmp_path / 'newer.pth')['state_dict']
        ).complete
        convert_checkpoint(tmp_path / 'newer.pth', tmp_path / 'back.pth', config=tmp_path / 'older.py')
        assert load_state_dict(
            build_model(models['older']), read_checkpoint(tmp_path / 'back.pth')['state_dict']
        ).complete


class TestObjectsOfTheToolboxes:
    @pytest.fixture
    def history(self, monkeypatch):
        """An object as MMEngine leaves in its checkpoints: of a module that is gone when they are read."""
        module = types.ModuleType('mmengine.logging.history_buffer')

        class HistoryBuffer:
            def __init__(self):
                self.history, self.methods = np.arange(3.0), {'min': self.minimum}

            def minimum(self):
                raise AssertionError

            def __reduce__(self):
                return HistoryBuffer, (), self.__dict__

        HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, 'HistoryBuffer'
        module.HistoryBuffer = HistoryBuffer
        for name in ('mmengine', 'mmengine.logging'):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        yield HistoryBuffer()
        monkeypatch.undo()

    @pytest.mark.parametrize('zipped', [True, False])
    def test_are_read_without_them(self, history, tmp_path, monkeypatch, zipped):
        meta = {'dataset_meta': {'classes': ('a',), 'sigmas': np.float32([0.5])}}
        content = {'meta': meta, 'state_dict': {'weight': torch.ones(2)}, 'message_hub': {'loss': history}}
        torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
        monkeypatch.undo()
        found = read_checkpoint(tmp_path / 'a.pth')
        assert found['state_dict']['weight'].tolist() == [1, 1]
        assert found['meta']['dataset_meta']['sigmas'].tolist() == [0.5]
        assert found['message_hub']['loss'].parts[-1]['history'].tolist() == [0, 1, 2]
        model = nn.Linear(1, 1)
        tell_facts(model, found['meta'])
        assert model.classes == ['a']

    def test_others_are_refused(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return print, ('boo',)

        torch.save({'state_dict': {}, 'x': Evil()}, tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match='holds the Python object builtins.print'):
            read_checkpoint(tmp_path / 'a.pth')


def test_means_of_pixels_are_no_weights():
    net = nn.Linear(2, 3)
    assert load_state_dict(net, {**net.state_dict(), 'data_preprocessor.mean': torch.zeros(3, 1, 1)}).complete


class TestCommand:
    def test_knows_the_words_of_the_function(self):
        assert command.SOURCES == SOURCES
        assert command.TARGETS == TARGETS

    def test_tells_what_was_done(self, resnet, capsys):
        folder = resnet[2]
        assert main(['convert', str(folder / 'theirs.pth'), str(folder / 'ours.pth')]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith('torchvision ResNet, for ResNet or ResNeXt: 122 entries in ')
        assert lines[1] == '  conv1.weight -> backbone.conv1.weight'
        assert lines[-1].startswith("note: style='pytorch'")
        assert (
            main(['convert', str(folder / 'theirs.pth'), str(folder / 'b.pth'), '--json', '--from', 'torchvision']) == 0
        )
        assert json.loads(capsys.readouterr().out)['num_entries'] == 122

    def test_exit_codes(self, resnet, capsys):
        folder = resnet[2]
        torch.save({'a.weight': torch.zeros(1)}, folder / 'strange.pth')
        assert main(['convert', str(folder / 'strange.pth'), str(folder / 'b.pth')]) == 3
        assert 'Known are those of torchvision: ResNet' in capsys.readouterr().err
        assert main(['convert', str(folder / 'none.pth'), str(folder / 'b.pth')]) == 3
        assert main(['convert', str(folder / 'theirs.pth'), str(folder / 'theirs.pth')]) == 1
