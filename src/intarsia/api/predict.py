"""Predicting images and videos, and drawing the answers."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intarsia.api.models import load_model
from intarsia.api.tasks import FileTask, Task, find_task, ready
from intarsia.config.file import ConfigFile
from intarsia.core.errors import DataError
from intarsia.data.io.image import read_image, write_image
from intarsia.data.io.video import VIDEO_SUFFIXES, VideoReader, VideoWriter, in_batches

IMAGE_SUFFIXES = frozenset({'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm'})

IMAGES_AT_ONCE, FILES_AT_ONCE = 32, 4
"""Go through the network together, unless the caller says."""


@dataclass(frozen=True)
class Answer:
    """What was found in an image or a video.

    Attributes:
        file: The image, or the video.
        output: The picture, or the video, that shows the result.
        result: The task's result, for a video one for every frame; ``str()`` of it is a short text for people.
    """

    file: Path
    output: Path
    result: Any

    def as_dict(self) -> dict[str, Any]:
        """``file``, ``output`` and ``result`` as JSON types."""
        return {'file': str(self.file), 'output': str(self.output), 'result': self.result.as_dict()}


@dataclass(frozen=True)
class FrameResults:
    """The results for the frames of a video, in order."""

    frames: Sequence[Any]

    def __str__(self) -> str:
        """``120 frames``."""
        return f'{len(self.frames)} frames'

    def as_dict(self) -> dict[str, Any]:
        """``frames``: the results as JSON types."""
        return {'frames': [result.as_dict() for result in self.frames]}


def predict(
    config: ConfigFile,
    checkpoint: str | Path,
    images: Sequence[str | Path],
    out_dir: str | Path = 'predictions',
    *,
    device: str | None = None,
    boxes: str | Path | None = None,
    batch_size: int | None = None,
) -> list[Answer]:
    """Predict images and videos, and write a picture or a video with the answer for each.

    Args:
        config: As read.
        checkpoint: Weights.
        images: Files, or folders whose images are taken.
        out_dir: Folder of the pictures.
        device: Where to predict.
        boxes: A JSON file with what to look at, for models that look at boxes: ``{file name: [[x, y, width, height,
            score], ...]}``; for a video a list of such lists, one for every frame.
        batch_size: How many images, or files of a task that looks at whole files, go through the network at once; by
            default 32 images, 4 files.

    Returns:
        One answer for every file, in order.

    Raises:
        ConfigError: The config has mistakes.
        CheckpointError: The checkpoint is missing, broken or does not fit.
        DataError: An image is missing or broken, or there is none; the boxes cannot be read, or the model takes none.
    """
    task = find_task(config.values['model'], config.values.get('task'))
    files = find_files(images, task.suffixes if isinstance(task, FileTask) else IMAGE_SUFFIXES | VIDEO_SUFFIXES)
    boxes_by_name = None if boxes is None else read_boxes(boxes, files)
    model = load_model(ready(config, files=False), checkpoint, device=device)
    if boxes_by_name is not None and 'boxes' not in inspect.signature(model.predict).parameters:
        raise DataError(f'{type(model).__name__} looks at whole images and takes no boxes')
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(task, FileTask):
        results = model.predict(files, batch_size=batch_size or FILES_AT_ONCE)
        return [Answer(file, task.show(file, r, folder), r) for file, r in zip(files, results, strict=True)]
    job = Job(model, task, boxes_by_name, batch_size or IMAGES_AT_ONCE)
    answers = []
    for is_video, group in itertools.groupby(files, key=_is_video):
        same = list(group)
        answers += [job.video(file, folder) for file in same] if is_video else job.images(same, folder)
    return answers


@dataclass(frozen=True)
class Job:
    """Predicts and draws.

    Attributes:
        model: Ready to predict.
        task: Draws results.
        boxes: Boxes by name of the file, or None.
        batch_size: How many images go through the network at once.
    """

    model: Any
    task: Task
    boxes: Mapping[str, Any] | None
    batch_size: int

    def images(self, files: Sequence[Path], folder: Path) -> list[Answer]:
        """The answers for images, each with its picture."""
        given = {} if self.boxes is None else {'boxes': [self.boxes[file.name] for file in files]}
        answers = []
        for file, result in zip(files, self.model.predict(files, batch_size=self.batch_size, **given), strict=True):
            output = folder / f'{file.stem}.png'
            write_image(self.task.draw(read_image(file), result), output)
            answers.append(Answer(file, output, result))
        return answers

    def video(self, file: Path, folder: Path) -> Answer:
        """The answers for the frames of a video, and the video that shows them."""
        reader = VideoReader(file)
        results: list[Any] = []
        output = folder / f'{file.stem}.mp4'
        with VideoWriter(output, reader.fps) as writer:
            for frames in in_batches(reader, self.batch_size):
                start = len(results)
                given = {} if self.boxes is None else {'boxes': self.boxes[file.name][start : start + len(frames)]}
                found = self.model.predict(frames, batch_size=self.batch_size, **given)
                results += found
                for frame, result in zip(frames, found, strict=True):
                    writer.write(self.task.draw(frame, result))
        return Answer(file, output, FrameResults(results))


def read_boxes(file: str | Path, images: Sequence[Path]) -> Mapping[str, Any]:
    """Boxes by file name, of all the images.

    Raises:
        DataError: There is no such file, it is not JSON, or an image is not in it.
    """
    try:
        boxes = json.loads(Path(file).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DataError(f'boxes: {file} cannot be read: {error}') from error
    if not isinstance(boxes, dict):
        raise DataError(f'boxes: {file} holds {type(boxes).__name__}, not {{file name: [[x, y, width, height], ...]}}')
    missing = [image.name for image in images if image.name not in boxes]
    if missing:
        raise DataError(f'boxes: {file} has no boxes for {missing[0]}; an empty list says that nobody is there')
    return boxes


def _is_video(file: Path) -> bool:
    return file.suffix.lower() in VIDEO_SUFFIXES


def find_files(names: Sequence[str | Path], suffixes: Collection[str]) -> list[Path]:
    """The files, and those in the folders with one of the suffixes, that a command line names.

    Raises:
        DataError: A file does not exist, or there is none at all.
    """
    found: list[Path] = []
    for each in map(Path, names):
        if each.is_dir():
            found += sorted(f for f in each.iterdir() if f.suffix.lower() in suffixes)
        elif each.is_file():
            found.append(each)
        else:
            raise DataError(f'there is no file {each}')
    if not found:
        kinds = ', '.join(sorted(suffixes))
        raise DataError(f'there is nothing to predict in {", ".join(map(str, names))}: no file ends with {kinds}')
    return found
