"""Pose models, heads and codecs as MMPose's code subclasses them.

Shapes: n people, k joints, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from intarsia.openmmlab.generations import AttributeConfigs, Entered, known, overrides
from intarsia.openmmlab.models.base import OldModel
from intarsia.openmmlab.samples import SAMPLES
from intarsia.openmmlab.structures import InstanceData
from intarsia.tasks.pose import topdown
from intarsia.tasks.pose.codecs import codec as codecs
from intarsia.tasks.pose.codecs.codec import Keypoints
from intarsia.tasks.pose.heads.heatmap_head import BaseHeatmapHead
from intarsia.tasks.pose.heads.pose_head import PoseHead
from intarsia.tasks.pose.transforms.boxes import PIXEL_STD
from intarsia.tasks.pose.transforms.flip import partners

TARGETS = {
    'heatmaps': 'target', 'keypoint_labels': 'target', 'keypoint_x_labels': 'target_x',
    'keypoint_y_labels': 'target_y', 'keypoint_weights': 'target_weight',
}  # fmt: skip
"""What codecs of the second generation encode, under our names."""


class BasePose(OldModel):
    """Base of pose models of the first generation: a subclass has ``forward`` with ``return_loss``."""

    task = 'pose'

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return getattr(self, 'neck', None) is not None

    def forward_train(self, img: Tensor, target: Any, target_weight: Any, img_metas: Any = None, **kw: Any) -> Any:
        """Losses of a batch, by name."""
        raise NotImplementedError(f'{type(self).__name__} has no forward_train')

    def results_of(self, inputs: Tensor, metas: Any = None) -> list[Any]:
        """One result for each crop, from ``forward`` with ``return_loss=False``."""
        metas = metas or metas_of_crops(inputs)
        answers = self(img=inputs, img_metas=metas, return_loss=False)
        return [self.samples.result_of_answer(each, self) for each in self.samples.split(answers)]


class TopDown(BasePose, topdown.TopDown):
    """Our top-down model with the methods of the old one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        topdown.TopDown.__init__(self, *args, **kwargs)
        self.train_cfg, self.fp16_enabled = kwargs.get('train_cfg'), False

    @property
    def with_keypoint(self) -> bool:
        """Whether there is a head."""
        return self.keypoint_head is not None

    def extract_feat(self, img: Tensor) -> Any:
        """Stages of normalized crops, after the neck."""
        return topdown.TopDown.extract_feat(self, img)

    def forward_dummy(self, inputs: Tensor) -> Any:
        """What the head gives."""
        return topdown.TopDown.forward(self, inputs)

    def forward_train(self, img: Tensor, target: Any, target_weight: Any, img_metas: Any = None, **kw: Any) -> Any:
        """Losses of a batch, by name."""
        return topdown.TopDown.loss(self, img, {'target': target, 'target_weight': target_weight, **kw})

    def forward_test(self, img: Any, img_metas: Any = None, **kwargs: Any) -> dict[str, Any]:
        """``preds (N, K, 3)`` and ``boxes (N, 6)``."""
        found = topdown.TopDown.results_of(self, img, img_metas)
        return answer_of(found, img_metas or metas_of_crops(img))

    def results_of(self, inputs: Tensor, metas: Any = None) -> list[Any]:
        """One result for each crop, through the method of testing that the subclass has."""
        own = overrides(self, 'forward_test') or overrides(self, 'forward')
        return (BasePose if own else topdown.TopDown).results_of(self, inputs, metas)


class BasePoseEstimator(OldModel):
    """Base of pose models of the second generation."""

    task = 'pose'

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return getattr(self, 'neck', None) is not None


class TopdownPoseEstimator(BasePoseEstimator, topdown.TopdownPoseEstimator):
    """Our top-down model with the methods of the second generation."""

    def __init__(self, *args: Any, data_preprocessor: Any = None, metainfo: Any = None, **kwargs: Any) -> None:
        topdown.TopdownPoseEstimator.__init__(self, *args, **kwargs)
        self.train_cfg = kwargs.get('train_cfg')

    def forward_dummy(self, inputs: Tensor) -> Any:
        """What the head gives."""
        return topdown.TopdownPoseEstimator.forward(self, inputs)

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Any]:
        """Losses of a batch; targets are a dict, as ours, or data samples."""
        targets = data_samples if isinstance(data_samples, Mapping) else self.samples.targets(data_samples)
        return topdown.TopdownPoseEstimator.loss(self, inputs, targets)

    def predict(self, inputs: Any, data_samples: Any = None, *args: Any, **kwargs: Any) -> list[Any]:
        """Samples with ``pred_instances``; for images, or with what a pipeline noted, as ours."""
        if not isinstance(inputs, Tensor) or not data_samples or isinstance(data_samples[0], Mapping):
            return topdown.TopdownPoseEstimator.predict(self, inputs, data_samples, *args, **kwargs)
        results = topdown.TopdownPoseEstimator.results_of(self, inputs, [s.metainfo for s in data_samples])
        for sample, result in zip(data_samples, results, strict=True):
            sample.pred_instances = InstanceData(keypoints=result.keypoints, keypoint_scores=result.scores)
        return list(data_samples)

    def train_step(self, data: Mapping[str, Any], optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """As ours, unless the subclass takes data samples."""
        base = OldModel if self.is_second_generation else topdown.TopdownPoseEstimator
        return base.train_step(self, data, optimizer)

    def results_of(self, inputs: Tensor, metas: Any = None) -> list[Any]:
        """As ours."""
        return topdown.TopdownPoseEstimator.results_of(self, inputs, metas)


# ---------------------------------------------------------------------- heads


class TopdownHeatmapBaseHead(Entered, BaseHeatmapHead, metaclass=AttributeConfigs):
    """Base of heads of the first generation: ``forward``, ``get_loss`` and ``get_accuracy`` are the subclass's."""

    entrances = ('decode',)
    default_init = None  # type: ignore[assignment]

    def inference_model(self, x: Any, flip_pairs: Sequence[Sequence[int]] | None = None) -> np.ndarray:
        """Heat maps ``(N, K, h, w)``, mirrored back if ``flip_pairs`` says which joints change places."""
        output = self(x)
        if flip_pairs is not None:
            output = self.flip_back(output, partners(flip_pairs, output.shape[1]).tolist())
        return output.detach().cpu().numpy()

    def decode(self, img_metas: Any, output: Any = None, **kwargs: Any) -> Any:
        """``preds`` and ``boxes`` of heat maps, in pixels of the images that ``img_metas`` describe."""
        maps = torch.as_tensor(output)
        keypoints_nk2, score_nk = BaseHeatmapHead.decode(self, maps)
        assert self.codec is not None
        size_2 = torch.tensor(self.codec.input_size)
        center_n2, scale_n2 = (torch.tensor(np.array([m[key] for m in img_metas])) for key in ('center', 'scale'))
        placed = (keypoints_nk2 / size_2 - 0.5) * scale_n2[:, None] * PIXEL_STD + center_n2[:, None]
        preds = torch.cat([placed, score_nk[..., None]], 2).cpu().numpy()
        return {'preds': preds, **boxes_of_metas(img_metas), 'output_heatmap': output}

    def enter_decode(self, output: Any) -> Keypoints:
        """Joints in pixels of the crop, through the method that the subclass has."""
        if not overrides(self, 'decode'):
            return BaseHeatmapHead.decode(self, output)
        scale = self.codec.input_size if self.codec is not None else (output.shape[3] * 4, output.shape[2] * 4)
        meta = {
            'center': np.array(scale, np.float32) / 2, 'scale': np.array(scale, np.float32) / PIXEL_STD,
            'image_file': '', 'bbox_id': 0, 'rotation': 0, 'bbox_score': 1.0,
        }  # fmt: skip
        answer = self.decode([meta] * len(output), output.detach().cpu().numpy())
        preds = torch.as_tensor(np.asarray(answer['preds']), dtype=torch.float32)
        return preds[..., :2], preds[..., 2]


class Predicted(NamedTuple):
    """What ``predict`` of a user's head gave, on its way through our model."""

    people: Sequence[Any]


class BaseHead(Entered, PoseHead, metaclass=AttributeConfigs):
    """Base of heads of the second generation.

    Args:
        args: As ours.
        init_cfg: How weights are initialized.
        kwargs: As ours.
    """

    entrances = ('decode',)
    loss_attribute = 'loss_module'
    train_cfg: Mapping[str, Any] = {}

    def __init__(self, init_cfg: Any = None, **kwargs: Any) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)

    @property
    def decoder(self) -> Any:
        """The codec, under the name that heads give it."""
        return self.codec

    @decoder.setter
    def decoder(self, codec: Any) -> None:
        self.codec = codec if codec is None or isinstance(codec, codecs.Codec) else codecs.build_codec(codec)

    def losses(self, feats: Any, targets: Mapping[str, Any]) -> dict[str, Any]:
        """Losses of targets under our names, through the subclass's ``loss``."""
        if not overrides(self, 'loss'):
            return super().losses(feats, targets)
        loss: Any = self.loss
        with self.inside():
            return loss(feats, SAMPLES['pose'].of_batch(targets), **known(loss, {'train_cfg': self.train_cfg}))

    def loss(self, feats: Any, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Any]:
        """Losses by name, of features and data samples."""
        return PoseHead.losses(self, feats, SAMPLES['pose'].targets(batch_data_samples))

    def decode(self, batch_outputs: Any) -> Any:
        """Joints of each person, as ``InstanceData``."""
        keypoints_nk2, score_nk = PoseHead.decode(self, batch_outputs)
        pairs = zip(keypoints_nk2.cpu().numpy(), score_nk.cpu().numpy(), strict=True)
        return [InstanceData(keypoints=k[None], keypoint_scores=s[None]) for k, s in pairs]

    # ------------------------------------------------------------------ as our model calls it

    def __call__(self, feats: Any, *args: Any, **kwargs: Any) -> Any:
        """In testing, what the subclass's ``predict`` gives, if it has one."""
        if self.training or self._is_inside or not overrides(self, 'predict'):
            return super().__call__(feats, *args, **kwargs)
        with self.inside():
            samples = [SAMPLES['pose'].kind() for _ in feats[0]]
            return Predicted(self.predict(feats, samples, **known(self.predict, {'test_cfg': self.test_cfg})))

    def flip_back(self, output: Any, flip_index: Sequence[int]) -> Any:
        """As ours; what ``predict`` found in mirrored images does not count."""
        if isinstance(output, Predicted):
            return output
        return BaseHeatmapHead.flip_back(self, output, flip_index)  # type: ignore[arg-type]

    def mean(self, first: Any, second: Any) -> Any:
        """The mean of two outputs."""
        return first if isinstance(first, Predicted) else super().mean(first, second)

    def enter_decode(self, output: Any) -> Keypoints:
        """Joints in pixels of the crop, through the method that the subclass has."""
        if isinstance(output, Predicted) or overrides(self, 'decode'):
            people = output.people if isinstance(output, Predicted) else self.decode(output)
            keypoints, scores = ([np.asarray(p.get(name)) for p in people] for name in ('keypoints', 'keypoint_scores'))
            return torch.as_tensor(np.concatenate(keypoints)), torch.as_tensor(np.concatenate(scores))
        return PoseHead.decode(self, output)


# ---------------------------------------------------------------------- codecs


class BaseKeypointCodec(Entered, codecs.Codec):
    """Base of codecs of the second generation: arrays of people in, dicts of labels out."""

    entrances = ('encode', 'decode')

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: a subclass sets ``input_size`` itself."""

    def enter_encode(self, keypoints_k2: np.ndarray, visible_k: np.ndarray) -> dict[str, Any]:
        """Targets of one person under our names."""
        encoded = self.encode(keypoints_k2[None], visible_k[None])
        names = {name: TARGETS.get(name, name) for name in encoded}
        return {ours: encoded[name] if name == 'heatmaps' else encoded[name][0] for name, ours in names.items()}

    def enter_decode(self, outputs: Any) -> Keypoints:
        """Joints of a batch of outputs."""
        several = isinstance(outputs, (tuple, list))
        arrays = [each.detach().cpu().numpy() for each in (outputs if several else [outputs])]
        found = [
            self.decode(tuple(a[i : i + 1] for a in arrays) if several else arrays[0][i]) for i in range(len(arrays[0]))
        ]
        keypoints, scores = (np.concatenate([np.asarray(each[part]) for each in found]) for part in (0, 1))
        return torch.as_tensor(keypoints), torch.as_tensor(scores)


# ---------------------------------------------------------------------- what the first generation notes of crops


def metas_of_crops(inputs: Tensor) -> list[dict[str, Any]]:
    """Of crops that are images of their own."""
    size = np.array([inputs.shape[3], inputs.shape[2]], np.float32)
    return [{'center': size / 2, 'scale': size / PIXEL_STD, 'bbox_id': i, 'image_file': ''} for i in range(len(inputs))]


def boxes_of_metas(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``boxes (N, 6)``: centre, scale, area and score; ``image_paths`` and ``bbox_ids``."""
    rows = [
        [*np.asarray(m['center']), *np.asarray(m['scale']), float(np.prod(np.asarray(m['scale']) * PIXEL_STD)),
         float(np.ravel(m.get('bbox_score', 1.0))[0])] for m in metas
    ]  # fmt: skip
    return {
        'boxes': np.array(rows, np.float32),
        'image_paths': [m.get('image_file', m.get('filename', '')) for m in metas],
        'bbox_ids': [m.get('bbox_id', i) for i, m in enumerate(metas)],
    }


def answer_of(results: Sequence[Any], metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Our results as the first generation gives them."""
    preds = [np.concatenate([r.keypoints[0], r.scores[0][:, None]], axis=1) for r in results]
    return {'preds': np.stack(preds), **boxes_of_metas(metas), 'output_heatmap': None}
