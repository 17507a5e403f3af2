"""What every registered backbone keeps to, whatever its kind."""

import math

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from intarsia.config.crosscheck import declared_channels
from intarsia.core.arguments import signature_of
from intarsia.core.errors import CheckpointError
from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.resnet import ResNet
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.weights import load_state_dict

ALL_STAGES = {'out_indices': (0, 1, 2, 3)}
THIN = {'stem_channels': 8, 'base_channels': 8, **ALL_STAGES}
TINY_VIT = {'embed_dims': 16, 'num_layers': 3, 'num_heads': 2, 'feedforward_channels': 32}
TINY_SWIN = {'embed_dims': 8, 'depths': (2, 1, 2, 1), 'num_heads': (1, 2, 4, 8)}
TINY_CONVNEXT = {'depths': (1, 1, 2, 1), 'channels': (8, 16, 24, 32)}
TINY_HRNET = {
    'stage1': dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(4,)),
    'stage2': dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(1, 1), num_channels=(4, 8)),
    'stage3': dict(num_modules=1, num_branches=3, block='BASIC', num_blocks=(1, 1, 1), num_channels=(4, 8, 12)),
    'stage4': dict(num_modules=1, num_branches=4, block='BASIC', num_blocks=(1, 1, 1, 1), num_channels=(4, 8, 12, 16)),
}
TINY_HRFORMER = {
    **{
        stage: {
            **numbers, 'block': 'HRFORMERBLOCK', 'num_heads': (1,) * numbers['num_branches'],
            'window_sizes': (4,) * numbers['num_branches'], 'mlp_ratios': (2,) * numbers['num_branches'],
        }
        for stage, numbers in TINY_HRNET.items()
    },
    'stage1': TINY_HRNET['stage1'],
}  # fmt: skip
TINY_LITE_HRNET = {
    'stem': dict(stem_channels=8, out_channels=8, expand_ratio=1), 'num_stages': 2, 'with_head': True,
    'stages_spec': dict(
        num_modules=(1, 1), num_branches=(2, 3), num_blocks=(1, 1), module_type=('LITE', 'NAIVE'),
        with_fuse=(True, True), reduce_ratios=(4, 4), num_channels=((8, 16), (8, 16, 32)),
    ),
}  # fmt: skip
TINY_REPVGG = {'num_blocks': [1, 2, 1, 1], 'width_factor': [0.25] * 4, 'group_layer_map': {2: 2}, 'se_cfg': None}
TINY_MOBILEONE = {
    'num_blocks': [1, 2, 1, 1], 'width_factor': [0.25] * 4, 'num_conv_branches': [2] * 4, 'num_se_blocks': [0, 1, 0, 0],
}  # fmt: skip
TINY_REGNET = {'w0': 8, 'wa': 8.0, 'wm': 2.0, 'group_w': 8, 'depth': 10, 'bot_mul': 1.0}
TINY_REPLKNET = {
    'large_kernel_sizes': (9, 7, 7, 5), 'layers': (1, 1, 2, 1), 'channels': (8, 8, 16, 16), 'small_kernel': 3,
    'dw_ratio': 1.5,
}  # fmt: skip
TINY_REPMLP = {'channels': (8, 8, 16, 16), 'depths': (1, 1, 2, 1), 'sharesets_nums': (1, 2, 4, 4)}
TINY_EDGENEXT = {'channels': (8, 12, 18, 24), 'depths': (1, 2, 2, 2), 'num_heads': (2, 2, 2, 2)}
TINY_TINYVIT = {'channels': (8, 16, 16, 24), 'num_heads': (1, 2, 2, 3), 'depths': (1, 1, 2, 1)}
OLD_GRAPH = {'in_channels': 3, 'graph_cfg': {'layout': 'coco', 'strategy': 'spatial'}}
GRAPH = {'in_channels': 3, 'graph_cfg': {'layout': 'coco', 'mode': 'stgcn_spatial'}}
SKELETONS = {'STGCN': OLD_GRAPH, 'AGCN': OLD_GRAPH, 'STGCNPlusPlus': GRAPH, 'AAGCN': GRAPH}
TINY_CSPNEXT = [[8, 8, 1, True, False], [8, 16, 1, False, True]]
TINY_BISENET = {
    'backbone_cfg': dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    'spatial_channels': (8, 8, 8, 8), 'context_channels': (24, 32, 64), 'out_channels': 16,
}  # fmt: skip
TINY_BEIT = {'img_size': 64, 'embed_dims': 16, 'num_layers': 3, 'num_heads': 2, 'out_indices': (0, 2)}
TINY_STDC = {
    'stdc_type': 'STDCNet1', 'in_channels': 3, 'channels': (8, 8, 16, 16, 16), 'bottleneck_type': 'cat',
    'norm_cfg': {'type': 'BN'}, 'act_cfg': {'type': 'ReLU'},
}  # fmt: skip
TINY_ICNET = {
    'backbone_cfg': dict(
        type='ResNetV1c', depth=18, stem_channels=8, base_channels=8, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4),
    ),
    'layer_channels': (16, 64), 'light_branch_middle_channels': 8, 'psp_out_channels': 8, 'out_channels': (8, 8, 8),
}  # fmt: skip
TINY_TIMESFORMER = {
    'num_frames': 4, 'img_size': 64, 'patch_size': 16, 'embed_dims': 16, 'num_heads': 2, 'num_transformer_layers': 2,
}  # fmt: skip
TINY_UNIFORMERV2 = {
    'input_resolution': 64, 'width': 16, 'layers': 3, 'heads': 2, 'n_dim': 16, 'n_head': 2, 'n_layers': 2,
    'return_list': (1, 2), 'mlp_dropout': (0.5, 0.5), 'no_lmhra': False, 'double_lmhra': True,
}  # fmt: skip
TINY_MVIT = {
    'arch': {'embed_dims': 8, 'num_layers': 4, 'num_heads': 1, 'downscale_indices': (1, 2)}, 'img_size': 64,
    'out_scales': (0, 1, 2),
}  # fmt: skip
TINY_TWINS = {
    'embed_dims': (8, 16, 24, 32), 'depths': (1, 2, 1, 1), 'num_heads': (1, 2, 3, 4), 'patch_sizes': (4, 2, 2, 2),
    'strides': (4, 2, 2, 2), 'mlp_ratios': (2, 2, 2, 2), 'sr_ratios': (4, 2, 1, 1),
}  # fmt: skip
TINY_HORNET = {
    'base_dim': 16, 'depths': (1, 1, 2, 1), 'orders': (2, 3, 2, 2),
    'dw_cfg': (*({'type': 'DW', 'kernel_size': 7},) * 3, {'type': 'GF', 'h': 4, 'w': 3}),
}  # fmt: skip
# Only what differs from a backbone's own defaults; one that is small by itself needs no entry.
PRESETS = {
    'ResNet': {'depth': 50, **THIN},
    'ResNetV1c': {'depth': 18, **THIN},
    'ResNetV1d': {'depth': 18, **THIN},
    'ResNet_CIFAR': {'depth': 18, **THIN},
    'ResNeXt': {'depth': 50, 'groups': 4, 'width_per_group': 2, **THIN},
    'SEResNet': {'depth': 50, **THIN},
    'SEResNeXt': {'depth': 50, 'groups': 4, 'width_per_group': 2, **THIN},
    'ResNeSt': {'depth': 50, **THIN},
    'MobileNetV2': {'widen_factor': 0.25, 'out_indices': (1, 2, 4, 7)},
    'VGG': {'depth': 11, 'norm_cfg': {'type': 'BN'}, 'out_indices': (0, 2, 4)},
    'VisionTransformer': {'arch': TINY_VIT, 'img_size': 64, 'patch_size': 16, 'out_indices': (0, 2)},
    'SwinTransformer': {'arch': TINY_SWIN, 'img_size': 64, 'window_size': 2, **ALL_STAGES},
    'ConvNeXt': {'arch': TINY_CONVNEXT, 'gap_before_final_norm': False, **ALL_STAGES},
    'HRNet': {'extra': TINY_HRNET},
    'UNet': {'base_channels': 4},
    'MixVisionTransformer': {'embed_dims': 8, 'num_layers': (1, 1, 2, 1)},
    'BiSeNetV1': TINY_BISENET,
    'BiSeNetV2': {'detail_channels': (8, 8, 16), 'semantic_channels': (8, 8, 8, 16), 'bga_channels': 16},
    'STDCNet': TINY_STDC,
    'STDCContextPathNet': {
        'backbone_cfg': {'type': 'STDCNet', **TINY_STDC, 'bottleneck_type': 'add'},
        'last_in_channels': (16, 16),
        'out_channels': 8,
        'ffm_cfg': {'in_channels': 24, 'out_channels': 16},
    },
    'ICNet': TINY_ICNET,
    'CGNet': {'num_channels': (8, 16, 32), 'num_blocks': (2, 2)},
    'PIDNet': {'channels': 8, 'ppm_channels': 8},
    'DDRNet': {'channels': 8, 'ppm_channels': 8},
    'MSCAN': {'embed_dims': (8, 16, 24, 32), 'depths': (1, 1, 2, 1)},
    'BEiT': TINY_BEIT,
    'MAE': TINY_BEIT,
    'LiteHRNet': {'extra': TINY_LITE_HRNET},
    'CSPNeXt': {'arch_ovewrite': TINY_CSPNEXT, 'out_indices': (0, 2)},
    'SCNet': {
        'depth': 50,
        'num_stages': 3,
        'strides': (1, 2, 2),
        'dilations': (1, 1, 1),
        **THIN,
        'out_indices': (0, 2),
    },
    'ShuffleNetV1': {'groups': 1, 'widen_factor': 0.25, 'out_indices': (0, 2)},
    'ShuffleNetV2': {'widen_factor': 0.5, 'out_indices': (0, 3)},
    'HourglassNet': {
        'downsample_times': 2,
        'num_stacks': 2,
        'stage_channels': (256, 8, 8),
        'stage_blocks': (1, 1, 2),
        'feat_channel': 8,
    },
    'HourglassAENet': {'downsample_times': 1, 'stage_channels': (8, 8), 'feat_channels': 8},
    'CPM': {'in_channels': 3, 'out_channels': 5, 'feat_channels': 8, 'middle_channels': 4, 'num_stages': 2},
    'MSPN': {'unit_channels': 8, 'num_stages': 2, 'num_units': 2, 'num_blocks': (1, 2), 'res_top_channels': 8},
    'RSN': {'unit_channels': 8, 'num_stages': 2, 'num_units': 2, 'num_blocks': (1, 2), 'res_top_channels': 8},
    'ViPNAS_ResNet': {'depth': 50, **ALL_STAGES},
    'HRFormer': {'extra': TINY_HRFORMER},
    'PyramidVisionTransformer': {'embed_dims': 8, 'num_layers': (1, 1, 2, 1), 'pretrain_img_size': 64},
    'PyramidVisionTransformerV2': {'embed_dims': 8, 'num_layers': (1, 1, 2, 1)},
    'ResNetAudio': {'depth': 50, 'in_channels': 3, 'base_channels': 8},
    'ResNetTSM': {'depth': 50, 'num_segments': 2, 'base_channels': 8, **ALL_STAGES},
    'ResNetTIN': {'depth': 18, 'num_segments': 2, 'base_channels': 8, 'shift_div': 2},
    'TANet': {'depth': 50, 'num_segments': 4, 'base_channels': 8},
    'MobileNetV2TSM': {'num_segments': 2, 'widen_factor': 0.25},
    'MobileOne': {'arch': TINY_MOBILEONE, **ALL_STAGES},
    'MobileOneTSM': {'arch': TINY_MOBILEONE, 'num_segments': 2},
    'C3D': {'out_dim': 512 * 2 * 2},
    'ResNet3d': {'depth': 18, 'base_channels': 8, **ALL_STAGES},
    'ResNet3dCSN': {'depth': 50, 'base_channels': 8},
    'ResNet3dSlowOnly': {'depth': 18, 'base_channels': 8},
    'ResNet2Plus1d': {'depth': 18, 'base_channels': 8},
    'SwinTransformer3D': {'arch': TINY_SWIN, 'window_size': (2, 2, 2), **ALL_STAGES},
    'C2D': {'depth': 18, 'base_channels': 8, **ALL_STAGES},
    'TimeSformer': TINY_TIMESFORMER,
    'UniFormer': {'depth': (1, 1, 1, 1), 'embed_dim': (8, 16, 24, 32), 'head_dim': 8},
    'UniFormerV2': TINY_UNIFORMERV2,
    'MViT': TINY_MVIT,
    **SKELETONS,
    'RepVGG': {'arch': TINY_REPVGG, **ALL_STAGES},
    'PCPVT': {'arch': TINY_TWINS, **ALL_STAGES},
    'SVT': {'arch': {**TINY_TWINS, 'window_sizes': (7, 7, 7, 7)}, 'norm_after_stage': True, **ALL_STAGES},
    'PoolFormer': {'arch': {'layers': (1, 1, 2, 1), 'embed_dims': (8, 16, 24, 32)}, 'frozen_stages': -1},
    'RIFormer': {'arch': {'layers': (1, 1, 2, 1), 'embed_dims': (8, 16, 24, 32)}, 'out_indices': (0, 3, 6)},
    'VAN': {'arch': {'embed_dims': (8, 16, 24, 32), 'depths': (1, 1, 2, 1), 'ffn_ratios': (2,) * 4}, **ALL_STAGES},
    'SwinTransformerV2': {
        'arch': {**TINY_SWIN, 'extra_norm_every_n_blocks': 2},
        'img_size': 64,
        'window_size': 2,
        **ALL_STAGES,
    },
    'XCiT': {'embed_dims': 16, 'depth': 2, 'num_heads': 2, 'out_type': 'featmap', 'out_indices': (1, 3)},
    'DistilledVisionTransformer': {'arch': TINY_VIT, 'img_size': 64, 'out_indices': (0, 2)},
    'DeiT3': {'arch': TINY_VIT, 'img_size': 64, 'out_type': 'featmap', 'out_indices': (0, 2)},
    'ViTEVA02': {'arch': TINY_VIT, 'img_size': 64, 'out_type': 'featmap', 'out_indices': (0, 2)},
    'T2T_ViT': {'img_size': 64, 'embed_dims': 24, 'num_layers': 3, 'out_indices': (0, 2)},
    'TNT': {
        'arch': dict(embed_dims_outer=16, embed_dims_inner=8, num_layers=2, num_heads_outer=2, num_heads_inner=2),
        'img_size': 64,
    },
    'MlpMixer': {
        'arch': dict(embed_dims=16, num_layers=2, tokens_mlp_dims=8, channels_mlp_dims=32),
        'img_size': 64,
        'out_indices': (0, 1),
    },
    'Conformer': {'arch': dict(embed_dims=32, channel_ratio=1, num_heads=2, depths=6), 'base_channels': 8},
    'DaViT': {'arch': {**TINY_SWIN, 'depths': (1, 1, 2, 1)}, 'window_size': 2, **ALL_STAGES},
    'HorNet': {'arch': TINY_HORNET, 'gap_before_final_norm': False, **ALL_STAGES},
    'EfficientNet': {'out_indices': (1, 5, 6)},
    'EfficientNetV2': {'arch': 'b0', 'out_indices': (0, 3, -1)},
    'MobileNetV3': {'out_indices': (0, 3, 12)},
    'RegNet': {'arch': TINY_REGNET, **ALL_STAGES},
    'DenseNet': {'arch': {'growth_rate': 4, 'depths': (1, 2, 1, 1), 'init_channels': 8}, **ALL_STAGES},
    'Res2Net': {'depth': 50, **THIN},
    'ConvMixer': {'arch': {'embed_dims': 8, 'depth': 3, 'patch_size': 8, 'kernel_size': 5}, 'out_indices': (0, -1)},
    'RepLKNet': {'arch': TINY_REPLKNET, **ALL_STAGES},
    'RepMLPNet': {'arch': TINY_REPMLP, 'img_size': 64, **ALL_STAGES},
    'MobileViT': {'arch': 'xx_small', 'out_indices': (0, 2, 4)},
    'EdgeNeXt': {'arch': TINY_EDGENEXT, 'gap_before_final_norm': False, 'use_pos_embd_global': True, **ALL_STAGES},
    'TinyViT': {'arch': TINY_TINYVIT, 'window_size': (7, 3, 4, 2), 'gap_before_final_norm': False, **ALL_STAGES},
    'CSPDarkNet': {'depth': 53, 'out_indices': (0, 4)},
    'CSPResNet': {'depth': 50, **ALL_STAGES},
    'CSPResNeXt': {'depth': 50, 'deep_stem': True, **ALL_STAGES},
}
NEEDED = {'TANet': {'num_segments': 8}, **SKELETONS}
"""Arguments without defaults."""
CLIPS = (
    'ResNet3d', 'ResNet3dCSN', 'ResNet3dSlowOnly', 'ResNet3dSlowFast', 'ResNet2Plus1d', 'SwinTransformer3D', 'X3D', 'C2D',
    'UniFormer', 'UniFormerV2',
)  # fmt: skip
INPUTS = {
    'TANet': (8, 3, 64, 64), 'C3D': (1, 3, 16, 32, 32), **dict.fromkeys(CLIPS, (1, 3, 16, 64, 64)),
    'TimeSformer': (1, 3, 4, 64, 64), 'InceptionV3': (2, 3, 96, 96),
    'STGCN': (2, 3, 8, 17, 2), 'AGCN': (2, 3, 8, 17, 2), 'STGCNPlusPlus': (2, 2, 8, 17, 3), 'AAGCN': (2, 2, 8, 17, 3),
}  # fmt: skip
"""Shapes of inputs that are not two images."""
OWN_SIZES = {'AlexNet', 'ICNet', 'MSPN', 'RSN'}
"""AlexNet's pooling cuts borders off, ICNet's rounds up; the others give maps of several strides per output."""
WITHOUT_PART = {'DeiT3': '.ln2.'}
"""Parameters that have a place in checkpoints, but no part in the published models."""
OF_PACKAGES = {'TorchVisionModel', 'TimmModel'}
"""They need packages that are not installed with this one."""
BUILTIN = [name for name in BACKBONES.names() if BACKBONES.entry(name) and name not in OF_PACKAGES]
SIZE = 64

every_backbone = pytest.mark.parametrize('name', BUILTIN)
every_graph = pytest.mark.parametrize('name', SKELETONS)


def build(name, **more):
    torch.manual_seed(0)
    model = BACKBONES.build({'type': name, **PRESETS.get(name, {}), **more})
    model.init_weights()
    return model


def accepts(name, argument):
    return argument in signature_of(BACKBONES.get(name)).arguments


def tensors(out):
    """The tensor of each output; of a pair (map, class token) both."""
    return [t for each in out for t in (each if isinstance(each, (list, tuple)) else [each])]


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """Networks this small are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def images(request):
    name = getattr(request.node, 'callspec', None) and request.node.callspec.params.get('name')
    return torch.randn(INPUTS.get(name, (2, 3, SIZE, SIZE)), generator=torch.Generator().manual_seed(1))


@every_backbone
def test_outputs_are_as_declared(name, images):
    if name in SKELETONS:
        pytest.skip('it gives no maps')
    model = build(name).eval()
    kept = images.clone()
    with torch.no_grad():
        out = model(images)
    assert isinstance(out, tuple)
    assert len(out) == len(model.out_channels) == len(model.strides)
    assert torch.equal(images, kept)
    for each, channels, stride in zip(out, model.out_channels, model.strides, strict=True):
        for tensor in tensors([each]):
            assert tensor.shape[:2] == (len(images), channels)
            if tensor.dim() == 4 and name not in OWN_SIZES:
                assert tensor.shape[2:] == (math.ceil(SIZE / stride),) * 2
        assert stride > 0 or tensors([each])[0].dim() == 2


@every_graph
def test_graphs_give_features_of_joints(name, images):
    model = build(name).eval()
    (out,) = model(images)
    assert out.flatten(0, -4).shape == (4, *model.out_channels, 2, 17)


@every_backbone
def test_every_parameter_learns(name, images):
    model = build(name).train()
    sum(t.square().mean() for t in tensors(model(images))).backward()
    spare = WITHOUT_PART.get(name)
    used = [(key, p) for key, p in model.named_parameters() if not spare or spare not in key]
    without = [key for key, p in used if p.grad is None or not p.grad.isfinite().all()]
    assert not without


@every_backbone
def test_frozen_parts_stay_frozen_in_training(name, images):
    if not accepts(name, 'frozen_stages'):
        pytest.skip('it has no frozen_stages')
    model = build(name, frozen_stages=1).train()
    parts = list(model.frozen_parts())
    assert parts
    frozen = [m for part in parts if isinstance(part, nn.Module) for m in part.modules()]
    assert not any(m.training for m in frozen)
    assert not any(p.requires_grad for m in frozen for p in m.parameters())
    assert not any(part.requires_grad for part in parts if isinstance(part, nn.Parameter))
    assert any(p.requires_grad for p in model.parameters())
    before = {k: v.clone() for m in frozen for k, v in m.named_buffers(prefix=str(id(m)))}
    model(images)
    assert all(torch.equal(v, before[k]) for m in frozen for k, v in m.named_buffers(prefix=str(id(m))))


@every_backbone
def test_norm_eval_holds_in_training(name):
    if not accepts(name, 'norm_eval'):
        pytest.skip('it has no norm_eval')
    model = build(name, norm_eval=True).train()
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, _BatchNorm))


@every_backbone
def test_state_dict_round_trip(name, images):
    one, other = build(name).eval(), build(name)
    for parameter in other.parameters():
        nn.init.constant_(parameter, 0.5)
    report = load_state_dict(other, one.state_dict())
    assert report.complete
    with torch.no_grad():
        for a, b in zip(tensors(one(images)), tensors(other.eval()(images)), strict=True):
            assert torch.equal(a, b)


@every_backbone
def test_checkpointing_changes_no_gradient(name, images):
    if not accepts(name, 'with_cp'):
        pytest.skip('it has no with_cp')
    images = images.clone().requires_grad_()
    grads = []
    for with_cp in (False, True):
        model = build(name, with_cp=with_cp).eval()
        loss = sum(t.square().mean() for t in tensors(model(images)))
        grads.append(torch.autograd.grad(loss, images)[0])
    torch.testing.assert_close(*grads)


@every_backbone
def test_builds_without_memory(name):
    with torch.device('meta'):
        model = BACKBONES.build({'type': name, **PRESETS.get(name, {})})
    assert all(p.is_meta for p in model.parameters())
    assert model.out_channels == build(name).out_channels


@every_backbone
def test_weights_of_another_network_are_refused(name):
    with pytest.raises(CheckpointError, match='missing'):
        load_state_dict(build(name), {'fc.weight': torch.zeros(3)})


# ---------------------------------------------------------------------- a user's own backbone


class TutorialNet(ResNet):
    """A subclass with another stem, as tutorials of the old toolboxes write it."""

    def __init__(self, depth, deep_stem=False, **kwargs):
        super().__init__(depth, deep_stem=deep_stem, **kwargs)
        assert not self.deep_stem

    def _make_stem_layer(self, in_channels, base_channels):
        self.conv1 = build_conv_layer(
            self.conv_cfg, in_channels, base_channels, kernel_size=3, stride=1, padding=1, bias=False
        )
        self.norm1_name, norm1 = build_norm_layer(self.norm_cfg, base_channels, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.norm1(self.conv1(x)))
        outs = []
        for i, layer_name in enumerate(self.res_layers):
            x = getattr(self, layer_name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def init_weights(self):
        super().init_weights()
        if self.init_cfg is not None and self.init_cfg['type'] == 'Pretrained':
            return
        self.was_here = True


def test_subclass_with_another_stem(images):
    model = TutorialNet(18, base_channels=8, stem_channels=8, frozen_stages=1)
    model.init_weights()
    (out,) = model(images)
    assert model.was_here
    assert (model.out_channels, model.strides) == ((64,), (8,))
    assert out.shape == (2, 64, 8, 8)


@pytest.mark.parametrize(
    ('name', 'more', 'words'),
    [
        ('ResNet', {'depth': 49}, 'depth must be one of'),
        ('ResNet', {'out_indices': (4,)}, 'the stages are 0 ... 3'),
        ('ResNet', {'num_stages': 3}, 'strides='),
        ('ConvNeXt', {'arch': 'tinny'}, "Did you mean 'tiny'"),
        ('VisionTransformer', {'arch': {'embed_dims': 8}}, 'needs num_layers'),
        ('VisionTransformer', {'with_cls_token': False}, 'no class token'),
        ('SwinTransformer', {'arch': 'smal'}, "Did you mean 'small'"),
        ('MobileNetV2', {'frozen_stages': 8}, 'frozen_stages=8'),
    ],
)
def test_mistakes_are_named(name, more, words):
    with pytest.raises(ValueError, match=words):
        build(name, **more)


# ---------------------------------------------------------------------- checkpoints of other sizes and releases


@pytest.mark.parametrize('load', [load_state_dict, lambda model, state: model.load_state_dict(state)])
def test_vit_weights_of_another_image_size(load):
    state = build('VisionTransformer', img_size=32).state_dict()
    model = build('VisionTransformer', img_size=64)
    load(model, state)
    assert model.pos_embed.shape == (1, 17, 16)
    assert torch.equal(model.pos_embed[:, 0], state['pos_embed'][:, 0])
    assert state['pos_embed'].shape == (1, 5, 16)


def test_swin_weights_of_an_earlier_release_and_another_window():
    last = {'out_indices': (3,), 'use_abs_pos_embed': True}
    state = build('SwinTransformer', **last, window_size=2).state_dict()
    state['norm.weight'] = state.pop('norm3.weight')
    state['stages.0.blocks.1.attn.attn_mask'] = torch.zeros(1)
    model = build('SwinTransformer', **last, window_size=4, img_size=128)
    assert load_state_dict(model, state).complete
    assert model.stages[0].blocks[0].attn.w_msa.relative_position_index.max() == 48


def test_vit_kinds_of_output(images):
    def outputs(**more):
        return build('VisionTransformer', out_indices=-1, **more).eval()(images)[0]

    pair = outputs()
    assert [t.shape for t in pair] == [(2, 16, 4, 4), (2, 16)]
    assert outputs(out_type='cls_token').shape == (2, 16)
    assert outputs(out_type='raw').shape == (2, 17, 16)
    assert outputs(out_type='featmap', with_cls_token=False).shape == (2, 16, 4, 4)
    assert outputs(out_type='avg_featmap', final_norm=False).shape == (2, 16)
    assert outputs(output_cls_token=False, with_cls_token=False).shape == (2, 16, 4, 4)


@pytest.mark.parametrize(
    ('name', 'parameter', 'depth'),
    [
        ('VisionTransformer', 'backbone.pos_embed', (0, 5)),
        ('VisionTransformer', 'backbone.layers.2.ln1.weight', (3, 5)),
        ('VisionTransformer', 'head.weight', (4, 5)),
        ('SwinTransformer', 'backbone.patch_embed.norm.weight', (0, 8)),
        ('SwinTransformer', 'backbone.stages.2.blocks.1.norm1.weight', (5, 8)),
        ('SwinTransformer', 'backbone.stages.0.downsample.norm.weight', (2, 8)),
        ('ConvNeXt', 'backbone.downsample_layers.0.0.weight', (0, 8)),
        ('ConvNeXt', 'backbone.stages.2.1.gamma', (3, 8)),
        ('ConvNeXt', 'backbone.norm3.weight', (7, 8)),
    ],
)
def test_layer_depths(name, parameter, depth):
    assert build(name).get_layer_depth(parameter, 'backbone.') == depth


DECLARED = [
    (name, argument, value)
    for name in BUILTIN
    for argument, by_value in getattr(BACKBONES.get(name), 'STATIC_CHANNELS', {}).items()
    for value in by_value
]


@pytest.mark.parametrize(('name', 'argument', 'value'), DECLARED)
def test_declared_channels_are_those_of_the_built_network(name, argument, value):
    node = {'type': name, argument: value, **NEEDED.get(name, {})}
    try:
        with torch.device('meta'):
            built = BACKBONES.build(node)
    except (ValueError, KeyError):
        pytest.skip(f'{name} has no {argument}={value}')
    task = BACKBONES.entry(name).task or 'classification'
    assert declared_channels(node, task) == built.out_channels[-1:]
