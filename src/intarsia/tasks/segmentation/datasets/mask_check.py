"""Are the masks what the classes say? Asked before training, as wrong labels end in an IoU of nan hours later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from intarsia.core.errors import DataError, Problem
from intarsia.data.io.image import read_image
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results
from intarsia.tasks.segmentation.datasets.custom import CustomDataset
from intarsia.tasks.segmentation.transforms.load_annotations import LoadAnnotations, color_codes, mask_path

CODE = 'bad-mask'
SHOWN = 5
"""So many files or values of a kind are named; the others are counted."""
TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


def check_masks(dataset: Any, limit: int = 50) -> list[Problem]:
    """Look at masks, and say what is wrong with them.

    Masks that are missing, that have channels, whose size is not that of the image, whose labels (or colours) are none
    of the classes, or that hold no class at all; labels that are reduced by mistake.

    Args:
        dataset: A :class:`CustomDataset`, or data sets made of such ones; others pass.
        limit: Most masks that are read of each data set, evenly spread over it.

    Returns:
        The problems, with the file of the first mask that shows each.
    """
    if isinstance(dataset, CustomDataset):
        return list(_problems_of(dataset, limit))
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [problem for each in inner if each is not None for problem in check_masks(each, limit)]


def _problems_of(dataset: CustomDataset, limit: int) -> Iterator[Problem]:
    count = min(len(dataset), limit)
    indices = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    samples = [dataset.prepare(index) for index in indices]
    if any('ann_info' not in sample for sample in samples):
        return
    loader = _loader_of(dataset)
    yield from _check_reduction(dataset, loader)
    present = [sample for sample in samples if Path(mask_path(sample)).is_file()]
    missing = [mask_path(sample) for sample in samples if sample not in present]
    if missing:
        others = f' (and {len(missing) - 1} more of {count})' if len(missing) > 1 else ''
        yield Problem('missing-file', f'an image has no mask: {missing[0]} does not exist{others}.', file=missing[0])
    census = Census(dataset, loader)
    for sample in present:
        try:
            census.add(sample)
        except DataError as error:
            yield Problem(CODE, f'{error}', file=mask_path(sample))
            return  # whatever is wrong with the format is wrong with all of them
    yield from census.problems()


def _loader_of(dataset: CustomDataset) -> LoadAnnotations:
    """The step that reads masks for training; that of the evaluation if there is none."""
    steps = (step for step in dataset.pipeline.transforms if isinstance(step, LoadAnnotations))
    return next(steps, dataset.gt_seg_map_loader)


def _check_reduction(dataset: CustomDataset, loader: LoadAnnotations) -> Iterator[Problem]:
    own = loader.reduce_zero_label
    if own is not None and own != dataset.reduce_zero_label:
        yield Problem(
            CODE,
            f'LoadAnnotations has reduce_zero_label={own}, but the data set {dataset.reduce_zero_label}: training and '
            'evaluation would read different labels. Leave it out of LoadAnnotations, and set it in the data set.',
        )


class Census:
    """Counts what masks hold.

    Args:
        dataset: Knows the classes.
        loader: Reads the masks.
    """

    def __init__(self, dataset: CustomDataset, loader: LoadAnnotations) -> None:
        self.dataset = dataset
        self.loader = loader
        self.num_classes = len(dataset.CLASSES or ())
        self.num_masks = 0
        self.pixels = np.zeros(256, np.int64)
        """Of every label, as training sees them."""
        self.stored = np.zeros(256, np.int64)
        """Of every label, as files have them."""
        self.masks: Counter[int] = Counter()
        self.first: dict[int, str] = {}
        self.sizes: dict[str, str] = {}
        """What is said of every mask whose size is not that of its image."""
        self.foreign_colors: Counter[int] = Counter()
        self.first_foreign: str | None = None

    def add(self, sample: Results) -> None:
        """Read a mask and count its labels.

        Raises:
            DataError: It cannot be read, or is no mask.
        """
        path = mask_path(sample)
        stored = self.loader.read(sample)
        labels = self.loader.labels_of(sample, stored)
        counts = np.bincount(labels.reshape(-1), minlength=256)
        self.stored += np.bincount(stored.reshape(-1), minlength=256)
        self.pixels += counts
        self.num_masks += 1
        for label in np.flatnonzero(counts).tolist():
            self.masks[label] += 1
            self.first.setdefault(label, path)
        if self.dataset.color_coded:
            self._add_colors(path)
        size = _size_of_image(sample, stored)
        if size != stored.shape:
            height, width = stored.shape
            self.sizes[path] = f'{path} is {height}x{width}, its image {size[0]}x{size[1]} (height x width)'

    def problems(self) -> Iterator[Problem]:
        """What is wrong, all masks seen together."""
        if self.sizes:
            others = f' (and {len(self.sizes) - 1} more of {self.num_masks})' if len(self.sizes) > 1 else ''
            path, sentence = next(iter(self.sizes.items()))
            yield Problem(CODE, f'a mask and its image have different sizes: {sentence}{others}.', file=path)
        if self.foreign_colors:
            yield Problem(CODE, self._sentence_on_colors(), file=self.first_foreign)
        if not self.num_classes or not self.num_masks:
            return
        seen = np.flatnonzero(self.pixels).tolist()
        foreign = [label for label in seen if label >= self.num_classes and label != self.dataset.ignore_index]
        if foreign:
            yield Problem(CODE, self._sentence_on_labels(foreign, seen), file=self.first[foreign[0]])
        elif not any(label < self.num_classes for label in seen):
            yield Problem(CODE, f'none of {self.num_masks} masks shows any class: every pixel is ignored.')
        elif self._is_binary_in_grey(seen):
            message = f'{self.num_masks} masks hold 0 and 255 only, and 255 is ignored: save the second class as 1.'
            yield Problem(CODE, message, file=self.first[255])
        elif self._loses_a_class():
            message = (
                f'reduce_zero_label ignores label 0, but masks have the labels 0 ... {self.num_classes - 1} for '
                f'{self.num_classes} classes, so that {self.dataset.CLASSES[0]!r} is lost: set reduce_zero_label=False.'  # type: ignore[index]
            )
            yield Problem(CODE, message, file=next(iter(self.first.values())))

    def _sentence_on_labels(self, foreign: list[int], seen: list[int]) -> str:
        named = [
            f'{label} ({_pixels(self.pixels[label])} in {self.masks[label]} of {self.num_masks} masks)'
            for label in foreign[:SHOWN]
        ]
        more = f' and {len(foreign) - SHOWN} more' if len(foreign) > SHOWN else ''
        return (
            f'labels of {self.num_classes} classes are 0 ... {self.num_classes - 1} (and {self.dataset.ignore_index}, '
            f'which is ignored), but masks hold {", ".join(named)}{more}.{self._guess(foreign, seen)}'
        )

    def _guess(self, foreign: list[int], seen: list[int]) -> str:
        """What was probably meant by labels that are none of the classes."""
        if foreign == [self.num_classes] and not self.dataset.reduce_zero_label:
            if self.pixels[0] == 0:
                return ' No pixel has label 0: do labels begin with 1? Then set reduce_zero_label=True.'
            return (
                ' Either a class is missing in classes (the background?), or label 0 is to be ignored: '
                'reduce_zero_label=True.'
            )
        if len(seen) <= self.num_classes + 1 and min(foreign) - self.num_classes > 8:
            return ' They look like grey levels, not like numbers of classes: number the classes 0, 1, 2, ...'
        if len(seen) > 64 and len(seen) > 2 * self.num_classes:
            return ' So many labels are rather a picture, or a mask that was saved as JPEG or resized smoothly.'
        return ' A label that counts for nothing is set by ignore_index.'

    def _is_binary_in_grey(self, seen: list[int]) -> bool:
        return seen == [0, 255] and self.num_classes == 2 and self.dataset.ignore_index == 255

    def _loses_a_class(self) -> bool:
        """Whether labels are reduced that were right as they are."""
        labels = np.flatnonzero(self.stored[:255]).tolist()
        return self.dataset.reduce_zero_label and labels == list(range(self.num_classes))

    def _add_colors(self, path: str) -> None:
        stored = read_image(path, 'unchanged', backend=self.loader.imdecode_backend)
        if stored.ndim != 3 or stored.shape[2] < 3:
            return
        known = {r << 16 | g << 8 | b for r, g, b in self.dataset.PALETTE or ()}
        codes, counts = np.unique(color_codes(stored), return_counts=True)
        foreign = {c: n for c, n in zip(codes.tolist(), counts.tolist(), strict=True) if c not in known}
        if foreign and self.first_foreign is None:
            self.first_foreign = path
        self.foreign_colors.update(foreign)

    def _sentence_on_colors(self) -> str:
        named = [f'{_rgb(code)} ({_pixels(n)})' for code, n in self.foreign_colors.most_common(SHOWN)]
        more = f' and {len(self.foreign_colors) - SHOWN} more' if len(self.foreign_colors) > SHOWN else ''
        guess = ' So many colours come from JPEG or from smooth resizing.' if len(self.foreign_colors) > 256 else ''
        return f'colours (R, G, B) of masks are not in the palette: {", ".join(named)}{more}.{guess}'


def _pixels(count: int) -> str:
    return '1 pixel' if count == 1 else f'{count:,} pixels'


def _rgb(code: int) -> str:
    return str((code >> 16, code >> 8 & 255, code & 255))


def _size_of_image(sample: Results, mask: Array) -> tuple[int, int]:
    """``(height, width)`` of a sample's image, from its header if that agrees with the mask."""
    path = Path(sample['img_prefix'] or '', sample['img_info']['filename'])
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if picture.getexif().get(0x0112) in TURNED:
                width, height = height, width
    except (UnidentifiedImageError, OSError):
        return mask.shape[0], mask.shape[1]  # whether it can be read is for the loading step to say
    return height, width
