"""Images in folders: one folder a class, or a list file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.classification.datasets.base import ClassificationDataset

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


@DATASETS.register_module()
class CustomDataset(ClassificationDataset):
    """Images of your own, laid out in one of two ways.

    Without ``ann_file`` every folder below ``data_prefix`` is a class, in the order of names, and all images in it and
    below belong to it. With ``ann_file`` each line is ``relative/path label``.

    Args:
        data_prefix: Folder of the images.
        pipeline: Transform nodes or callables.
        classes: Class names, or a file with one a line; None takes the names of the folders.
        ann_file: List file; a relative path that does not exist is tried below ``data_prefix``.
        extensions: Endings of image files, in lower case.
        test_mode: For validation and testing.

    Raises:
        DataError: The folder or the list is missing, empty or broken; or a class has no images.
    """

    def __init__(
        self,
        data_prefix: str = '',
        pipeline: Sequence[Mapping[str, Any]] = (),
        classes: str | Sequence[str] | None = None,
        ann_file: str | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        test_mode: bool = False,
    ) -> None:
        self.extensions = tuple(e.lower() for e in extensions)
        super().__init__(data_prefix, pipeline, classes, ann_file, test_mode)

    def load_annotations(self) -> list[dict[str, Any]]:
        """Walk the folders, or read the list."""
        samples = self._from_folders() if self.ann_file is None else self._from_list(self.ann_file)
        return [
            {'img_prefix': self.data_prefix, 'img_info': {'filename': name}, 'gt_label': np.int64(label)}
            for name, label in samples
        ]

    def _from_folders(self) -> list[tuple[str, int]]:
        root = Path(self.data_prefix)
        if not root.is_dir():
            raise DataError(f'{type(self).__name__}: there is no folder {root.absolute()}')
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        if self.CLASSES is None:
            self.CLASSES = folders
        elif len(self.CLASSES) < len(folders):
            raise DataError(f'{root} has {len(folders)} folders, but there are {len(self.CLASSES)} classes')
        samples, empty = [], []
        for label, folder in enumerate(folders):
            found = sorted(self._images_below(root / folder))
            samples += [(f'{folder}/{name}', label) for name in found]
            empty += [folder] if not found else []
        if empty:
            endings = ', '.join(self.extensions)
            raise DataError(f'no images ({endings}) in {len(empty)} folders of {root}: {", ".join(empty[:10])}')
        return samples

    def _images_below(self, folder: Path) -> list[str]:
        return [
            os.path.relpath(os.path.join(where, name), folder)
            for where, _, names in os.walk(folder, followlinks=True)
            for name in names
            if name.lower().endswith(self.extensions)
        ]

    def _from_list(self, ann_file: str) -> list[tuple[str, int]]:
        file = Path(ann_file).expanduser()
        if not file.is_file() and (Path(self.data_prefix) / file).is_file():
            file = Path(self.data_prefix) / file
        if not file.is_file():
            raise DataError(f'{type(self).__name__}: there is no list file {file}')
        samples = []
        for number, line in enumerate(file.read_text(encoding='utf-8').splitlines(), 1):
            if not line.strip():
                continue
            name, _, label = line.strip().rpartition(' ')
            if not name or not label.isdigit():
                raise DataError(f"{file}:{number}: a line is 'relative/path label', not {line!r}")
            samples.append((name, int(label)))
        return samples


@DATASETS.register_module()
class ImageNet(CustomDataset):
    """ImageNet-1k (Russakovsky et al., 2015, arXiv:1409.0575): folders by synset, or a list file.

    The class names are known unless ``classes`` gives others. Arguments as :class:`CustomDataset`.
    """

    NUM_CLASSES = 1000
    CLASSES_FILE = Path(__file__).with_name('imagenet_classes.txt')

    @classmethod
    def get_classes(cls, classes: str | Sequence[str] | None = None) -> Sequence[str] | None:
        """The thousand names, or those given."""
        return super().get_classes(str(cls.CLASSES_FILE) if classes is None else classes)
