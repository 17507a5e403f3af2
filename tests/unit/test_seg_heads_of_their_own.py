"""Decode heads whose stages or losses are of their own kind: of queries, of kernels, of several maps."""

import numpy as np
import pytest
import torch

from intarsia.core.registries import HEADS, SEGMENTORS
from intarsia.tasks.segmentation.heads.ham_head import NMF2D
from intarsia.tasks.segmentation.mask_queries.deformable import MultiScaleDeformableAttention, look
from intarsia.tasks.segmentation.mask_queries.matching import HungarianAssigner
from intarsia.tasks.segmentation.mask_queries.transformer import SinePositionalEncoding
from tests.unit.test_seg_heads import NUM_CLASSES, SAMPLES, SIZE, SIZES, STAGES, random, stages, target

ATTENTION = {'embed_dims': 8, 'num_heads': 2}
FEED_FORWARD = {'embed_dims': 8, 'feedforward_channels': 16}
LAYER = {'self_attn_cfg': ATTENTION, 'cross_attn_cfg': ATTENTION, 'ffn_cfg': FEED_FORWARD}
GN = {'type': 'GN', 'num_groups': 2}
POSITIONS = {'num_feats': 4, 'normalize': True}
COSTS = [
    {'type': 'mmdet.ClassificationCost', 'weight': 2.0},
    {'type': 'mmdet.CrossEntropyLossCost', 'weight': 5.0},
    {'type': 'mmdet.FocalLossCost', 'binary_input': True},
    {'type': 'mmdet.DiceCost', 'weight': 5.0, 'pred_act': True, 'eps': 1.0},
]
TRAINING = {
    'num_points': 32, 'assigner': {'type': 'mmdet.HungarianAssigner', 'match_costs': COSTS},
    'sampler': {'type': 'mmdet.MaskPseudoSampler'},
}  # fmt: skip
QUERIES = {
    'in_channels': STAGES, 'feat_channels': 8, 'out_channels': 8, 'num_classes': NUM_CLASSES, 'num_queries': 7,
    'positional_encoding': POSITIONS, 'transformer_decoder': {'num_layers': 3, 'layer_cfg': LAYER},
    'train_cfg': TRAINING,
}  # fmt: skip
DEFORMABLE = {'embed_dims': 8, 'num_heads': 2, 'num_levels': 3, 'num_points': 2, 'dropout': 0.0}
MASK2FORMER = {
    'type': 'Mask2FormerHead', **QUERIES,
    'pixel_decoder': {
        'type': 'mmdet.MSDeformAttnPixelDecoder', 'norm_cfg': GN, 'positional_encoding': POSITIONS,
        'encoder': {'num_layers': 2, 'layer_cfg': {'self_attn_cfg': DEFORMABLE, 'ffn_cfg': FEED_FORWARD}},
    },
}  # fmt: skip
MASKFORMER = {'type': 'MaskFormerHead', **QUERIES, 'pixel_decoder': {'type': 'mmdet.PixelDecoder', 'norm_cfg': GN}}
MASKFORMER_WITH_ENCODER = {
    **MASKFORMER,
    'pixel_decoder': {
        'type': 'mmdet.TransformerEncoderPixelDecoder', 'norm_cfg': GN, 'positional_encoding': POSITIONS,
        'encoder': {'num_layers': 2, 'layer_cfg': {'self_attn_cfg': ATTENTION, 'ffn_cfg': FEED_FORWARD}},
    },
}  # fmt: skip
KERNELS = {
    'type': 'KernelUpdateHead', 'num_classes': NUM_CLASSES, 'num_heads': 2, 'num_mask_fcs': 1, 'in_channels': 16,
    'feedforward_channels': 32, 'out_channels': 16, 'feat_transform_cfg': {'conv_cfg': {'type': 'Conv2d'}},
    'kernel_updator_cfg': {'type': 'KernelUpdator', 'in_channels': 16, 'feat_channels': 16, 'out_channels': 16},
}  # fmt: skip
FIRST = {'type': 'FCNHead', 'in_channels': STAGES[3], 'in_index': 3, 'channels': 16, 'num_classes': NUM_CLASSES}
KNET = {
    'type': 'IterativeDecodeHead', 'num_stages': 2, 'kernel_generate_head': FIRST, 'kernel_update_head': [KERNELS] * 2,
}  # fmt: skip
DPT = {
    'type': 'DPTHead', 'in_channels': [8] * 4, 'in_index': [0, 1, 2, 3], 'input_transform': 'multiple_select',
    'channels': 16, 'num_classes': NUM_CLASSES, 'embed_dims': 8, 'post_process_channels': [4, 6, 8, 10],
    'readout_type': 'project',
}  # fmt: skip
TWO_LOSSES = [{'type': 'OhemCrossEntropy', 'min_kept': 20}] * 2
DDR = {'type': 'DDRHead', 'in_channels': 8, 'channels': 16, 'num_classes': NUM_CLASSES, 'loss_decode': TWO_LOSSES}
FOUR_LOSSES = [
    {'type': 'CrossEntropyLoss'},
    TWO_LOSSES[0],
    {'type': 'BoundaryLoss', 'loss_weight': 20.0},
    TWO_LOSSES[0],
]
PID = {**DDR, 'type': 'PIDHead', 'loss_decode': FOUR_LOSSES}

every_head_of_queries = pytest.mark.parametrize('config', [MASK2FORMER, MASKFORMER, MASKFORMER_WITH_ENCODER])


def make(config):
    torch.manual_seed(0)
    head = HEADS.of('segmentation').build(config)
    head.init_weights()
    return head


def assert_all_learn(head, losses):
    trained = [value for key, value in losses.items() if 'loss' in key]
    assert all(value.isfinite() for value in losses.values())
    sum(trained).backward()
    assert [key for key, p in head.named_parameters() if p.requires_grad and p.grad is None] == []


def maps(*channels):
    return tuple(random(SAMPLES, c, 6, 8, seed=c) for c in channels)


# ---------------------------------------------------------------------- queries


@every_head_of_queries
def test_scores_are_those_of_masks_at_the_size_asked_for(config):
    head = make(config).eval()
    assert head(stages()).shape == (SAMPLES, NUM_CLASSES, *SIZE)
    score = head.logits_at(stages(), (36, 48))
    assert score.shape == (SAMPLES, NUM_CLASSES, 36, 48)
    assert (score >= 0).all()
    classes, masks = head.outputs(stages())
    assert len(classes) == len(masks) == (4 if config is MASK2FORMER else 3)
    assert classes[0].shape == (SAMPLES, 7, NUM_CLASSES + 1)


@every_head_of_queries
def test_losses_of_every_layer_of_queries(config):
    head = make(config)
    losses = head.loss(stages(), target())
    names = {'loss_cls', 'loss_mask', 'loss_dice'}
    layers = [f'd{i}.' for i in range(3 if config is MASK2FORMER else 2)]
    assert set(losses) == {f'{prefix}{name}' for prefix in ['', *layers] for name in names}
    assert_all_learn(head, losses)


@every_head_of_queries
def test_an_image_without_labels_has_losses(config):
    losses = make(config).loss(stages(), torch.full_like(target(), 255))
    assert all(value.isfinite() for value in losses.values())


def test_queries_do_not_train_without_partners():
    with pytest.raises(ValueError, match="needs an 'assigner' in its train_cfg"):
        make({**MASKFORMER, 'train_cfg': None}).loss(stages(), target())


def test_the_cheapest_partners():
    score_qk = torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    logit_ql = torch.tensor([[9.0, -9.0], [-9.0, 9.0], [-9.0, -9.0]])
    assigner = HungarianAssigner(COSTS)
    query, mask = assigner(score_qk, torch.tensor([0, 1]), logit_ql, torch.tensor([[0, 1], [1, 0]]))
    assert query.tolist() == [0, 1]
    assert mask.tolist() == [1, 0]
    more_masks = torch.tensor([[0, 1], [1, 0], [1, 1], [0, 0]])
    query, mask = assigner(score_qk, torch.tensor([0, 1, 0, 2]), logit_ql, more_masks)
    assert query.tolist() == [0, 1, 2]
    assert mask.tolist() == [1, 0, 3]
    assert not len(assigner(score_qk, torch.zeros(0, dtype=torch.long), logit_ql, torch.zeros(0, 2))[0])


def test_places_between_pixels():
    sizes = [(2, 3), (1, 2)]
    value = random(1, 8, 1, 4)
    centre_of_first, centre_of_last = (0.5 / 3, 0.25), (0.75, 0.5)
    place = torch.tensor([centre_of_first, centre_of_last]).reshape(1, 1, 1, 2, 1, 2)
    weight = torch.tensor([0.25, 0.75]).reshape(1, 1, 1, 2)
    expected = 0.25 * value[0, 0, 0] + 0.75 * value[0, 7, 0]
    torch.testing.assert_close(look(value, sizes, place, weight)[0, 0], expected)


def test_heads_look_in_directions_of_their_own_at_first():
    layer = MultiScaleDeformableAttention(8, num_heads=4, num_levels=1, num_points=2)
    layer.init_weights()
    offset = layer.sampling_offsets.bias.reshape(4, 2, 2)
    expected = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    torch.testing.assert_close(offset, torch.stack((expected, 2 * expected), 1), atol=1e-6, rtol=0)
    assert not layer.attention_weights.weight.any()


def test_waves_of_positions():
    encoding = SinePositionalEncoding(4, normalize=True)(random(1, 3, 2, 5))
    assert encoding.shape == (1, 8, 2, 5)
    y, x = 2 / 2 * 2 * np.pi, 1 / 5 * 2 * np.pi
    expected = [np.sin(y), np.cos(y), np.sin(y / 100), np.cos(y / 100)]
    expected += [np.sin(x), np.cos(x), np.sin(x / 100), np.cos(x / 100)]
    np.testing.assert_allclose(encoding[0, :, 1, 0], expected, atol=1e-5)


def test_a_model_of_queries_scores_at_the_size_of_images():
    backbone = {'type': 'ResNet', 'depth': 18, 'base_channels': 4, 'stem_channels': 4}
    head = {**MASK2FORMER, 'in_channels': [4, 8, 16, 32]}
    model = SEGMENTORS.of('segmentation').build({'type': 'EncoderDecoder', 'backbone': backbone, 'decode_head': head})
    assert model.eval()(random(1, 3, 50, 62)).shape == (1, NUM_CLASSES, 50, 62)
    assert 'decode.loss_dice' in model.loss(random(2, 3, 18, 24), {'gt_semantic_seg': target()})


# ---------------------------------------------------------------------- kernels


def test_kernels_are_refined():
    head = make(KNET)
    logits = head.stages(stages())
    assert [each.shape for each in logits] == [(SAMPLES, NUM_CLASSES, *SIZES[3])] * 3
    assert torch.equal(head(stages()), head.stages(stages())[-1]) or head.training
    losses = head.loss(stages(), target())
    assert set(losses) == {f'{name}.s{i}' for name in ('loss_ce', 'acc_seg') for i in range(3)}
    assert_all_learn(head, losses)


def test_every_image_has_kernels_of_its_own():
    head = make(KERNELS).eval()
    feat, kernel, mask = random(2, 16, 6, 8), random(2, NUM_CLASSES, 16, 1, 1), random(2, NUM_CLASSES, 6, 8)
    masks, kernels = head(feat, kernel, mask)
    alone, kernel_alone = head(feat[1:], kernel[1:], mask[1:])
    torch.testing.assert_close(masks[1:], alone)
    torch.testing.assert_close(kernels[1:], kernel_alone)
    assert kernels.shape == kernel.shape


# ---------------------------------------------------------------------- several maps


@pytest.mark.parametrize('readout_type', ['ignore', 'add', 'project'])
def test_class_tokens_are_read_out(readout_type):
    head = make({**DPT, 'readout_type': readout_type})
    pairs = [[random(SAMPLES, 8, 4, 6, seed=i), random(SAMPLES, 8, seed=10 + i)] for i in range(4)]
    assert head(pairs).shape == (SAMPLES, NUM_CLASSES, 32, 48)
    assert_all_learn(head, head.loss(pairs, target()))


def test_an_early_map_trains_too():
    head = make(DDR)
    feats = maps(4, 8)
    assert head(feats).shape == (SAMPLES, NUM_CLASSES, 6, 8)
    losses = head.loss(feats, target())
    assert set(losses) == {'loss_context', 'loss_spatial', 'acc_seg'}
    assert_all_learn(head, losses)


def test_borders_train_too():
    head, edges = make(PID), (random(SAMPLES, 1, 18, 24) > 1).long()
    feats = (random(SAMPLES, 4, 6, 8), random(SAMPLES, 8, 6, 8), random(SAMPLES, 4, 6, 8, seed=1))
    assert head(feats).shape == (SAMPLES, NUM_CLASSES, 6, 8)
    losses = head.loss(feats, target(), gt_edge_map=edges)
    assert set(losses) == {'loss_sem_p', 'loss_sem_i', 'loss_bd', 'loss_sem_bd', 'acc_seg'}
    assert_all_learn(head, losses)


def test_a_model_hands_borders_to_its_head():
    backbone = {'type': 'PIDNet', 'channels': 2, 'ppm_channels': 2}
    model = SEGMENTORS.of('segmentation').build({'type': 'EncoderDecoder', 'backbone': backbone, 'decode_head': PID})
    images, edges = random(SAMPLES, 3, 18, 24), torch.zeros(SAMPLES, 1, 18, 24)
    edges[:, :, 9] = 1
    with pytest.raises(KeyError, match=r"PIDHead needs targets\['gt_edge_map'\]"):
        model.loss(images, {'gt_semantic_seg': target()})
    assert 'decode.loss_bd' in model.loss(images, {'gt_semantic_seg': target(), 'gt_edge_map': edges})


def test_borders_of_labels():
    head = make({**FIRST, 'type': 'STDCHead', 'num_classes': 2})
    label = torch.zeros(1, 1, 16, 16)
    label[..., 8:] = 3
    borders = head.borders(label)
    assert borders.shape == label.shape
    assert set(borders.unique().tolist()) == {0, 1}
    # The step at 8 is seen at full and at half resolution, the end of the image at full resolution.
    assert borders[0, 0, 4].nonzero().flatten().tolist() == [8, 9, 15]
    assert {'loss_ce', 'acc_seg'} == set(head.loss(stages(), target()))


# ---------------------------------------------------------------------- a decomposition


def test_a_product_of_small_matrices_is_found():
    layer = NMF2D(MD_R=4, eval_steps=200).eval()
    torch.manual_seed(0)
    product = torch.rand(2, 6, 2) @ torch.rand(2, 2, 20)
    torch.testing.assert_close(layer(product.reshape(2, 6, 4, 5)).flatten(2), product, atol=0.05, rtol=0.1)


def test_bases_may_be_kept():
    layer, x = NMF2D(MD_R=3, rand_init=False).eval(), random(2, 4, 3, 5).abs()
    assert torch.equal(layer(x), layer(x))
    assert layer.state_dict()['bases'].shape == (1, 4, 3)
