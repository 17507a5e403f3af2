"""Augmentations that mix the images, or the clips, of a batch, and their labels with them.

The functions mix with given numbers; the classes draw the numbers.

Shapes: n samples, c channels or classes, h rows, w columns; between n and h there may be more axes, as clips have. A
permutation is int64 ``(N,)``; image i is mixed with image ``permutation[i]``. A box is ``(top, bottom, left, right)``
in pixels, ends excluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from intarsia.core.registries import BATCH_AUGMENTS
from intarsia.models.losses.targets import as_scores

Box = tuple[int, int, int, int]
Mixed = tuple[Tensor, Tensor]


def mixup(img_nchw: Tensor, score_nc: Tensor, lam: float, permutation: Tensor) -> Mixed:
    """Average pairs of images and of labels with the weights ``lam`` and 1 - ``lam``."""
    return lam * img_nchw + (1 - lam) * img_nchw[permutation], _mix_scores(score_nc, lam, permutation)


def cutmix(img_nchw: Tensor, score_nc: Tensor, lam: float, box: Box, permutation: Tensor) -> Mixed:
    """Put the box of the other image into each image; labels are averaged with the weights ``lam`` and 1 - ``lam``."""
    top, bottom, left, right = box
    mixed = img_nchw.clone()
    mixed[..., top:bottom, left:right] = img_nchw[permutation][..., top:bottom, left:right]
    return mixed, _mix_scores(score_nc, lam, permutation)


def resizemix(
    img_nchw: Tensor, score_nc: Tensor, lam: float, box: Box, permutation: Tensor, interpolation: str = 'bilinear'
) -> Mixed:
    """Put the whole other image, resized, into the box; labels are averaged as in :func:`cutmix`."""
    top, bottom, left, right = box
    mixed = img_nchw.clone()
    if bottom > top and right > left:
        size = (bottom - top, right - left)
        mixed[:, :, top:bottom, left:right] = F.interpolate(img_nchw[permutation], size=size, mode=interpolation)
    return mixed, _mix_scores(score_nc, lam, permutation)


def _mix_scores(score_nc: Tensor, lam: float, permutation: Tensor) -> Tensor:
    return lam * score_nc + (1 - lam) * score_nc[permutation]


class BatchAugment:
    """Base of the augmentations.

    Args:
        num_classes: C, for labels given as class indices.
        prob: How often it is chosen, 0 ... 1.

    Raises:
        ValueError: ``prob`` is outside 0 ... 1.
    """

    def __init__(self, num_classes: int, prob: float = 1.0) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'{type(self).__name__}: prob must be in 0 ... 1, not {prob!r}')
        self.num_classes = num_classes
        self.prob = prob

    def __call__(self, img_nchw: Tensor, gt_label: Tensor, rng: np.random.Generator) -> Mixed:
        """Augment a batch; the given tensors are not changed.

        Args:
            img_nchw: Images, float.
            gt_label: Class indices int64 ``(N,)``, or scores ``(N, C)``.
            rng: The only source of randomness.

        Returns:
            The images, and scores ``(N, C)`` of the images' type.
        """
        return self.mix(img_nchw, as_scores(gt_label, self.num_classes, img_nchw.dtype), rng)

    def mix(self, img_nchw: Tensor, score_nc: Tensor, rng: np.random.Generator) -> Mixed:
        """As :meth:`__call__`, with labels as scores."""
        raise NotImplementedError(f'{type(self).__name__} has no mix')


@BATCH_AUGMENTS.register_module()
class Identity(BatchAugment):
    """Images stay as they are; labels become scores.

    Args:
        num_classes: C.
        prob: How often it is chosen.
    """

    def mix(self, img_nchw: Tensor, score_nc: Tensor, rng: np.random.Generator) -> Mixed:
        """The arguments."""
        return img_nchw, score_nc


@BATCH_AUGMENTS.register_module()
class BatchMixup(BatchAugment):
    """Average pairs of images.

    "mixup: Beyond Empirical Risk Minimization" (Zhang et al., 2017, arXiv:1710.09412).

    Args:
        alpha: The weight of an image is drawn from Beta(alpha, alpha), once for the batch.
        num_classes: C.
        prob: How often it is chosen.

    Raises:
        ValueError: ``alpha`` is not positive.
    """

    def __init__(self, alpha: float, num_classes: int, prob: float = 1.0) -> None:
        super().__init__(num_classes, prob)
        if alpha <= 0:
            raise ValueError(f'{type(self).__name__}: alpha must be positive, not {alpha!r}')
        self.alpha = alpha

    def mix(self, img_nchw: Tensor, score_nc: Tensor, rng: np.random.Generator) -> Mixed:
        """See :func:`mixup`."""
        lam = self.draw_lam(rng)
        return mixup(img_nchw, score_nc, lam, draw_permutation(img_nchw, rng))

    def draw_lam(self, rng: np.random.Generator) -> float:
        """The weight of each image against the other, 0 ... 1."""
        return float(rng.beta(self.alpha, self.alpha))


@BATCH_AUGMENTS.register_module()
class BatchCutMix(BatchMixup):
    """Put a box of another image into each image.

    "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features" (Yun et al., 2019,
    arXiv:1905.04899).

    Args:
        alpha: The share of the image that stays is drawn from Beta(alpha, alpha).
        num_classes: C.
        prob: How often it is chosen.
        cutmix_minmax: Least and greatest length of the sides of the box, as shares of the image's sides; the box is
            then drawn uniformly and ``alpha`` is not used.
        correct_lam: Mix labels by the area that was really replaced, where the box is cut off by the border.
    """

    def __init__(
        self,
        alpha: float,
        num_classes: int,
        prob: float = 1.0,
        cutmix_minmax: Sequence[float] | None = None,
        correct_lam: bool = True,
    ) -> None:
        super().__init__(alpha, num_classes, prob)
        self.cutmix_minmax = cutmix_minmax
        self.correct_lam = correct_lam

    def mix(self, img_nchw: Tensor, score_nc: Tensor, rng: np.random.Generator) -> Mixed:
        """See :func:`cutmix`."""
        box, lam = self.draw_box(img_nchw.shape[-2:], self.draw_lam(rng), rng)
        return cutmix(img_nchw, score_nc, lam, box, draw_permutation(img_nchw, rng))

    def draw_box(self, size_hw: Sequence[int], lam: float, rng: np.random.Generator) -> tuple[Box, float]:
        """The box, of area 1 - ``lam`` before the border cuts it, and the share of the image that stays."""
        height, width = size_hw
        box = self._box_between(height, width, rng) if self.cutmix_minmax else _box_around(height, width, lam, rng)
        if self.correct_lam or self.cutmix_minmax:
            top, bottom, left, right = box
            lam = 1 - (bottom - top) * (right - left) / (height * width)
        return box, lam

    def _box_between(self, height: int, width: int, rng: np.random.Generator) -> Box:
        assert self.cutmix_minmax is not None
        least, greatest = self.cutmix_minmax
        cut_h, cut_w = (
            int(rng.integers(int(side * least), max(int(side * greatest), int(side * least) + 1)))
            for side in (height, width)
        )
        top, left = int(rng.integers(0, height - cut_h)), int(rng.integers(0, width - cut_w))
        return top, top + cut_h, left, left + cut_w


@BATCH_AUGMENTS.register_module()
class BatchResizeMix(BatchCutMix):
    """Put another image, made smaller, into each image.

    "ResizeMix: Mixing Data with Preserved Object Information and True Labels" (Qin et al., 2020, arXiv:2012.11101).

    Args:
        alpha: As in :class:`BatchCutMix`; the drawn share is mapped to ``lam_min`` ... ``lam_max``.
        num_classes: C.
        lam_min: Least share of the image that stays.
        lam_max: Greatest share of the image that stays.
        interpolation: How the other image is resized.
        prob: How often it is chosen.
        cutmix_minmax: As in :class:`BatchCutMix`.
        correct_lam: As in :class:`BatchCutMix`.
    """

    def __init__(
        self,
        alpha: float,
        num_classes: int,
        lam_min: float = 0.1,
        lam_max: float = 0.8,
        interpolation: Literal['nearest', 'bilinear', 'bicubic', 'area'] = 'bilinear',
        prob: float = 1.0,
        cutmix_minmax: Sequence[float] | None = None,
        correct_lam: bool = True,
    ) -> None:
        super().__init__(alpha, num_classes, prob, cutmix_minmax, correct_lam)
        self.lam_min = lam_min
        self.lam_max = lam_max
        self.interpolation = interpolation

    def draw_lam(self, rng: np.random.Generator) -> float:
        """The share of the image that stays, ``lam_min`` ... ``lam_max``."""
        return super().draw_lam(rng) * (self.lam_max - self.lam_min) + self.lam_min

    def mix(self, img_nchw: Tensor, score_nc: Tensor, rng: np.random.Generator) -> Mixed:
        """See :func:`resizemix`."""
        box, lam = self.draw_box(img_nchw.shape[-2:], self.draw_lam(rng), rng)
        permutation = draw_permutation(img_nchw, rng)
        return resizemix(img_nchw, score_nc, lam, box, permutation, self.interpolation)


class BatchAugments:
    """Chooses one of several augmentations for each batch, with their probabilities; what is left is Identity.

    Args:
        augments: Config node, or a list of them.
        task: Whose augmentations bare names mean.
        field: Where they stand, for messages.

    Raises:
        ValueError: The list is empty, or the probabilities add up to more than 1.
    """

    def __init__(
        self, augments: Mapping[str, Any] | Sequence[Mapping[str, Any]], task: str, field: str = 'train_cfg.augments'
    ) -> None:
        nodes = [augments] if isinstance(augments, Mapping) else list(augments)
        if not nodes:
            raise ValueError(f'{field} is an empty list; leave it out instead')
        self.field, registry = field, BATCH_AUGMENTS.of(task)
        self.augments: list[Any] = [registry.build(node) for node in nodes]
        rest = 1 - sum(augment.prob for augment in self.augments)
        if rest < -1e-6:
            raise ValueError(f'the prob of {field} add up to {1 - rest:.4g}, which is more than 1')
        if rest > 1e-6:
            self.augments.append(Identity(self.augments[0].num_classes, rest))
        total = sum(augment.prob for augment in self.augments)
        self._probabilities = [augment.prob / total for augment in self.augments]

    def __call__(self, img_nchw: Tensor, gt_label: Tensor, rng: np.random.Generator) -> Mixed:
        """Augment a batch; see :meth:`BatchAugment.__call__`."""
        chosen = self.augments[int(rng.choice(len(self.augments), p=self._probabilities))]
        return chosen(img_nchw, gt_label, rng)

    def check_classes(self, num_classes: int | None) -> None:
        """Raise a ValueError if an augmentation was made for another number of classes; None says nothing."""
        for augment in self.augments:
            if num_classes is not None and augment.num_classes != num_classes:
                raise ValueError(
                    f'{self.field}: {type(augment).__name__} has num_classes={augment.num_classes}, '
                    f'the head {num_classes}'
                )


def step_generator() -> np.random.Generator:
    """A generator that follows from torch's CPU generator, which the engine seeds at every step."""
    return np.random.default_rng(int(torch.randint(2**62, ())))


def draw_permutation(img_nchw: Tensor, rng: np.random.Generator) -> Tensor:
    """Which other image each image is mixed with."""
    return torch.from_numpy(rng.permutation(len(img_nchw))).to(img_nchw.device, non_blocking=True)


def _box_around(height: int, width: int, lam: float, rng: np.random.Generator) -> Box:
    """A box of the image's proportions and the area 1 - ``lam``, around a random pixel, cut off at the border."""
    ratio = (1 - lam) ** 0.5
    half_h, half_w = int(height * ratio) // 2, int(width * ratio) // 2
    y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
    return max(y - half_h, 0), min(y + half_h, height), max(x - half_w, 0), min(x + half_w, width)
