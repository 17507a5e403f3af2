"""Networks of clips: inflation of image weights, strides and pathways, the heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intarsia.core.registries import BACKBONES, HEADS
from intarsia.models.backbones.resnet import ResNet as ImageResNet
from intarsia.nn.non_local import NonLocal3d
from intarsia.tasks.action.backbones.conv2plus1d import Conv2plus1d
from intarsia.tasks.action.backbones.inflate import inflate_weights

B, H = BACKBONES.of('action'), HEADS.of('action')


def clip(frames=4, size=32, channels=3, n=1):
    return torch.randn(n, channels, frames, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('style', ['3x1x1', '3x3x3'])
def test_inflated_weights_give_for_a_still_clip_what_its_frame_gives(style, tmp_path):
    images = ImageResNet(18, base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3))
    images.init_weights()
    for norm in (m for m in images.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
    torch.save(images.state_dict(), tmp_path / 'images.pth')
    clips = B.build(
        dict(type='ResNet3d', depth=18, base_channels=8, pretrained=str(tmp_path / 'images.pth'), with_pool2=False,
             inflate_style=style, out_indices=(0, 1, 2, 3))
    )  # fmt: skip
    clips.init_weights()
    frame = clip(1)[:, :, 0]
    with torch.inference_mode():
        expected = images.eval()(frame)
        found = clips.eval()(frame.unsqueeze(2).expand(-1, -1, 40, -1, -1))
    for feat, reference in zip(found, expected, strict=True):
        # 17 layers reach over a frame on each side: those in the middle do not see the zeros beyond the ends
        torch.testing.assert_close(feat[:, :, 20], reference, rtol=1e-4, atol=1e-4)


def test_weights_that_do_not_fit_are_left_alone_and_named(caplog):
    model = B.build(dict(type='ResNet3d', depth=18, base_channels=8))
    before = model.layer1[0].conv1.conv.weight.clone()
    with caplog.at_level('INFO', 'intarsia'):
        inflate_weights(model, {'layer1.0.conv1.weight': torch.zeros(5, 5, 3, 3), 'fc.weight': torch.zeros(2)})
    assert torch.equal(model.layer1[0].conv1.conv.weight, before)
    assert 'layer1.0.conv1.weight' in caplog.text
    assert 'not used: fc.weight' in caplog.text


@pytest.mark.parametrize(
    ('options', 'shapes'),
    [
        (dict(type='ResNet3d', depth=18, out_indices=(0, 3)), [(8, 4, 8, 8), (64, 4, 1, 1)]),
        (dict(type='ResNet3d', depth=50, temporal_strides=(1, 2, 2, 1)), [(256, 1, 1, 1)]),
        (dict(type='ResNet3dSlowOnly', depth=18, with_pool1=False), [(64, 8, 2, 2)]),
        (dict(type='ResNet3dSlowOnly', depth=50, in_channels=17, num_stages=3, out_indices=(2,), conv1_stride_s=1,
              pool1_stride_s=1, inflate=(0, 1, 1), spatial_strides=(2, 2, 2), temporal_strides=(1, 1, 2),
              dilations=(1, 1, 1)), [(128, 4, 4, 4)]),
        (dict(type='ResNet2Plus1d', depth=18, temporal_strides=(1, 2, 2, 2)), [(64, 1, 1, 1)]),
    ],
)  # fmt: skip
def test_shapes_are_those_that_are_declared(options, shapes):
    model = B.build({**options, 'base_channels': 8}).eval()
    with torch.inference_mode():
        feats = model(clip(8, 32, options.get('in_channels', 3)))
    assert [tuple(feat.shape[1:]) for feat in feats] == shapes
    assert model.out_channels == tuple(shape[0] for shape in shapes)
    assert [32 // stride for stride in model.strides] == [shape[-1] for shape in shapes]


def test_the_fast_pathway_sees_more_frames_and_the_slow_one_its_features():
    model = B.build(
        dict(type='ResNet3dSlowFast', resample_rate=8, speed_ratio=4, channel_ratio=4,
             slow_pathway=dict(type='resnet3d', depth=18, lateral=True, base_channels=16, conv1_kernel=(1, 7, 7),
                               inflate=(0, 0, 1, 1), with_pool2=False),
             fast_pathway=dict(type='resnet3d', depth=18, lateral=False, base_channels=4, conv1_kernel=(5, 7, 7),
                               with_pool2=False))
    ).eval()  # fmt: skip
    frames = clip(32)
    with torch.inference_mode():
        slow, fast = model(frames)
        assert slow.shape == (1, 128, 4, 1, 1)
        assert fast.shape == (1, 32, 16, 1, 1)
        frames[:, :, 2] += 1  # a frame that the slow pathway does not look at itself
        assert not torch.equal(model(frames)[0], slow)
    head = H.build(dict(type='SlowFastHead', num_classes=5, in_channels=160)).eval()
    pooled = torch.cat([fast.mean((2, 3, 4)), slow.mean((2, 3, 4))], 1)
    torch.testing.assert_close(head((slow, fast)), head.fc_cls(pooled))


def test_non_local_blocks_are_where_they_are_asked_for():
    options = dict(sub_sample=True, use_scale=False, mode='embedded_gaussian')
    model = B.build(dict(type='ResNet3d', depth=18, base_channels=8, non_local=((0, 0), (1, 0), (0, 1), (0, 0)),
                         non_local_cfg=options))  # fmt: skip
    names = [name for name, module in model.named_modules() if isinstance(module, NonLocal3d)]
    assert names == ['layer2.0.non_local_block', 'layer3.1.non_local_block']


def test_a_convolution_taken_apart_has_as_many_parameters_as_a_whole_one():
    whole = nn.Conv3d(64, 64, 3, bias=False)
    apart = Conv2plus1d(64, 64, 3, padding=1, bias=False)
    count = sum(p.numel() for name, p in apart.named_parameters() if 'bn' not in name)
    assert 0.98 < count / whole.weight.numel() <= 1
    assert apart(torch.zeros(1, 64, 4, 6, 6)).shape == (1, 64, 4, 6, 6)


def test_frozen_stages_stay_in_evaluation_and_without_gradients():
    model = B.build(dict(type='ResNet3d', depth=18, base_channels=8, frozen_stages=1)).train()
    assert not model.conv1.training
    assert not any(p.requires_grad for p in [*model.conv1.parameters(), *model.layer1.parameters()])
    assert all(p.requires_grad for p in model.layer2.parameters())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(type='ResNet3d', depth=20), 'depth must be one of 18, 34'),
        (dict(type='ResNet3d', dilations=(1, 1)), r'dilations=\(1, 1\), but num_stages=4'),
        (dict(type='ResNet3d', inflate=((1, 1), 1, 1, 1)), r'3 blocks cannot have inflate=\(1, 1\)'),
        (dict(type='ResNet3dSlowOnly', lateral=True), 'has one pathway'),
        (dict(type='ResNet3dSlowFast', slow_pathway=dict(type='resnet2d')), "type 'resnet3d', not 'resnet2d'"),
        (dict(type='ResNet2Plus1d', pretrained2d=True), 'pretrained2d False'),
    ],
)
def test_numbers_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        B.build(options)


def test_c3d_is_a_vector_of_sixteen_frames():
    model = B.build(dict(type='C3D')).eval()
    with torch.inference_mode():
        assert model(clip(16, 112))[0].shape == (1, 4096)


@pytest.mark.parametrize(('mode', 'layers'), [('ir', 1), ('ip', 2)])
def test_channels_stay_apart_in_the_middle_of_a_bottleneck(mode, layers):
    model = B.build(dict(type='ResNet3dCSN', depth=50, base_channels=8, bottleneck_mode=mode, norm_eval=True,
                         bn_frozen=True)).train()  # fmt: skip
    middle = model.layer2[0].conv2
    assert len(middle) == layers
    assert middle[-1].conv.weight.shape == (16, 1, 3, 3, 3)
    assert model(clip(8, 32))[0].shape == (1, 256, 1, 1, 1)
    assert not any(p.requires_grad for m in model.modules() if isinstance(m, nn.BatchNorm3d) for p in m.parameters())


TINY_SWIN = dict(type='SwinTransformer3D', arch=dict(embed_dims=8, depths=(2, 2), num_heads=(2, 2)))


def test_a_shifted_window_lets_nothing_wrap_around():
    model = B.build({**TINY_SWIN, 'window_size': (2, 4, 4), 'out_indices': (0,)}).eval()
    frames = clip(8, 64)
    with torch.inference_mode():
        before = model(frames)[0]
        frames[:, :, :, -1] += 5  # the last row of pixels: two windows above it nothing has changed
        after = model(frames)[0]
    assert before.shape == (1, 8, 4, 16, 16)
    torch.testing.assert_close(before[:, :, :, :8], after[:, :, :, :8])
    assert not torch.allclose(before[:, :, :, -1], after[:, :, :, -1])


def test_a_swin_transformer_of_images_is_inflated():
    model = B.build({**TINY_SWIN, 'window_size': (2, 7, 7), 'out_indices': (1,)})
    table = torch.randn(169, 2)
    state = model.inflated({
        'patch_embed.proj.weight': torch.ones(8, 3, 4, 4),
        'layers.0.blocks.0.attn.relative_position_bias_table': table,
        'layers.0.blocks.0.attn.relative_position_index': torch.zeros(49, 49),
        'norm.weight': torch.ones(16),
    })  # fmt: skip
    assert sorted(state) == ['layers.0.blocks.0.attn.relative_position_bias_table', 'norm1.weight',
                             'patch_embed.proj.weight']  # fmt: skip
    torch.testing.assert_close(state['patch_embed.proj.weight'], torch.full((8, 3, 2, 4, 4), 0.5))
    inflated = state['layers.0.blocks.0.attn.relative_position_bias_table']
    torch.testing.assert_close(inflated.view(3, 169, 2), table.expand(3, -1, -1))
    own = model.state_dict()
    assert all(own[key].shape == value.shape for key, value in state.items())
