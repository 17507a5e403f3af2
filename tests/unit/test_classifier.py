import json

import numpy as np
import pytest
import torch
from torch import nn

from intarsia.core.registries import CLASSIFIERS
from intarsia.models.task_model import TaskModel, parse_losses
from intarsia.tasks.classification.classifier import ImageClassifier
from intarsia.tasks.classification.results import ClassificationResult


class Stages(nn.Module):
    """A backbone of one stage that also keeps what it was given."""

    def __init__(self, channels=4):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.seen = None

    def forward(self, img):
        self.seen = img
        return (self.conv(img),)


class Pool(nn.Module):
    def forward(self, stages):
        return tuple(stage.mean((2, 3)) for stage in stages)


class TensorPool(nn.Module):
    """A neck as in the tutorial: it takes one tensor."""

    def __init__(self):
        super().__init__()
        self.gap = nn.AdaptiveAvgPool2d((1, 1))

    def forward(self, inputs):
        return self.gap(inputs).view(inputs.size(0), -1)


def make(neck=None, head=None, **options):
    torch.manual_seed(0)
    if head is None:
        head = {'type': 'LinearClsHead', 'num_classes': 3, 'in_channels': 4}
    return ImageClassifier(Stages(), Pool() if neck is None else neck, head, **options)


def batch(n=4):
    img = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return {'img': img, 'gt_label': torch.arange(n) % 3, 'img_metas': [{}] * n}


def test_is_registered_for_both_generations_of_configs():
    assert CLASSIFIERS.get('ImageClassifier') is ImageClassifier


def test_stages_of_features():
    model, img = make(), batch()['img']
    assert model.extract_feat(img, 'backbone')[0].shape == (4, 4, 8, 8)
    assert model.extract_feat(img)[0].shape == (4, 4)
    assert model.extract_feat(img, stage='pre_logits').shape == (4, 4)
    assert model(img).shape == (4, 3)
    with pytest.raises(ValueError, match='stage must be one of backbone, neck, pre_logits'):
        model.extract_feat(img, 'backbon')


def test_without_head_it_extracts_features():
    model = ImageClassifier(Stages(), Pool())
    assert model(batch()['img'])[0].shape == (4, 4)
    with pytest.raises(RuntimeError, match='has no head'):
        model.predict(batch()['img'])


def test_a_list_of_necks_is_a_sequence():
    model = make(neck=[Pool(), nn.Identity()])
    assert model(batch()['img']).shape == (4, 3)


def test_a_neck_for_one_tensor_gets_the_only_stage():
    expected = make()(batch()['img'])
    model = make(neck=TensorPool())
    for _ in range(2):
        torch.testing.assert_close(model(batch()['img']), expected)


def test_train_step_keeps_values_on_the_device():
    outputs = make().train_step(batch(), None)
    assert outputs['num_samples'] == 4
    assert outputs['loss'].requires_grad
    assert set(outputs['log_vars']) == {'loss'}
    assert all(isinstance(v, torch.Tensor) and not v.requires_grad for v in outputs['log_vars'].values())
    outputs['loss'].backward()


def test_a_batch_without_image_or_label_is_refused():
    model = make()
    with pytest.raises(KeyError, match="needs the key 'img'"):
        model.train_step({'image': 0})
    with pytest.raises(KeyError, match=r"needs targets\['gt_label'\]"):
        model.train_step({'img': batch()['img']})


AUGMENTS = {'augments': {'type': 'BatchMixup', 'alpha': 1.0, 'num_classes': 3}}


def test_augments_apply_in_training_only_and_follow_the_step_seed():
    model, data = make(train_cfg=AUGMENTS), batch()
    torch.manual_seed(5)
    model.train_step(data)
    seen = model.backbone.seen
    assert not torch.equal(seen, data['img'])
    torch.manual_seed(5)
    model.train_step(data)
    assert torch.equal(model.backbone.seen, seen)
    model.train_step(data)
    assert not torch.equal(model.backbone.seen, seen)
    model.eval()
    model.val_step(data)
    assert model.backbone.seen is data['img']


def test_augments_for_other_classes_are_refused():
    wrong = {'augments': {'type': 'BatchMixup', 'alpha': 1.0, 'num_classes': 10}}
    with pytest.raises(ValueError, match='BatchMixup has num_classes=10, the head 3'):
        make(train_cfg=wrong)


def test_pretrained_is_short_for_an_initializer():
    assert make(pretrained='a.pth').init_cfg == {'type': 'Pretrained', 'checkpoint': 'a.pth'}


# ---------------------------------------------------------------------- results


def test_predict_gives_one_result_per_image():
    model = make().eval()
    model.classes = ('cat', 'dog', 'fish')
    results = model.predict(batch()['img'])
    assert len(results) == 4
    first = results[0]
    assert first.scores.dtype == np.float32
    assert first.scores.sum() == pytest.approx(1)
    assert first.score == first.scores.max()
    assert first.labels == (first.label,)
    assert first.class_name == model.classes[first.label]
    assert json.loads(json.dumps(first.as_dict()))['class_name'] == first.class_name


def test_a_result_of_several_labels():
    result = ClassificationResult.of(np.array([0.6, 0.9, 0.1], np.float32), (1, 0))
    assert (result.label, result.labels, result.class_name) == (1, (1, 0), None)


def test_predict_reads_images_through_the_test_pipeline():
    model = make(head={'type': 'MultiLabelLinearClsHead', 'num_classes': 3, 'in_channels': 4}).train()
    described = []

    def pipeline(results):
        described.append(results)
        return {'img': torch.zeros(3, 8, 8) + len(described), 'ori_shape': (5, 5)}

    model.test_pipeline = pipeline
    results = model.predict(['a.png', np.zeros((5, 5, 3), np.uint8), 'c.png'], batch_size=2)
    assert len(results) == 3
    assert described[0] == {'img_info': {'filename': 'a.png'}, 'img_prefix': None}
    assert set(described[1]) == {'img'}
    assert model.training
    model.eval()
    separately = model.predict(torch.stack([torch.zeros(3, 8, 8) + i for i in (1, 2, 3)]))
    np.testing.assert_allclose([r.scores for r in results], [r.scores for r in separately], atol=1e-6)


def test_images_without_a_test_pipeline_are_refused():
    model = make()
    with pytest.raises(RuntimeError, match=r'no test_pipeline.*intarsia\.load'):
        model.predict(['a.png'])
    with pytest.raises(TypeError, match=r'model\.predict\(\[image\]\)'):
        model.predict('a.png')
    model.test_pipeline = lambda results: None
    with pytest.raises(ValueError, match=r'dropped the image a\.png'):
        model.predict(['a.png'])


def test_images_of_several_sizes_come_in_batches_of_their_own():
    model = make()
    model.test_pipeline = lambda results: {'img': torch.full((3, *results['img'].shape[:2]), results['img'].mean())}
    images = [np.full((h, 5, 3), v) for h, v in ((5, 1.0), (5, 2.0), (6, 3.0), (5, 4.0))]
    together, alone = model.predict(images), [model.predict([image])[0] for image in images]
    np.testing.assert_allclose([r.scores for r in together], [r.scores for r in alone], atol=1e-6)


# ---------------------------------------------------------------------- losses to one number


def test_what_has_loss_in_its_name_is_added_up():
    part = torch.tensor([1.0, 3.0], requires_grad=True)
    total, logged = parse_losses(
        {
            'loss_a': part,
            'aux_loss': [torch.tensor([1.0, 3.0]), torch.tensor(4.0)],
            'accuracy': {'top-1': torch.tensor(50.0)},
            'loss_floor': 0.5,
        }
    )
    assert total.item() == 2 + 6 + 0.5
    assert {name: value.item() for name, value in logged.items()} == {
        'loss_a': 2,
        'aux_loss': 6,
        'top-1': 50,
        'loss_floor': 0.5,
        'loss': 8.5,
    }
    total.backward()
    assert part.grad.tolist() == [0.5, 0.5]


def test_losses_that_cannot_be_read_are_refused():
    with pytest.raises(TypeError, match="'loss' must be a tensor"):
        parse_losses({'loss': 'low'})
    with pytest.raises(ValueError, match="no entry has 'loss' in its name"):
        parse_losses({'los': torch.tensor(1.0)})


def test_a_task_model_names_what_is_missing():
    model = TaskModel()
    for call in (
        lambda: model(torch.zeros(1)),
        lambda: model.loss(torch.zeros(1), {}),
        lambda: model.predict(torch.zeros(1)),
    ):
        with pytest.raises(NotImplementedError, match='TaskModel has no'):
            call()
