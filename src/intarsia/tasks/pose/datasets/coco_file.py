"""Annotation files in the format of COCO, read without pycocotools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intarsia.core.errors import DataError

Annotation = Mapping[str, Any]


@dataclass(frozen=True)
class CocoFile:
    """What an annotation file holds.

    Attributes:
        path: The file.
        images: By id, in the order of the file: ``file_name``, ``width``, ``height``.
        annotations: All of them, in the order of the file.
        categories: Kinds of things.
    """

    path: str
    images: dict[Any, Mapping[str, Any]]
    annotations: Sequence[Annotation]
    categories: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, path: str | Path) -> CocoFile:
        """Read a file.

        Raises:
            DataError: It is missing, is not JSON, or holds something else.
        """
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get('images'), list):
            keys = ', '.join(content) if isinstance(content, dict) else type(content).__name__
            raise DataError(f"{path} is not in COCO's format: it has no list 'images', but {keys}")
        images = {}
        for i, image in enumerate(content['images']):
            if 'id' not in image or 'file_name' not in image:
                raise DataError(f"{path}: image {i} has no 'id' or no 'file_name', but {', '.join(image)}")
            images[image['id']] = image
        return cls(str(path), images, content.get('annotations', ()), content.get('categories', ()))

    def by_image(self) -> dict[Any, list[Annotation]]:
        """The annotations of every image, those without image left out."""
        groups: dict[Any, list[Annotation]] = {image_id: [] for image_id in self.images}
        for annotation in self.annotations:
            group = groups.get(annotation.get('image_id'))
            if group is not None:
                group.append(annotation)
        return groups


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: It is missing, or is not JSON.
    """
    file = Path(path).expanduser()
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f'annotation file {file.absolute()} cannot be read: {error.strerror or error}') from error
    except ValueError as error:
        raise DataError(f'annotation file {file.absolute()} is not JSON: {error}') from error
