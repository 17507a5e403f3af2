"""What every decode head must do, and what only some do."""

import pytest
import torch
from torch import nn

from intarsia.core.registries import HEADS
from intarsia.nn.context_block import ContextBlock
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.nn.non_local import NonLocal1d, NonLocal2d, NonLocal3d
from intarsia.tasks.segmentation.decode_head import BaseCascadeDecodeHead
from intarsia.tasks.segmentation.heads.cc_head import CrissCrossAttention
from intarsia.tasks.segmentation.heads.ema_head import ExpectationMaximization
from intarsia.tasks.segmentation.heads.enc_head import Encoding, classes_shown
from intarsia.tasks.segmentation.heads.isa_head import SelfAttention
from intarsia.tasks.segmentation.heads.point_head import sample_points, uncertainty
from intarsia.tasks.segmentation.heads.psa_head import windows_to_map

HEADS_OF_TASK = HEADS.of('segmentation')
NUM_CLASSES, CHANNELS, SAMPLES = 5, 16, 2
SIZE = (9, 12)
STAGES = [4, 6, 8, 10]
SIZES = [SIZE, (5, 6), (3, 3), (3, 3)]

ALL_STAGES = {'in_channels': STAGES, 'in_index': [0, 1, 2, 3]}
ARGUMENTS = {
    'ANNHead': {'in_channels': STAGES[2:], 'in_index': [2, 3], 'project_channels': 4},
    'CCHead': {'recurrence': 2},
    'DAHead': {'pam_channels': 4},
    'DepthwiseSeparableASPPHead': {'c1_in_channels': STAGES[0], 'c1_channels': 3, 'dilations': (1, 2, 3)},
    'EMAHead': {'ema_channels': 8, 'num_bases': 3, 'num_stages': 2},
    'EncHead': {**ALL_STAGES, 'num_codes': 3, 'add_lateral': True},
    'FPNHead': {**ALL_STAGES, 'feature_strides': [4, 8, 16, 32]},
    'ISAHead': {'isa_channels': 4, 'down_factor': (2, 4)},
    'LRASPPHead': {'in_channels': STAGES[:3], 'in_index': [0, 1, 2]},
    'LightHamHead': {'in_channels': STAGES[1:], 'in_index': [1, 2, 3], 'ham_channels': 8, 'ham_kwargs': {'MD_R': 3}},
    'OCRHead': {'in_channels': STAGES, 'in_index': [0, 1, 2, 3], 'input_transform': 'resize_concat', 'ocr_channels': 4},
    'PSAHead': {'mask_size': (3, 5)},
    'PointHead': {'in_channels': [STAGES[0]], 'in_index': [0], 'dropout_ratio': -1, 'norm_cfg': None},
    'SETRMLAHead': {'in_channels': [10, 10], 'in_index': [3, 3], 'mla_channels': CHANNELS // 2},
    'SegformerHead': ALL_STAGES,
    'SegmenterMaskTransformerHead': {'num_layers': 1, 'num_heads': 2, 'embed_dims': 8, 'norm_cfg': {'type': 'LN'}},
    'UPerHead': ALL_STAGES,
}
"""What a head needs beside a stage, its number of channels and of classes."""
UNLIKE_OTHERS = {
    'DDRHead', 'DPTHead', 'IterativeDecodeHead', 'KernelUpdateHead', 'Mask2FormerHead', 'MaskFormerHead', 'PIDHead',
}  # fmt: skip
"""Heads whose stages or losses are of their own kind; see ``test_seg_heads_of_their_own.py``."""


def make(name, **options):
    base = {'in_channels': STAGES[3], 'in_index': 3, 'channels': CHANNELS, 'num_classes': NUM_CLASSES}
    config = {'type': name, **base, 'norm_cfg': {'type': 'BN'}, **ARGUMENTS.get(name, {}), **options}
    return HEADS_OF_TASK.build(config)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stages():
    return [random(SAMPLES, c, *size).requires_grad_() for c, size in zip(STAGES, SIZES, strict=True)]


def before(head):
    """The logits of a first head, where there must be one."""
    return (random(SAMPLES, NUM_CLASSES, *SIZE),) if isinstance(head, BaseCascadeDecodeHead) else ()


def target():
    label = torch.randint(0, NUM_CLASSES, (SAMPLES, 1, 18, 24), generator=torch.Generator().manual_seed(0))
    label[:, :, :2] = 255
    return label


@pytest.fixture(params=sorted(set(HEADS_OF_TASK.names()) - UNLIKE_OTHERS))
def name(request):
    return request.param


def test_logits_of_every_pixel(name):
    head = make(name).eval()
    logits = head(stages(), *before(head))
    assert logits.shape[:2] == (SAMPLES, NUM_CLASSES)
    assert logits.dim() == 4
    assert logits.isfinite().all()


def test_one_channel_is_enough_for_two_classes(name):
    if name == 'SegmenterMaskTransformerHead':
        pytest.skip('has a token for each class')
    head = make(name, num_classes=2, out_channels=1, loss_decode={'type': 'CrossEntropyLoss', 'use_sigmoid': True})
    previous = (random(SAMPLES, 1, *SIZE),) if before(head) else ()
    assert head.eval()(stages(), *previous).shape[1] == 1


def test_losses_have_gradients_for_every_parameter(name):
    head = make(name)
    head.init_weights()
    losses = head.loss(stages(), target(), *before(head))
    trained = [value for key, value in losses.items() if 'loss' in key]
    assert trained
    assert len(losses) > len(trained)
    assert all(value.isfinite() for value in losses.values())
    sum(trained).backward()
    assert [key for key, p in head.named_parameters() if p.requires_grad and p.grad is None] == []


def test_the_last_layer_starts_small(name):
    head = make(name)
    head.init_weights()
    if name == 'SegmenterMaskTransformerHead':
        assert head.dec_proj.weight.std().item() == pytest.approx(0.02, rel=0.4)
        return
    last = head.fc_seg if name == 'PointHead' else head.conv_seg
    assert last.weight.std().item() == pytest.approx(0.01, rel=0.4)
    assert not last.bias.any()


# ---------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    ('name', 'keys'),
    [
        ('FCNHead', {'convs.0.conv.weight', 'convs.1.bn.weight', 'conv_cat.conv.weight'}),
        ('PSPHead', {'psp_modules.3.1.conv.weight', 'bottleneck.bn.running_mean'}),
        ('ASPPHead', {'image_pool.1.conv.weight', 'aspp_modules.0.conv.weight'}),
        ('DepthwiseSeparableASPPHead', {'aspp_modules.1.depthwise_conv.conv.weight', 'c1_bottleneck.conv.weight'}),
        ('UPerHead', {'lateral_convs.2.conv.weight', 'fpn_convs.2.bn.weight', 'fpn_bottleneck.conv.weight'}),
        ('FPNHead', {'scale_heads.0.0.conv.weight', 'scale_heads.3.4.conv.weight'}),
        ('OCRHead', {'object_context_block.query_project.1.conv.weight', 'object_context_block.out_project.bn.bias'}),
        ('NLHead', {'nl_block.theta.conv.weight', 'nl_block.conv_out.bn.weight'}),
        ('DAHead', {'pam.gamma.scale', 'cam.gamma.scale', 'pam.key_project.weight', 'cam_conv_seg.bias'}),
        ('EncHead', {'enc_module.encoding.0.codewords', 'enc_module.fc.0.weight', 'se_layer.weight'}),
        ('PointHead', {'fcs.2.conv.weight', 'fc_seg.weight'}),
    ],
)
def test_state_dict_keys_are_those_of_published_checkpoints(name, keys):
    state = make(name).state_dict()
    assert keys <= set(state)
    assert ('conv_seg.weight' in state) == (name != 'PointHead')


# ---------------------------------------------------------------------- single heads


def test_convolutions_of_fcn():
    assert make('FCNHead', num_convs=0, channels=STAGES[3], concat_input=False)(stages()).shape[2:] == SIZES[3]
    with pytest.raises(ValueError, match='num_convs=0 needs in_channels=10 equal to channels=16'):
        make('FCNHead', num_convs=0)
    separable = make('DepthwiseSeparableFCNHead').convs[0]
    assert isinstance(separable, DepthwiseSeparableConvModule)
    assert not separable.depthwise_conv.with_activation
    assert separable.pointwise_conv.with_activation


def test_a_decoder_without_early_stage():
    head = make('DepthwiseSeparableASPPHead', c1_in_channels=0, c1_channels=0)
    assert head(stages()).shape[2:] == SIZES[3]


def test_dual_attention_trains_three_classifiers():
    head = make('DAHead')
    feats = stages()
    assert torch.equal(head.eval().outputs(feats)[0], head(feats))
    names = {f'{part}.{what}' for part in ('pam_cam', 'pam', 'cam') for what in ('loss_ce', 'acc_seg')}
    assert set(head.loss(feats, target())) == names


def test_encoding_predicts_the_classes_of_the_image():
    assert set(make('EncHead').loss(stages(), target())) == {'loss_ce', 'acc_seg', 'loss_se'}
    assert set(make('EncHead', use_se_loss=False).loss(stages(), target())) == {'loss_ce', 'acc_seg'}
    label = torch.tensor([[[[0, 2, 255]]], [[[-1, 3, 3]]]])
    assert classes_shown(label, 4).tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]]


def test_encoding_is_the_weighted_sum_of_residuals():
    layer, x = Encoding(4, 3), random(2, 4, 3, 5)
    residual_nlkc = x.flatten(2).transpose(1, 2).unsqueeze(2) - layer.codewords
    weight_nlk = (layer.scale * residual_nlkc.square().sum(3)).softmax(2)
    torch.testing.assert_close(layer(x), (weight_nlk.unsqueeze(3) * residual_nlkc).sum(1))


def test_bases_are_learned_without_gradients_and_only_in_training():
    layer, x = ExpectationMaximization(4, 3, 2, momentum=0.1), random(2, 4, 3, 5).requires_grad_()
    first = layer.bases.clone()
    assert not layer.eval()(x).requires_grad
    assert torch.equal(layer.bases, first)
    layer.train()(x)
    assert not torch.equal(layer.bases, first)
    assert not any(p.requires_grad for p in make('EMAHead').ema_mid_conv.parameters())


def test_interlaced_attention_pads_to_whole_cells_and_crops():
    head = make('ISAHead', down_factor=(8, 8)).eval()
    assert head(stages()).shape[2:] == SIZES[3]


def test_criss_cross_attention_sees_row_and_column():
    layer = CrissCrossAttention(8)
    nn.init.ones_(layer.gamma.scale)
    x = random(1, 8, 4, 5).requires_grad_()
    layer(x)[0, :, 1, 2].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    cross = torch.zeros(4, 5, dtype=torch.bool)
    cross[1], cross[:, 2] = True, True
    assert torch.equal(seen, cross)


def test_windows_lie_around_their_pixel():
    score, window = random(2, 3 * 4, 5, 6), (3, 4)
    expected = torch.zeros(2, 5, 6, 5, 6)
    for row in range(5):
        for column in range(6):
            for i in range(3):
                for j in range(4):
                    at = (row + i - 1, column + j - 1)
                    if 0 <= at[0] < 5 and 0 <= at[1] < 6:
                        expected[:, at[0], at[1], row, column] = score[:, i * 4 + j, row, column]
    assert torch.equal(windows_to_map(score, window), expected.flatten(1, 2))


@pytest.mark.parametrize('psa_type', ['collect', 'distribute'])
def test_attention_in_one_direction(psa_type):
    assert make('PSAHead', psa_type=psa_type).eval()(stages()).shape[2:] == SIZES[3]
    head = make('PSAHead', psa_type=psa_type, compact=True, mask_size=SIZES[3], shrink_factor=1)
    assert head.eval()(stages()).shape[2:] == SIZES[3]


def test_classes_are_gathered_where_a_first_head_sees_them():
    head = make('OCRHead', scale=2).eval()
    assert head(stages(), *before(head)).shape[2:] == SIZE


# ---------------------------------------------------------------------- points


def test_points_refine_a_map_of_larger_size():
    head = make('PointHead').eval()
    head.subdivision_steps, head.subdivision_num_points = 2, 7
    refined = head(stages(), *before(head))
    assert refined.shape[2:] == (SIZE[0] * 4, SIZE[1] * 4)
    upsampled = nn.functional.interpolate(before(head)[0], scale_factor=2, mode='bilinear')
    head.subdivision_steps = 1
    changed = (head(stages(), *before(head)) != upsampled).any(1).flatten(1).sum(1)
    assert changed.tolist() == [7, 7]


def test_losses_at_points():
    head = make('PointHead')
    head.num_points = 20
    assert set(head.loss(stages(), target(), *before(head))) == {'pointloss_ce', 'acc_point'}
    points = head._training_points(before(head)[0])
    assert points.shape == (SAMPLES, 20, 2)
    assert ((points >= 0) & (points < 1)).all()


def test_pixels_are_sampled_at_their_centres():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    points = torch.tensor([[[0.125, 0.5 / 3], [0.875, 2.5 / 3]]])
    torch.testing.assert_close(sample_points(x, points), torch.tensor([[[0.0, 11.0]]]))
    assert uncertainty(torch.tensor([[[1.0], [3.0], [2.5]]])).item() == -0.5


# ---------------------------------------------------------------------- layers


@pytest.mark.parametrize('sub_sample', [False, True])
@pytest.mark.parametrize('block', [NonLocal1d, NonLocal2d, NonLocal3d])
def test_non_local_blocks_start_as_the_identity(block, sub_sample):
    layer = block(8, sub_sample=sub_sample)
    shape = (3, 6, 4)[-block.num_axes :]
    x = random(2, 8, *shape)
    assert torch.equal(layer(x), x)
    assert ('g.0.conv.weight' in layer.state_dict()) == sub_sample


@pytest.mark.parametrize('mode', ['gaussian', 'embedded_gaussian', 'dot_product', 'concatenation'])
def test_non_local_affinities(mode):
    layer = NonLocal2d(6, mode=mode, reduction=1, zeros_init=False, std=0.5)
    x = random(2, 6, 3, 4)
    flat = {name: getattr(layer, name)(x).flatten(2).transpose(1, 2) for name in ('theta', 'phi', 'g')}
    query, key = flat['theta'], flat['phi']
    score = query @ key.transpose(1, 2)
    if mode == 'concatenation':
        pairs = torch.cat([query.unsqueeze(2).expand(-1, -1, 12, -1), key.unsqueeze(1).expand(-1, 12, -1, -1)], 3)
        weight = layer.concat_project(pairs.permute(0, 3, 1, 2))[:, 0] / 12
    elif mode == 'dot_product':
        weight = score / 12
    else:
        weight = (score * (6**-0.5 if mode == 'embedded_gaussian' else 1)).softmax(2)
    expected = x + layer.conv_out((weight @ flat['g']).transpose(1, 2).view_as(x))
    torch.testing.assert_close(layer(x), expected)


def test_context_blocks():
    x = random(2, 8, 3, 4)
    torch.testing.assert_close(ContextBlock(8, 0.25)(x), x)
    torch.testing.assert_close(ContextBlock(8, 0.25, 'avg', ('channel_mul',))(x), x / 2)
    with pytest.raises(ValueError, match='fusion_types'):
        ContextBlock(8, 0.25, fusion_types=())


def test_attention_of_a_map_to_itself():
    layer = SelfAttention(6, 4, lambda a, b: nn.Conv2d(a, b, 1))
    assert layer(random(2, 6, 3, 4)).shape == (2, 6, 3, 4)


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('ANNHead', ALL_STAGES, 'takes two stages'),
        ('EMAHead', {'num_stages': 0}, 'num_stages must be 1 or more'),
        ('FPNHead', {'feature_strides': [8, 4, 16, 32]}, 'the smallest first'),
        ('LRASPPHead', {'branch_channels': (32,)}, 'one number for each'),
        ('LRASPPHead', {'input_transform': 'resize_concat'}, "must be 'multiple_select'"),
        ('NLHead', {'mode': 'gauss'}, "mode is 'gaussian'"),
        ('PSAHead', {'psa_type': 'both'}, 'psa_type is'),
        ('SETRMLAHead', {'mla_channels': 7}, 'must be mla_channels=7 times'),
        ('SETRUPHead', {'kernel_size': 5}, 'kernel_size is 1 or 3'),
        ('UPerHead', {'in_channels': 8, 'in_index': 3}, 'must be lists of equal length'),
    ],
)
def test_contradictions_are_refused_at_once(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)
