"""Images and masks in folders."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS, TRANSFORMS
from intarsia.data.dataset import BaseDataset, read_class_names
from intarsia.data.transforms.transform import Results
from intarsia.tasks.segmentation.transforms.load_annotations import IGNORED

Palette = Sequence[Sequence[int]]
"""R, G, B of every class."""


@DATASETS.register_module()
class CustomDataset(BaseDataset):
    """Images, and masks that have the same names but for the suffix.

    A mask gives each pixel its label: 0, 1, ... for the classes in their order, ``ignore_index`` for what counts for
    nothing. Of ``img_dir``, ``ann_dir`` and ``split`` several may be given, as lists of one length: the images of all
    of them, one after the other, are the data set.

    Args:
        pipeline: Transform nodes or callables.
        img_dir: Folder of the images; those in folders below belong to it.
        img_suffix: How their names end, one ending or several.
        ann_dir: Folder of the masks.
        seg_map_suffix: How their names end.
        split: File with one name a line, without suffix; without it all images in ``img_dir`` are taken.
        data_root: Folder that relative paths start from.
        test_mode: For validation and testing.
        ignore_index: Label that counts for nothing.
        reduce_zero_label: Label 0 is ignored, label 1 is the first class, and so on.
        classes: Class names, or a file with one a line; None takes those of the class. If the class has names of its
            own, these are some of them, and labels of the others are ignored.
        palette: R, G, B of every class; None takes those of the class, or invents some.
        color_coded: Masks hold the colours of ``palette`` instead of labels; other colours are ignored.
        gt_seg_map_loader_cfg: Arguments of the ``LoadAnnotations`` that reads masks for evaluation.
        file_client_args: ``dict(backend='disk')`` or None; files are read from disk.

    Raises:
        DataError: Files are missing, or there are no images.
        ValueError: Arguments contradict each other.
    """

    PALETTE: Palette | None = None
    """Colours of the classes in pictures, R, G, B."""

    def __init__(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        img_dir: str | Sequence[str],
        img_suffix: str | Sequence[str] = '.jpg',
        ann_dir: str | Sequence[str] | None = None,
        seg_map_suffix: str = '.png',
        split: str | Sequence[str] | None = None,
        data_root: str | None = None,
        test_mode: bool = False,
        ignore_index: int = 255,
        reduce_zero_label: bool = False,
        classes: str | Sequence[str] | None = None,
        palette: Palette | None = None,
        color_coded: bool = False,
        gt_seg_map_loader_cfg: Mapping[str, Any] | None = None,
        file_client_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.data_root = data_root
        self.img_dir, self.ann_dir, self.split = map(self._below_root, (img_dir, ann_dir, split))
        self.img_suffix = img_suffix
        self.seg_map_suffix = seg_map_suffix
        self.ignore_index = ignore_index
        self.reduce_zero_label = reduce_zero_label
        self.color_coded = color_coded
        self.label_map: dict[int, int] | None = None
        self.CLASSES, self.PALETTE = self.get_classes_and_palette(classes, palette)
        if test_mode and self.CLASSES is None:
            raise ValueError(f'{type(self).__name__} needs classes, the names of the labels in their order')
        if color_coded and self.PALETTE is None:
            raise ValueError(f'{type(self).__name__}: color_coded masks need palette, R, G, B of every class')
        loader = {'file_client_args': file_client_args, **(gt_seg_map_loader_cfg or {}), 'type': 'LoadAnnotations'}
        self.gt_seg_map_loader = TRANSFORMS.of('segmentation').build(loader)
        super().__init__(pipeline, test_mode, task='segmentation')

    # ---------------------------------------------------------------------- classes and colours

    def get_classes_and_palette(
        self, classes: str | Sequence[str] | None = None, palette: Palette | None = None
    ) -> tuple[Sequence[str] | None, Palette | None]:
        """Names and colours; notes in ``label_map`` what becomes of labels if they are some of the class's own.

        Raises:
            ValueError: A name is none of the class's own.
        """
        if classes is None:
            names = self.CLASSES
            return names, palette or self.PALETTE or (invented_palette(len(names)) if names else None)
        chosen = read_class_names(classes)
        if self.CLASSES:
            foreign = [name for name in chosen if name not in self.CLASSES]
            if foreign:
                raise ValueError(f'{type(self).__name__} has no classes {", ".join(foreign)}, but {self.CLASSES}')
            self.label_map = {i: chosen.index(n) if n in chosen else -1 for i, n in enumerate(self.CLASSES)}
        return chosen, self.get_palette_for_custom_classes(chosen, palette)

    def get_palette_for_custom_classes(self, class_names: Sequence[str], palette: Palette | None = None) -> Palette:
        """Colours for these classes: those given, those of the class, or invented ones."""
        if palette is not None:
            if len(palette) != len(class_names):
                raise ValueError(f'{len(palette)} colours for {len(class_names)} classes')
            return palette
        if self.PALETTE is None:
            return invented_palette(len(class_names))
        own = dict(zip(self.CLASSES or (), self.PALETTE, strict=True))
        return [own[name] for name in class_names] if own else self.PALETTE

    # ---------------------------------------------------------------------- files

    def load_annotations(self) -> list[dict[str, Any]]:
        """One row an image: the names of its files and their folders."""
        rows = [row for part in self._parts() for row in self._rows_of(*part)]
        if not rows:
            raise DataError(f'{type(self).__name__}: there are no images in {self.split or self.img_dir}')
        return rows

    def _below_root(self, path: str | Sequence[str] | None) -> Any:
        if path is None or isinstance(path, str):
            return path if path is None or self.data_root is None else os.path.join(self.data_root, path)
        return [self._below_root(each) for each in path]

    def _parts(self) -> Iterator[tuple[str, str | None, str | None]]:
        """``(img_dir, ann_dir, split)`` of each part of the data set."""
        given = {'img_dir': self.img_dir, 'ann_dir': self.ann_dir, 'split': self.split}
        lengths = {name: len(value) for name, value in given.items() if isinstance(value, list)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f'{type(self).__name__}: lists of different lengths: {lengths}')
        count = next(iter(lengths.values()), 1)
        lists = (v if isinstance(v, list) else itertools.repeat(v, count) for v in given.values())
        return zip(*lists, strict=True)

    def _rows_of(self, img_dir: str, ann_dir: str | None, split: str | None) -> Iterator[dict[str, Any]]:
        if not os.path.isdir(img_dir):
            raise DataError(
                f'{type(self).__name__}: there is no folder {os.path.abspath(img_dir)}. Nothing is downloaded; put the '
                'images there, or point data_root and img_dir to them.'
            )
        names = self._listed(split) if split is not None else self._found(img_dir)
        for stem, suffix in names:
            row: dict[str, Any] = {'img_prefix': img_dir, 'img_info': {'filename': stem + suffix}}
            if ann_dir is not None:
                row |= {'seg_prefix': ann_dir, 'ann_info': {'seg_map': stem + self.seg_map_suffix}}
            yield row

    def _listed(self, split: str) -> Iterator[tuple[str, str]]:
        """Names in a split file, and the suffix."""
        if not os.path.isfile(split):
            raise DataError(f'{type(self).__name__}: there is no split file {os.path.abspath(split)}')
        if not isinstance(self.img_suffix, str):
            raise ValueError(f'{type(self).__name__}: with split, img_suffix is one ending, not {self.img_suffix}')
        for line in Path(split).read_text(encoding='utf-8').splitlines():
            if line.strip():
                yield line.strip(), self.img_suffix

    def _found(self, img_dir: str) -> list[tuple[str, str]]:
        """Names of images in a folder and below, in order, each split into stem and suffix."""
        suffixes = [self.img_suffix] if isinstance(self.img_suffix, str) else list(self.img_suffix)
        names = sorted(
            os.path.relpath(os.path.join(where, name), img_dir)
            for where, _, files in os.walk(img_dir, followlinks=True)
            for name in files
            if not name.startswith('.')
        )
        found = [(n[: -len(s)], s) for n in names for s in [next((s for s in suffixes if n.endswith(s)), '')] if s]
        if names and not found:
            raise DataError(
                f'{type(self).__name__}: none of the {len(names)} files in {img_dir} ends with '
                f'{" or ".join(suffixes)} (img_suffix); the first one is {names[0]}'
            )
        return found

    # ---------------------------------------------------------------------- samples

    def prepare(self, index: int) -> Results:
        """The names of a sample's files, and how the labels of its mask are to be read."""
        results = {'seg_fields': [], 'reduce_zero_label': self.reduce_zero_label, **super().prepare(index)}
        if self.label_map is not None:
            results['label_map'] = self._label_map_of_files()
        if self.color_coded:
            results['mask_colors'] = self.PALETTE
        return results

    def _label_map_of_files(self) -> dict[int, int]:
        """``label_map`` for labels as the files have them, before they are reduced."""
        first, ignored = (1, IGNORED) if self.reduce_zero_label else (0, self.ignore_index)
        return {old + first: ignored if new == -1 else new + first for old, new in (self.label_map or {}).items()}

    def get_ann_info(self, index: int) -> dict[str, Any]:
        """``{'seg_map': name}`` of a sample's mask.

        Raises:
            DataError: The data set has no masks.
        """
        row = self.annotations[index]
        if 'ann_info' not in row:
            raise DataError(f'{type(self).__name__} has no masks: it has no ann_dir')
        return row['ann_info']

    def get_gt_seg_map_by_idx(self, index: int) -> np.ndarray:
        """The mask of a sample, uint8 ``(H, W)``: colours decoded and labels mapped, but **not** reduced.

        Evaluation reduces it if the data set says ``reduce_zero_label``, as it did in the older toolboxes.
        """
        results = {**self.prepare(index), 'reduce_zero_label': False}
        return self.gt_seg_map_loader(results, np.random.default_rng(0))['gt_semantic_seg']

    def get_gt_seg_maps(self) -> Iterator[np.ndarray]:
        """All masks, one after the other."""
        return map(self.get_gt_seg_map_by_idx, range(len(self)))

    def describe(self, index: int) -> str:
        """The path of the image."""
        row = self.annotations[index]
        return os.path.join(row['img_prefix'], row['img_info']['filename'])


def invented_palette(num_classes: int) -> list[list[int]]:
    """Colours for classes that have none; the same ones every time."""
    return np.random.RandomState(42).randint(0, 255, size=(num_classes, 3)).tolist()
