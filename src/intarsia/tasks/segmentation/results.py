"""The prediction for one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """The prediction for one image.

    Attributes:
        mask: Class of every pixel, 0 ... C-1, at the size of the original image: uint8 ``(H, W)``, or int32 with more
            than 256 classes.
        classes: Names of the classes, if the model knows them.
        palette: Colour of every class, RGB, if the model knows them.
    """

    mask: np.ndarray
    classes: Sequence[str] | None = None
    palette: Sequence[Sequence[int]] | None = None

    def shares(self) -> dict[int, float]:
        """Part of the image that each predicted class covers, 0 ... 1, the largest first."""
        labels, counts = np.unique(self.mask, return_counts=True)
        order = np.argsort(-counts, kind='stable')
        return {int(labels[i]): float(counts[i] / self.mask.size) for i in order}

    def name(self, label: int) -> str:
        """The name of a class; its number if the names are not known."""
        return str(self.classes[label]) if self.classes is not None else str(label)

    def __str__(self) -> str:
        """``background 59 %, cytoplasm 35 %, nucleus 6 %``."""
        return ', '.join(f'{self.name(label)} {100 * share:.0f} %' for label, share in self.shares().items())

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values, for JSON: the size, and what each class covers. The mask itself is a picture."""
        return {
            'height': self.mask.shape[0],
            'width': self.mask.shape[1],
            'shares': {self.name(label): share for label, share in self.shares().items()},
        }
