"""Models for a few images or videos, as old scripts load and ask them, over ours."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.api.models import load_model, tell_facts
from intarsia.api.tasks import find_task, ready, task_named
from intarsia.config.pretrained import without_pretrained
from intarsia.data.io.image import read_image, write_image
from intarsia.openmmlab.builders import build_task_model
from intarsia.openmmlab.checkpoints import load_checkpoint
from intarsia.openmmlab.config import Config
from intarsia.openmmlab.parallel import available_device
from intarsia.openmmlab.runs import config_file
from intarsia.openmmlab.samples import SAMPLES
from intarsia.openmmlab.testing import task_of
from intarsia.tasks.pose.dataset_info import DatasetInfo


def init_model(
    config: Any,
    checkpoint: str | Path | None = None,
    device: str | None = 'cuda:0',
    cfg_options: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """A model that is ready to predict.

    Args:
        config: A file, or a ``Config``.
        checkpoint: Weights; what of them does not fit is logged.
        device: Where to; the CPU if there is no GPU, None for the best device.
        cfg_options: Changes of the config, dotted path -> value.
        kwargs: Not used.

    Returns:
        The model in evaluation mode, with ``cfg`` and ``CLASSES``.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    house = config_file(cfg)
    if checkpoint is not None:
        house.values['model'] = without_pretrained(house.values['model'])
    done = ready(
        dataclasses.replace(house, values={k: v for k, v in house.values.items() if k != 'device'}), files=False
    )
    task = find_task(done.values['model'], done.values.get('task')).name
    model = build_task_model(done.values['model'], task=task)
    meta: Mapping[str, Any] = {}
    if checkpoint is not None:
        meta = load_checkpoint(model, checkpoint).get('meta') or {}
    elif hasattr(model, 'init_weights'):
        model.init_weights()
    model = load_model(done, None, device=str(available_device(device)) if device else None, model=model)
    tell_facts(model, meta)
    model.cfg = cfg
    for old, ours in (('CLASSES', 'classes'), ('PALETTE', 'palette')):
        if not hasattr(type(model), old):
            setattr(model, old, getattr(model, ours, None))
    return model


init_segmentor = init_pose_model = init_recognizer = init_classifier = init_model


# ---------------------------------------------------------------------- whole images and videos


def _predict(model: Any, files: Any) -> tuple[bool, list[Any]]:
    """Whether one image is meant, and the results of all."""
    is_one = isinstance(files, (str, Path, np.ndarray))
    images = [files] if is_one else list(files)
    return is_one, model.predict([str(each) if isinstance(each, Path) else each for each in images])


def inference_segmentor(model: Any, imgs: Any) -> list[np.ndarray]:
    """The class of every pixel, an array ``(H, W)`` for each image."""
    return [result.mask.astype(np.int64) for result in _predict(model, imgs)[1]]


def inference_model(model: Any, img: Any) -> Any:
    """What a classifier or a segmentor of the second generation says of an image, or of several.

    Returns:
        For a classifier a dict with ``pred_label``, ``pred_score`` and ``pred_class`` (the second generation adds
        ``pred_scores``), a list of them for several images; for a segmentor a data sample, or a list.
    """
    is_one, results = _predict(model, img)
    if task_of(model) == 'segmentation':
        answers = [_sample_of(model, result) for result in results]
    else:
        answers = [_class_of(result, model) for result in results]
    return answers[0] if is_one else answers


def _class_of(result: Any, model: Any) -> dict[str, Any]:
    scores = {'pred_scores': result.scores} if is_second_generation() else {}
    label = int(result.label)
    found = {'pred_label': label, **scores, 'pred_score': float(result.scores[label])}
    classes = getattr(model, 'classes', None)
    return {**found, 'pred_class': classes[label]} if classes is not None else found


def _sample_of(model: Any, result: Any) -> Any:
    converter = SAMPLES[str(task_of(model))]
    sample = converter.kind()
    converter.add_result(sample, result)
    return sample


def inference_recognizer(model: Any, video: Any, *args: Any, **kwargs: Any) -> Any:
    """What a recognizer says of a video.

    Returns:
        The five best classes as pairs ``(label, score)``, best first; of the second generation a data sample.
    """
    result = _predict(model, video if isinstance(video, (str, Path)) else [video])[1][0]
    if is_second_generation():
        return _sample_of(model, result)
    best = np.argsort(-result.scores, kind='stable')[:5]
    return [(int(label), float(result.scores[label])) for label in best]


def is_second_generation() -> bool:
    """Whether this program uses packages of the second generation."""
    return 'mmengine' in sys.modules


def show_result_pyplot(
    model: Any, img: Any, result: Any, *args: Any, show: bool = True, out_file: str | None = None, **kwargs: Any
) -> np.ndarray:
    """The picture that shows a result; written if ``out_file`` says where.

    Args:
        model: The model.
        img: The image, or its file.
        result: What the functions of this module gave.
        args: Options of drawing, which is done our way.
        show: Whether a window shows it, where there are windows.
        out_file: Where to write it.
        kwargs: Options of drawing.

    Returns:
        uint8 BGR ``(H, W, 3)``.
    """
    task = task_of(model)
    answer = result[0] if isinstance(result, (list, tuple)) and task == 'segmentation' else result
    converter = SAMPLES[str(task)]
    picture = task_named(str(task)).draw(_image(img), _result_of(converter, answer, model))
    _put(picture, show and out_file is None, out_file)
    return picture


def _result_of(converter: Any, answer: Any, model: Any) -> Any:
    if isinstance(answer, Mapping) and 'pred_label' in answer:
        scores = answer.get('pred_scores', np.zeros(int(answer['pred_label']) + 1, np.float32))
        scores[int(answer['pred_label'])] = answer['pred_score']
        return converter.result_of_answer(scores, model)
    return (
        converter.result_of(answer, model) if hasattr(answer, 'metainfo') else converter.result_of_answer(answer, model)
    )


def _image(img: Any) -> np.ndarray:
    return img if isinstance(img, np.ndarray) else read_image(Path(img))


def _put(picture: np.ndarray, show: bool, out_file: Any) -> None:
    if out_file is not None:
        Path(out_file).parent.mkdir(parents=True, exist_ok=True)
        write_image(picture, Path(out_file))
    elif show:
        from intarsia.openmmlab.image import imshow

        imshow(picture)


# ---------------------------------------------------------------------- people in images


def inference_top_down_pose_model(
    model: Any,
    imgs_or_paths: Any,
    person_results: Sequence[Mapping[str, Any]] | None = None,
    bbox_thr: float | None = None,
    format: str = 'xywh',
    *args: Any,
    **kwargs: Any,
) -> tuple[list[dict[str, Any]], list[Any]]:
    """The joints of people in an image.

    Args:
        model: The model.
        imgs_or_paths: The image, or its file.
        person_results: ``dict(bbox=...)`` for each, with a score or not; None takes the image as one person.
        bbox_thr: Lowest score of boxes that count.
        format: ``'xywh'`` or ``'xyxy'``.
        args: Not used.
        kwargs: Not used.

    Returns:
        For each person what was given, with ``keypoints (K, 3)`` and ``bbox``, corners and score; and an empty list.
    """
    image = _image(imgs_or_paths)
    height, width = image.shape[:2]
    people = list(person_results) if person_results is not None else [{'bbox': np.array([0, 0, width, height, 1.0])}]
    form = 'xywh' if person_results is None else format
    boxes = np.array([_with_score(person['bbox']) for person in people], np.float32).reshape(-1, 5)
    kept = np.flatnonzero(boxes[:, 4] > bbox_thr) if bbox_thr is not None else np.arange(len(boxes))
    if not len(kept):
        return [], []
    boxes = _corner_and_size(boxes[kept], form)
    found = model.predict([image], boxes=[boxes])[0]
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4], boxes[:, 4:]], axis=1)
    joints = np.concatenate([found.keypoints, found.scores[..., None]], axis=2)
    return [{**people[n], 'keypoints': joints[i], 'bbox': corners[i]} for i, n in enumerate(kept)], []


def _with_score(box: Any) -> np.ndarray:
    return np.append(np.asarray(box, np.float32), [1.0] * (5 - len(box)))[:5]


def _corner_and_size(boxes: np.ndarray, form: str) -> np.ndarray:
    if form not in ('xywh', 'xyxy'):
        raise AssertionError(f"boxes are 'xywh' or 'xyxy', not {form!r}")
    size = boxes[:, 2:4] - boxes[:, :2] if form == 'xyxy' else boxes[:, 2:4]
    return np.concatenate([boxes[:, :2], size, boxes[:, 4:]], axis=1)


def inference_topdown(model: Any, img: Any, bboxes: Any = None, bbox_format: str = 'xyxy') -> list[Any]:
    """The joints of people in an image, a data sample for each.

    Args:
        model: The model.
        img: The image, or its file.
        bboxes: ``(P, 4)``; None takes the image as one person.
        bbox_format: ``'xyxy'`` or ``'xywh'``.
    """
    image = _image(img)
    if bboxes is None or not len(bboxes):
        bboxes, bbox_format = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32), 'xywh'
    rows = np.array([_with_score(box) for box in bboxes], np.float32)
    result = model.predict([image], boxes=[_corner_and_size(rows, bbox_format)])[0]
    converter = SAMPLES['pose']
    samples = []
    for i in range(len(rows)):
        sample = converter.kind()
        names = ('keypoints', 'scores', 'boxes', 'box_scores')
        parts = {name: getattr(result, name)[i : i + 1] for name in names}
        converter.add_result(sample, dataclasses.replace(result, **parts))
        samples.append(sample)
    return samples


def process_mmdet_results(mmdet_results: Any, cat_id: int = 1) -> list[dict[str, Any]]:
    """The people that a detector found: boxes of category ``cat_id``, counted from 1."""
    boxes = mmdet_results[0] if isinstance(mmdet_results, tuple) else mmdet_results
    return [{'bbox': box} for box in boxes[cat_id - 1]]


def vis_pose_result(
    model: Any, img: Any, result: Sequence[Mapping[str, Any]], *args: Any, dataset_info: Any = None,
    show: bool = False, out_file: str | None = None, **kwargs: Any,
) -> np.ndarray:  # fmt: skip
    """The picture that shows people, as :func:`inference_top_down_pose_model` gives them; arguments as above."""
    from intarsia.tasks.pose.results import PoseResult

    image = _image(img)
    if not result:
        return image.copy()
    joints = np.array([person['keypoints'] for person in result], np.float32)
    boxes = np.array([_with_score(person['bbox']) for person in result], np.float32)
    boxes = _corner_and_size(boxes, 'xyxy')
    info = model.dataset_info if dataset_info is None else _info(dataset_info)
    found = PoseResult(joints[..., :2], joints[..., 2], boxes[:, :4], boxes[:, 4], info=info)
    picture = task_named('pose').draw(image, found)
    _put(picture, show, out_file)
    return picture


def _info(info: Any) -> DatasetInfo:
    return DatasetInfo.of(getattr(info, '_dataset_info', info))
