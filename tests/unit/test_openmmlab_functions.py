"""Functions and operators of the old packages; expected values are those of MMCV 1.7.2 and the 0.x toolboxes."""

import numpy as np
import pytest
import torch
from torch import nn

import intarsia.openmmlab  # noqa: F401 - it serves what is imported below
from intarsia.core.errors import RegistryError
from intarsia.openmmlab.registry import Registry


def test_deformable_attention():
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttention

    attention = MultiScaleDeformableAttention(embed_dims=16, num_heads=4, num_levels=2, num_points=3, dropout=0.0)
    assert attention.sampling_offsets.bias[:6].tolist() == [1, 0, 2, 0, 3, 0]
    generator = torch.Generator().manual_seed(1)
    for name, value in sorted(attention.state_dict().items()):
        attention.state_dict()[name].copy_(torch.randn(value.shape, generator=generator) * 0.3)
    query, value = (torch.randn(n, 2, 16, generator=generator) for n in (5, 30))
    points, boxes = (torch.rand(2, 5, 2, n, generator=generator) for n in (2, 4))
    mask = torch.zeros(2, 30, dtype=torch.bool)
    mask[0, 3:6] = True
    shapes = dict(value=value, spatial_shapes=torch.tensor([[4, 6], [2, 3]]))
    found = attention(query, reference_points=points, query_pos=query * 0.1, key_padding_mask=mask, **shapes)
    assert found.sum().item() == pytest.approx(-39.755135, abs=1e-4)
    assert attention(query, reference_points=boxes, **shapes).abs().sum().item() == pytest.approx(158.27243, abs=1e-3)


def test_focal_loss_of_a_formula():
    from mmcv.ops import sigmoid_focal_loss

    logits, label = torch.tensor([[0.0, 2.0], [1.0, -1.0]]), torch.tensor([1, 2])
    p = logits.sigmoid()
    expected = torch.stack([
        torch.stack([0.75 * p[0, 0] ** 2 * -(1 - p[0, 0]).log(), 0.25 * (1 - p[0, 1]) ** 2 * -p[0, 1].log()]),
        0.75 * p[1] ** 2 * -(1 - p[1]).log(),
    ])  # fmt: skip
    torch.testing.assert_close(sigmoid_focal_loss(logits, label, reduction='none'), expected)
    torch.testing.assert_close(sigmoid_focal_loss(logits, label), expected.sum() / 2)


def test_boxes_that_overlap():
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    kept, index = nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5)
    assert index.tolist() == [1, 2]
    assert kept[:, 4].tolist() == pytest.approx([0.9, 0.7])


def test_segmentation_metrics():
    from mmseg.core.evaluation import get_classes, get_palette
    from mmseg.core.evaluation.metrics import eval_metrics, intersect_and_union

    draw = np.random.RandomState(3)
    pred = [draw.randint(0, 4, (6, 7)) for _ in range(2)]
    true = [draw.randint(0, 5, (6, 7)) for _ in range(2)]
    true[0][0] = 255
    areas = intersect_and_union(pred[0], true[0].astype(np.uint8), 4, 255, label_map={1: 2}, reduce_zero_label=True)
    assert [each.tolist() for each in areas] == [[0, 6, 3, 1], [4, 13, 11, 10], [4, 7, 10, 3], [0, 12, 4, 8]]
    masks = [mask.astype(np.uint8) for mask in true]
    values = eval_metrics(pred, masks, 4, 255, ['mIoU', 'mDice', 'mFscore'], reduce_zero_label=True)
    assert values['aAcc'] == pytest.approx(0.350877, abs=1e-6)
    assert values['IoU'] == pytest.approx([0.2, 0.125, 0.318182, 0.214286], abs=1e-6)
    assert values['Precision'] == pytest.approx([0.307692, 0.2, 0.4375, 0.461538], abs=1e-6)
    assert (len(get_palette('cityscapes')), get_classes('ade')[:2]) == (19, ['wall', 'building'])


def test_action_metrics():
    from mmaction.core.evaluation import confusion_matrix, mean_average_precision, mean_class_accuracy, top_k_accuracy

    draw = np.random.RandomState(5)
    scores, labels = draw.rand(8, 3), draw.randint(0, 3, 8)
    best = scores.argmax(1)
    matrix = confusion_matrix(best, labels)
    assert matrix.sum() == 8
    assert top_k_accuracy(scores, labels, (1, 3)) == [pytest.approx((best == labels).mean()), 1.0]
    rows = matrix.sum(1)
    shares = np.diag(matrix)[rows > 0] / rows[rows > 0]
    assert mean_class_accuracy(scores, labels) == pytest.approx(shares.mean())
    assert mean_average_precision(np.eye(3), np.eye(3)) == pytest.approx(1.0)


def test_pose_matrices():
    from mmpose.core.post_processing import get_affine_transform, get_warp_matrix, transform_preds
    from mmpose.structures.bbox import get_udp_warp_matrix

    center, scale = np.array([50.0, 60.0], np.float32), np.array([0.6, 0.8], np.float32)
    matrix = get_affine_transform(center, scale, 0, [192, 256])
    np.testing.assert_allclose(matrix @ [50, 60, 1], [96, 128], atol=1e-4)
    back = get_affine_transform(center, scale, 0, [192, 256], inv=True)
    np.testing.assert_allclose(back @ [96, 128, 1], [50, 60], atol=1e-4)
    np.testing.assert_allclose(get_warp_matrix(center, scale * 200, 0, [192, 256]), matrix)
    unbiased = get_warp_matrix(0, center * 2, np.array([192, 256]) - 1, scale * 200)
    np.testing.assert_allclose(unbiased, get_udp_warp_matrix(center, scale * 200, 0, [192, 256]))
    points = np.array([[24.0, 32.0, 0.9]], np.float32)
    np.testing.assert_allclose(transform_preds(points, center, scale, [48, 64]), [[50, 60, 0.9]], atol=1e-5)


# ---------------------------------------------------------------------- registries


def test_a_registry_answers_the_old_way():
    own = Registry('things')

    @own.register_module(name=['first', 'second'])
    class Thing:
        def __init__(self, a, b=2):
            if a < 0:
                raise ValueError('a is negative')
            self.a, self.b = a, b

    assert own.get('nothing') is None
    assert own.get('first') is Thing
    assert 'second' in own.module_dict
    built = own.build(dict(type='first'), default_args=dict(a=1))
    assert (built.a, built.b) == (1, 2)
    with pytest.raises(AssertionError, match='negative'):
        own.build(dict(type='first', a=-1))
    with pytest.raises(KeyError):
        own.build(dict(type='nothing'))
    with pytest.raises(RegistryError):
        own.build(dict(type='nothing'))
    with pytest.raises(TypeError, match="no argument 'c'"):
        own.build(dict(type='first', a=1, c=2))


def test_a_child_is_a_view_of_its_parent():
    from mmengine.registry import MODELS

    from intarsia.core.registries import MODELS as OURS

    child = Registry('model', parent=MODELS, locations=['nowhere'])

    @child.register_module()
    class OfTheChild(nn.Module):
        pass

    assert OURS.get('OfTheChild') is OfTheChild
    assert child.get('mmseg.ResNet') is not None


def test_transforms_are_called_without_a_generator():
    from mmseg.datasets.pipelines import Compose, RandomFlip

    class Twice(RandomFlip):
        def __call__(self, results):
            return super().__call__(super().__call__(results))

    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.random.seed(0)
    found = Compose([Twice(prob=1.0)])(dict(img=image.copy()))
    assert found['img'].shape == image.shape
    assert RandomFlip(prob=1.0)(dict(img=image))['img'].tolist() == image[:, ::-1].tolist()
