"""Predicting images and drawing the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intarsia.api.models import load_model
from intarsia.api.tasks import find_task, ready
from intarsia.config.file import ConfigFile
from intarsia.core.errors import DataError
from intarsia.data.io.image import read_image, write_image

IMAGE_SUFFIXES = frozenset({'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm'})


@dataclass(frozen=True)
class Answer:
    """What was found in an image.

    Attributes:
        file: The image.
        output: The picture that shows the result.
        result: The task's result; ``str()`` of it is a short text for people.
    """

    file: Path
    output: Path
    result: Any

    def as_dict(self) -> dict[str, Any]:
        """``file``, ``output`` and ``result`` as JSON types."""
        return {'file': str(self.file), 'output': str(self.output), 'result': self.result.as_dict()}


def predict(
    config: ConfigFile,
    checkpoint: str | Path,
    images: Sequence[str | Path],
    out_dir: str | Path = 'predictions',
    *,
    device: str | None = None,
) -> list[Answer]:
    """Predict images and write a picture with the answer for each.

    Args:
        config: As read.
        checkpoint: Weights.
        images: Files, or folders whose images are taken.
        out_dir: Folder of the pictures.
        device: Where to predict.

    Returns:
        One answer for every image, in order.

    Raises:
        ConfigError: The config has mistakes.
        CheckpointError: The checkpoint is missing, broken or does not fit.
        DataError: An image is missing or broken, or there is none.
    """
    files = find_images(images)
    model = load_model(ready(config, files=False), checkpoint, device=device)
    task = find_task(config.values['model'], config.values.get('task'))
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    answers = []
    for file, result in zip(files, model.predict(files), strict=True):
        output = folder / f'{file.stem}.png'
        write_image(task.draw(read_image(file), result), output)
        answers.append(Answer(file, output, result))
    return answers


def find_images(images: Sequence[str | Path]) -> list[Path]:
    """The files, and the images in the folders, that a command line names."""
    found: list[Path] = []
    for each in map(Path, images):
        if each.is_dir():
            found += sorted(f for f in each.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
        elif each.is_file():
            found.append(each)
        else:
            raise DataError(f'there is no image {each}')
    if not found:
        raise DataError(f'there are no images in {", ".join(map(str, images))}')
    return found
