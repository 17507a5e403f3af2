"""Images in folders: one folder a class, or a list file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.tasks.classification.datasets.base import ClassificationDataset

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


@DATASETS.register_module()
class CustomDataset(ClassificationDataset):
    """Images of your own, laid out in one of two ways.

    Without ``ann_file`` every folder in ``data_prefix`` is a class, in the order of names, and all images in it and
    below belong to it; names that begin with a dot are left out. With ``ann_file`` each line of that file is
    ``relative/path label``.

    Args:
        data_prefix: Folder of the images.
        pipeline: Transform nodes or callables.
        classes: Class names, or a file with one a line; None takes the names of the folders.
        ann_file: List file; a relative path that does not exist is tried below ``data_prefix``.
        extensions: Endings of image files, in lower case.
        test_mode: For validation and testing.

    Raises:
        DataError: The folder or the list is missing, empty or broken, or does not fit the classes.
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
            {'img_prefix': self.data_prefix, 'img_info': {'filename': name}, 'gt_label': label}
            for name, label in samples
        ]

    def _from_folders(self) -> list[tuple[str, int]]:
        root = Path(self.data_prefix)
        if not root.is_dir():
            raise DataError(
                f'{type(self).__name__}: there is no folder {root.absolute()}. Nothing is downloaded; '
                'put the images there, one folder a class, or point data_prefix to them.'
            )
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and entry.name[0] != '.')
        self.CLASSES = self._named(folders, root)
        found = {folder: sorted(self._images_below(root / folder)) for folder in folders}
        empty = [folder for folder, names in found.items() if not names]
        if empty:
            text = f'no images ({", ".join(self.extensions)}) in {len(empty)} of the {len(folders)} folders of {root}'
            if len(empty) == len(folders):
                raise DataError(f'{type(self).__name__}: {text}')
            warnings.warn(f'{text}: {", ".join(empty[:10])}', stacklevel=2)
        return [(f'{folder}/{name}', label) for label, folder in enumerate(folders) for name in found[folder]]

    def _named(self, folders: list[str], root: Path) -> Sequence[str]:
        """The names of the classes, one for each folder."""
        if self.CLASSES is None:
            return folders
        if len(self.CLASSES) != len(folders):
            raise DataError(
                f'{type(self).__name__}: there are {len(self.CLASSES)} classes, but {root} has {len(folders)} folders'
            )
        if set(self.CLASSES) == set(folders) and list(self.CLASSES) != folders:
            warnings.warn(
                f'classes are in another order than the folders of {root}: labels follow the folders, '
                f'so that {folders[0]} is called {self.CLASSES[0]}',
                stacklevel=2,
            )
        return self.CLASSES

    def _images_below(self, folder: Path) -> list[str]:
        return [
            os.path.relpath(os.path.join(where, name), folder)
            for where, _, names in os.walk(folder, followlinks=True)
            for name in names
            if name.lower().endswith(self.extensions) and name[0] != '.'
        ]

    def _from_list(self, ann_file: str) -> list[tuple[str, int]]:
        file = Path(ann_file).expanduser()
        if not file.is_file() and (Path(self.data_prefix) / file).is_file():
            file = Path(self.data_prefix) / file
        if not file.is_file():
            raise DataError(
                f"{type(self).__name__}: there is no list file {file.absolute()}; its lines are 'relative/path label'"
            )
        samples = []
        for number, line in enumerate(file.read_text(encoding='utf-8').splitlines(), 1):
            if not line.strip():
                continue
            name, _, label = line.strip().rpartition(' ')
            if not name or not label.isdecimal():
                raise DataError(f"{file}:{number}: a line is 'relative/path label', not {line!r}")
            if self.CLASSES is not None and int(label) >= len(self.CLASSES):
                raise DataError(f'{file}:{number}: the label {label} is none of the {len(self.CLASSES)} classes')
            samples.append((name, int(label)))
        return samples


@DATASETS.register_module()
class ImageNet(CustomDataset):
    """ImageNet-1k (Russakovsky et al., 2015, arXiv:1409.0575): one folder a synset, or a list file.

    The class names are known unless ``classes`` gives others. Arguments as :class:`CustomDataset`.
    """

    NUM_CLASSES = 1000
    CLASSES = tuple(Path(__file__).with_name('imagenet_classes.txt').read_text(encoding='utf-8').splitlines())
