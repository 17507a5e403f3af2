"""Transformers of clips and their heads: weights they start from, outputs, mistakes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from intarsia.core.registries import BACKBONES, BATCH_AUGMENTS, HEADS
from intarsia.nn.weights import load_state_dict
from intarsia.tasks.action.backbones.inflate import in_the_middle
from intarsia.tasks.action.backbones.timesformer import with_attention_for_time

B, H = BACKBONES.of('action'), HEADS.of('action')
TIMESFORMER = {
    'type': 'TimeSformer', 'num_frames': 4, 'img_size': 32, 'patch_size': 16, 'embed_dims': 16, 'num_heads': 2,
    'num_transformer_layers': 2,
}  # fmt: skip
MAE = {'type': 'VisionTransformer', 'img_size': 32, 'embed_dims': 16, 'depth': 2, 'num_heads': 2, 'num_frames': 4}
MVIT = {
    'type': 'MViT', 'arch': {'embed_dims': 8, 'num_layers': 3, 'num_heads': 1, 'downscale_indices': (1,)},
    'spatial_size': 32, 'temporal_size': 8,
}  # fmt: skip
UNIFORMERV2 = {
    'type': 'UniFormerV2', 'input_resolution': 32, 'width': 16, 'layers': 2, 'heads': 2, 'n_dim': 16, 'n_head': 2,
    'n_layers': 1, 'return_list': (1,), 'mlp_dropout': (0.5,),
}  # fmt: skip
UNIFORMER = {'type': 'UniFormer', 'depth': (1, 1, 1, 1), 'embed_dim': (8, 8, 16, 16), 'head_dim': 8}


def built(cfg, **more):
    torch.manual_seed(0)
    model = B.build({**cfg, **more})
    model.init_weights()
    return model.eval()


def clip(frames=4, rows=32, columns=32, n=2):
    return torch.randn(n, 3, frames, rows, columns, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------- TimeSformer


def test_frames_alone_are_seen_in_any_order():
    model = built(TIMESFORMER, attention_type='space_only')
    torch.testing.assert_close(model(clip())[0], model(clip().flip(2))[0])


@pytest.mark.parametrize('kind', ['divided_space_time', 'joint_space_time'])
def test_times_tell_frames_apart(kind):
    model = built(TIMESFORMER, attention_type=kind)
    torch.nn.init.normal_(model.time_embed)
    for name, weight in model.named_parameters():
        if 'temporal_fc' in name:
            torch.nn.init.normal_(weight)
    assert not torch.allclose(model(clip())[0], model(clip().flip(2))[0], atol=1e-3)


def test_attention_over_time_starts_from_that_over_space(tmp_path):
    images = built(TIMESFORMER, attention_type='space_only')
    torch.save(images.state_dict(), tmp_path / 'images.pth')
    clips = built(TIMESFORMER, pretrained=str(tmp_path / 'images.pth'))
    state, first = clips.state_dict(), 'transformer_layers.layers.0'
    expected = images.state_dict()[f'{first}.attentions.0.attn.in_proj_weight']
    for i in range(2):
        assert torch.equal(state[f'{first}.attentions.{i}.attn.in_proj_weight'], expected)
    # nothing comes from other frames yet, so a still clip gives what its frame does
    still = clip(1).expand(-1, -1, 4, -1, -1)
    torch.testing.assert_close(clips(still)[0], images(still)[0])


def test_weights_for_time_have_no_names_left_over():
    state = with_attention_for_time(built(TIMESFORMER, attention_type='space_only').state_dict())
    report = load_state_dict(built(TIMESFORMER), state, strict=False)
    assert not report.unexpected
    assert all('temporal_fc' in key or key == 'time_embed' for key in report.missing)


# ---------------------------------------------------------------------- MViT, VideoMAE, UniFormer


def test_mvit_takes_clips_of_other_sizes():
    model = built(MVIT, use_abs_pos_embed=True, out_scales=(0, 1))
    outs = model(clip(6, 32, 48))
    assert [[tuple(t.shape) for t in out] for out in outs] == [
        [(2, 8, 3, 8, 12), (2, 8)], [(2, 16, 3, 4, 6), (2, 16)],
    ]  # fmt: skip


def test_mvit_of_masked_training_fits_its_biases(tmp_path):
    state = {f'backbone.{key}': value for key, value in built(MVIT).state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'masked.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'masked.pth'))
    larger = built(MVIT, temporal_size=16, spatial_size=64, pretrained_type='maskfeat', init_cfg=init)
    bias, small = larger.blocks[0].attn.rel_pos_t, state['backbone.blocks.0.attn.rel_pos_t']
    assert len(bias) == 15
    assert len(small) == 7
    torch.testing.assert_close(bias[7], small[3])  # no offset stays no offset


def test_mvit_without_class_token_gives_maps():
    model = built(MVIT, with_cls_token=False, output_cls_token=False)
    assert model(clip(8))[0].shape == (2, 16, 4, 4, 4)


def test_mae_gives_vectors_and_maps():
    assert built(MAE)(clip())[0].shape == (2, 16)
    assert built(MAE, use_mean_pooling=False)(clip())[0].shape == (2, 16)
    model = built(MAE, return_feat_map=True)
    assert model(clip(4, 32, 64))[0].shape == (2, 16, 2, 2, 4)
    assert model.strides == (16,)
    assert 'pos_embed' in model.state_dict()
    assert 'pos_embed' not in dict(model.named_parameters())


@pytest.mark.parametrize(('cfg', 'frames'), [(UNIFORMER, 4), (UNIFORMERV2, 4)])
def test_kernels_of_images_are_put_in_the_middle(cfg, frames, tmp_path):
    more = {'temporal_downsample': True} if cfg is UNIFORMERV2 else {}
    model = built(cfg, **more)
    state = {key: value[:, :, 0] if value.ndim == 5 else value for key, value in model.state_dict().items()}
    torch.save(state, tmp_path / 'images.pth')
    started = built(cfg, **more, pretrained=str(tmp_path / 'images.pth'))
    key = 'conv1.weight' if cfg is UNIFORMERV2 else 'patch_embed1.proj.weight'
    kernel = started.state_dict()[key]
    assert torch.equal(kernel[:, :, 1], state[key])
    assert not kernel[:, :, [0, 2]].any()
    assert in_the_middle({'a': torch.ones(2)}, {})['a'].sum() == 2


@pytest.mark.parametrize(
    ('cfg', 'more', 'words'),
    [
        (TIMESFORMER, {'attention_type': 'time_only'}, 'attention_type is one of'),
        (TIMESFORMER, {'img_size': 40}, 'no multiple of patch_size'),
        (MVIT, {'with_cls_token': False}, 'no class token'),
        (MVIT, {'pretrained_type': 'imagenet'}, "'maskfeat' or None"),
        (UNIFORMERV2, {'n_layers': 2}, 'n_layers=2'),
        (UNIFORMERV2, {'n_dim': 8}, 'n_dim=8'),
        (UNIFORMER, {'depth': (1, 1)}, 'four stages'),
        ({'type': 'X3D'}, {'se_style': 'none'}, 'se_style'),
    ],
)
def test_mistakes_are_named(cfg, more, words):
    with pytest.raises(ValueError, match=words):
        B.build({**cfg, **more})


def test_packages_that_are_not_installed_say_how_to_install_them():
    for kind, line in (('TorchVisionModel', "pip install 'torchvision'"), ('TimmModel', "pip install 'timm>=0.9'")):
        try:
            B.build({'type': kind, 'model_name': 'resnet18'})
        except ImportError as error:
            assert line in str(error)  # noqa: PT017 - where the package is installed, nothing is raised


# ---------------------------------------------------------------------- heads


@pytest.mark.parametrize(
    ('cfg', 'feats', 'keys'),
    [
        ({'type': 'X3DHead'}, (torch.randn(2, 8, 2, 3, 3),), ['fc1.weight', 'fc2.weight', 'fc2.bias']),
        ({'type': 'X3DHead', 'spatial_type': 'max'}, (torch.randn(2, 8, 2, 3, 3),), None),
        ({'type': 'TimeSformerHead', 'dropout_ratio': 0.5}, (torch.randn(2, 8),), ['fc_cls.weight', 'fc_cls.bias']),
        ({'type': 'MViTHead'}, ([torch.randn(2, 8, 2, 3, 3), torch.randn(2, 8)],), ['fc_cls.weight', 'fc_cls.bias']),
        ({'type': 'MViTHead', 'with_cls_token': False}, (torch.randn(2, 8, 2, 3, 3),), None),
        ({'type': 'UniFormerHead'}, (torch.randn(2, 8),), ['fc_cls.weight', 'fc_cls.bias']),
    ],
)
def test_heads_give_scores_and_losses(cfg, feats, keys):
    head = H.build({'num_classes': 5, 'in_channels': 8, **cfg})
    head.init_weights()
    scores = head(feats)
    assert scores.shape == (2, 5)
    assert set(head.loss(scores, torch.tensor([0, 3]))) == {'top1_acc', 'top5_acc', 'loss_cls'}
    assert keys is None or list(head.state_dict()) == keys


def test_a_head_starts_from_its_classes_among_more(tmp_path):
    weight, bias = torch.randn(7, 8), torch.randn(7)
    torch.save({'state_dict': {'cls_head.fc_cls.weight': weight, 'cls_head.fc_cls.bias': bias}}, tmp_path / 'k710.pth')
    (tmp_path / 'map.json').write_text(json.dumps([6, 0, 2]))
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'k710.pth'), prefix='cls_head.')
    cfg = dict(type='UniFormerHead', num_classes=3, in_channels=8, init_cfg=init)
    head = H.build({**cfg, 'channel_map': str(tmp_path / 'map.json')})
    head.init_weights()
    assert torch.equal(head.fc_cls.weight, weight[[6, 0, 2]])
    assert torch.equal(head.fc_cls.bias, bias[[6, 0, 2]])
    with pytest.raises(ValueError, match='channel_map'):
        H.build(cfg)


@pytest.mark.parametrize(
    ('options', 'feats', 'shape'),
    [
        ({}, torch.randn(2, 8, 4, 3, 3), (2, 8)),
        ({'temporal_type': None}, torch.randn(2, 8, 4, 3, 3), (2, 8, 4)),
        ({'spatial_type': None, 'temporal_type': 'max'}, torch.randn(2, 8, 4, 3, 3), (2, 8, 3, 3)),
        ({}, torch.randn(6, 8, 3, 3), (2, 8)),
        ({'backbone_name': 'tsm', 'num_segments': 2}, torch.randn(6, 8, 3, 3), (3, 8)),
        ({'backbone_name': 'gcn', 'spatial_type': 'max'}, torch.randn(2, 3, 8, 4, 5), (2, 8)),
        ({'backbone_name': 'slowfast'}, (torch.randn(2, 8, 2, 3, 3), torch.randn(2, 2, 4, 3, 3)), (2, 10)),
        ({}, torch.randn(2, 8), (2, 8)),
    ],
)
def test_features_in_place_of_scores(options, feats, shape):
    assert H.build({'type': 'FeatureHead', **options})(feats, 3).shape == shape


# ---------------------------------------------------------------------- mixing


def test_one_of_several_augmentations_is_chosen():
    parts = [dict(type='MixupBlending', alpha=0.8, num_classes=3), dict(type='CutmixBlending', alpha=1, num_classes=3)]
    augments = BATCH_AUGMENTS.of('action')
    imgs, label = torch.rand(4, 1, 3, 2, 8, 8), torch.tensor([0, 1, 2, 0])
    always = augments.build(dict(type='RandomBatchAugment', augments=parts))
    mixed, scores = always(imgs, label, np.random.default_rng(0))
    assert mixed.shape == imgs.shape
    torch.testing.assert_close(scores.sum(1), torch.ones(4))
    never = augments.build(dict(type='RandomBatchAugment', augments=parts, probs=[0.0, 0.0]))
    assert torch.equal(never(imgs, label, np.random.default_rng(0))[0], imgs)
    with pytest.raises(ValueError, match='probs'):
        augments.build(dict(type='RandomBatchAugment', augments=parts, probs=[1.0]))
