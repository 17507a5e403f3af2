"""Segmentors and decode heads as MMSegmentation's code subclasses them.

Shapes: n images, c channels, k classes, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.nn.resize import resize
from intarsia.openmmlab.config import ConfigDict
from intarsia.openmmlab.generations import AttributeConfigs, Entered, known, overrides
from intarsia.openmmlab.models.base import OldModel
from intarsia.openmmlab.samples import SAMPLES
from intarsia.openmmlab.structures import PixelData
from intarsia.tasks.segmentation import cascade, decode_head, segmentor
from intarsia.tasks.segmentation.inference import Inference

Metas = Sequence[Mapping[str, Any]] | None


class BaseSegmentor(OldModel):
    """Base of segmentors: a subclass has ``extract_feat``, ``encode_decode`` and its losses."""

    task = 'segmentation'
    align_corners = False

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return getattr(self, 'neck', None) is not None

    @property
    def with_auxiliary_head(self) -> bool:
        """Whether there are auxiliary heads."""
        return getattr(self, 'auxiliary_head', None) is not None

    @property
    def with_decode_head(self) -> bool:
        """Whether there is a decode head."""
        return getattr(self, 'decode_head', None) is not None

    def encode_decode(self, img: Tensor, img_metas: Metas = None) -> Tensor:
        """Logits ``(N, K, H, W)`` at the size of the images."""
        raise NotImplementedError(f'{type(self).__name__} has no encode_decode')

    def forward_dummy(self, inputs: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)``."""
        return self.encode_decode(inputs, None)

    @property
    def _inference(self) -> Inference:
        names = ('mode', 'crop_size', 'stride')
        return Inference(**{name: value for name, value in (self.test_cfg or {}).items() if name in names})

    def whole_inference(self, img: Tensor, img_meta: Metas = None, rescale: bool = True) -> Tensor:
        """Logits of whole images, at their original size if they are to be rescaled."""
        return self._restored(self.encode_decode(img, img_meta), img_meta, rescale)

    def slide_inference(self, img: Tensor, img_meta: Metas = None, rescale: bool = True) -> Tensor:
        """Mean logits of overlapping windows."""
        window = Inference(**{**vars_of(self._inference), 'mode': 'slide'})
        logits = window.logits(lambda crop: self.encode_decode(crop, img_meta), img)
        return self._restored(logits, img_meta, rescale)

    def _restored(self, logits: Tensor, metas: Metas, rescale: bool) -> Tensor:
        if not rescale or metas is None:
            return logits
        height, width = metas[0]['img_shape'][:2]
        size = tuple(metas[0]['ori_shape'][:2])
        return resize(logits[:, :, :height, :width], size=size, mode='bilinear', align_corners=self.align_corners)

    def inference(self, img: Tensor, img_meta: Metas = None, rescale: bool = True) -> Tensor:
        """Probabilities ``(N, K, H, W)``, as ``test_cfg.mode`` says."""
        slides = self._inference.mode == 'slide'
        logits = (self.slide_inference if slides else self.whole_inference)(img, img_meta, rescale)
        probabilities = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
        meta = (img_meta or [{}])[0]
        if meta.get('flip'):
            axis = 3 if meta.get('flip_direction', 'horizontal') == 'horizontal' else 2
            probabilities = probabilities.flip(axis)
        return probabilities

    def simple_test(self, img: Tensor, img_meta: Metas = None, rescale: bool = True) -> list[Any]:
        """The class of every pixel, an array ``(H, W)`` for each image."""
        return list(self.inference(img, img_meta, rescale).argmax(dim=1).cpu().numpy())

    def aug_test(self, imgs: Sequence[Tensor], img_metas: Sequence[Any], rescale: bool = True) -> list[Any]:
        """The same, from the mean probabilities of several versions."""
        sums = sum(self.inference(img, meta, rescale) for img, meta in zip(imgs, img_metas, strict=True))
        return list(sums.argmax(dim=1).cpu().numpy())  # type: ignore[union-attr]

    def postprocess_result(self, seg_logits: Tensor, data_samples: Sequence[Any] | None = None) -> list[Any]:
        """Samples with ``seg_logits`` and ``pred_sem_seg``, at the original size of each image."""
        if data_samples is None:
            data_samples = [SAMPLES['segmentation'].kind() for _ in seg_logits]
        for logits, sample in zip(seg_logits, data_samples, strict=True):
            meta = sample.metainfo
            restored = self._restored(logits[None], [meta] if 'ori_shape' in meta else None, True)[0]
            sample.seg_logits = PixelData(data=restored)
            sample.pred_sem_seg = PixelData(data=restored.argmax(dim=0, keepdim=True))
        return list(data_samples)


def vars_of(inference: Inference) -> dict[str, Any]:
    """Arguments that make an equal one."""
    return {name: value or None for name, value in vars(inference).items()}


class EncoderDecoder(BaseSegmentor, segmentor.EncoderDecoder):
    """Our segmentor with the methods of the old one.

    Args:
        args: As ours.
        data_preprocessor: Not used.
        kwargs: As ours.
    """

    def __init__(self, *args: Any, data_preprocessor: Any = None, **kwargs: Any) -> None:
        segmentor.EncoderDecoder.__init__(self, *args, **kwargs)
        self.train_cfg = ConfigDict(kwargs.get('train_cfg') or {})
        self.test_cfg = ConfigDict(kwargs.get('test_cfg') or {'mode': 'whole'})
        self.align_corners = self.last_head.align_corners
        self.fp16_enabled = False

    def extract_feat(self, img: Tensor) -> Any:
        """Stages of normalized images, after the neck."""
        return segmentor.EncoderDecoder.extract_feat(self, img)

    def encode_decode(self, img: Tensor, img_metas: Metas = None) -> Tensor:
        """Logits ``(N, K, H, W)`` at the size of the images."""
        logits = self._decode_head_forward_test(self.extract_feat(img), img_metas)
        return resize(logits, size=img.shape[2:], mode='bilinear', align_corners=self.align_corners)

    def _decode_head_forward_test(self, x: Any, img_metas: Metas = None) -> Tensor:
        return self.decode(x)

    def _decode_head_forward_train(
        self, x: Any, img_metas: Metas, gt_semantic_seg: Tensor, **kw: Any
    ) -> dict[str, Any]:
        return self.decode_loss(x, gt_semantic_seg)

    def _auxiliary_head_forward_train(self, x: Any, img_metas: Metas, gt_semantic_seg: Tensor) -> dict[str, Any]:
        return self.auxiliary_loss(x, gt_semantic_seg)

    def forward_train(self, img: Tensor, img_metas: Metas, gt_semantic_seg: Tensor, **kwargs: Any) -> dict[str, Any]:
        """Losses of a batch, by name."""
        feats = self.extract_feat(img)
        losses = self._decode_head_forward_train(feats, img_metas, gt_semantic_seg, **kwargs)
        if self.with_auxiliary_head:
            losses = {**losses, **self._auxiliary_head_forward_train(feats, img_metas, gt_semantic_seg)}
        return losses

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Any]:
        """Losses of a batch; targets are a dict, as ours, or data samples."""
        if isinstance(data_samples, Mapping):
            return self.forward_train(inputs, data_samples.get('img_metas'), data_samples['gt_semantic_seg'])
        metas = [sample.metainfo for sample in data_samples]
        return self.forward_train(inputs, metas, self.samples.targets(data_samples)['gt_semantic_seg'])

    def results_of(self, inputs: Tensor, metas: Metas = None) -> list[Any]:
        """One result per image, through the method of testing that the subclass has."""
        own = ('simple_test', 'inference', 'whole_inference', 'slide_inference', 'forward_test')
        base = OldModel if any(overrides(self, name) for name in own) else segmentor.EncoderDecoder
        return base.results_of(self, inputs, metas)

    def predict(self, inputs: Any, data_samples: Any = None, *args: Any, **kwargs: Any) -> list[Any]:
        """Samples with predictions; for images, or with what a pipeline noted, as ours."""
        if not isinstance(inputs, Tensor) or not data_samples or isinstance(data_samples[0], Mapping):
            return segmentor.EncoderDecoder.predict(self, inputs, data_samples, *args, **kwargs)
        return self.postprocess_result(self.encode_decode(inputs, [s.metainfo for s in data_samples]), data_samples)


class CascadeEncoderDecoder(EncoderDecoder, cascade.CascadeEncoderDecoder):
    """The same for decode heads that follow each other."""


class BaseDecodeHead(Entered, decode_head.BaseDecodeHead, metaclass=AttributeConfigs):
    """Our decode head with the methods of the old ones."""

    entrances = ('loss',)
    train_cfg = test_cfg = ConfigDict()

    def forward_train(self, inputs: Any, img_metas: Metas, gt_semantic_seg: Tensor, train_cfg: Any = None) -> Any:
        """Losses by name, of stages and labels ``(N, 1, H, W)``."""
        return self.losses(self(inputs), gt_semantic_seg)

    def forward_test(self, inputs: Any, img_metas: Metas = None, test_cfg: Any = None) -> Tensor:
        """Logits."""
        return self(inputs)

    def loss(self, inputs: Any, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Any]:
        """Losses by name, of stages and labels or data samples."""
        if isinstance(batch_data_samples, Tensor):
            return self.losses(self(inputs), batch_data_samples)
        return self.loss_by_feat(self(inputs), batch_data_samples)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Any) -> dict[str, Any]:
        """Losses by name, of logits and data samples."""
        return self.losses(seg_logits, SAMPLES['segmentation'].targets(batch_data_samples)['gt_semantic_seg'])

    def predict(self, inputs: Any, batch_img_metas: Metas = None, test_cfg: Any = None) -> Tensor:
        """Logits at the size of the images."""
        return self.predict_by_feat(self(inputs), batch_img_metas)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: Metas = None) -> Tensor:
        """Logits at the size of the images, if it is known."""
        meta = (batch_img_metas or [{}])[0]
        size = meta.get('pad_shape', meta.get('img_shape'))
        if size is None:
            return seg_logits
        return resize(seg_logits, size=tuple(size[:2]), mode='bilinear', align_corners=self.align_corners)

    # ------------------------------------------------------------------ as our segmentor calls it

    def enter_loss(self, feats: Any, target_n1hw: Tensor, *_: Any) -> dict[str, Any]:
        """Losses by name, through the method that the subclass has."""
        data: dict[str, Any] = {
            'gt_semantic_seg': target_n1hw,
            'img_metas': [{'img_shape': target_n1hw.shape[2:]}] * len(target_n1hw),
        }
        if overrides(self, 'forward_train'):
            given = known(self.forward_train, {'train_cfg': self.train_cfg})
            return self.forward_train(feats, data['img_metas'], target_n1hw, **given)
        return self.loss(feats, SAMPLES['segmentation'].of_batch(data), self.train_cfg)

    def __call__(self, feats: Any, *args: Any, **kwargs: Any) -> Any:
        """In testing, what ``forward_test`` or ``predict`` of the subclass gives, if it has one."""
        name = next((name for name in ('forward_test', 'predict') if overrides(self, name)), None)
        if name is None or self.training or self._is_inside:
            return super().__call__(feats, *args, **kwargs)
        with self.inside():
            return getattr(self, name)(feats, [{}] * len(feats[0]), self.test_cfg)


class MLP(nn.Module):
    """A linear layer over the channels of a map.

    Args:
        input_dim: Channels in.
        embed_dim: Channels out.
    """

    def __init__(self, input_dim: int = 2048, embed_dim: int = 768) -> None:
        super().__init__()
        self.proj = nn.Linear(input_dim, embed_dim)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, H * W, C)`` of a map ``(N, C, H, W)``."""
        return self.proj(x_nchw.flatten(2).transpose(1, 2).contiguous())


def add_prefix(inputs: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The same with ``prefix.`` before every name."""
    return segmentor.prefixed(prefix, inputs)
