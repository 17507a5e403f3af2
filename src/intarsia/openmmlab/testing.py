"""Testing loops of old scripts: answers of a model for all samples of a loader, as its data set evaluates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from intarsia.core.registries import MODELS
from intarsia.engine.distributed import gather, is_first
from intarsia.models.task_model import TaskModel
from intarsia.openmmlab.logs import get_root_logger
from intarsia.openmmlab.models.base import OldModel
from intarsia.openmmlab.parallel import MMDataParallel, device_of, is_module_wrapper, scatter, unwrapped
from intarsia.openmmlab.progress import ProgressBar
from intarsia.openmmlab.samples import SAMPLES
from intarsia.tasks.pose.codecs.codec import build_codec
from intarsia.tasks.pose.complete import codec_of
from intarsia.tasks.pose.dataset_info import DatasetInfo


def single_gpu_test(
    model: Any,
    data_loader: Any,
    show: bool = False,
    out_dir: Any = None,
    *args: Any,
    pre_eval: bool = False,
    format_only: bool = False,
    format_args: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> list[Any]:
    """Answers of a model for all samples of a loader, in order.

    Args:
        model: In a wrapper or not.
        data_loader: With ``dataset``.
        show: Not done: ``intarsia predict`` draws.
        out_dir: Not done.
        args: Further options of pictures.
        pre_eval: Whether ``dataset.pre_eval(answers, indices)`` takes the place of the answers, if there is one.
        format_only: Whether ``dataset.format_results(answers, indices=..., **format_args)`` does, if there is one.
        format_args: See above.
        kwargs: Further options of pictures.
    """
    dataset = data_loader.dataset
    if show or out_dir:
        get_root_logger().warning('testing draws nothing; intarsia predict CONFIG CHECKPOINT FILES does')
    tell_data(model, dataset)
    results: list[Any] = []
    bar, done = ProgressBar(len(dataset)), 0
    for batch in data_loader:
        answers = answers_of(model, batch)
        count = sum(_length(each) for each in answers)
        indices = list(range(done, done + count))
        if format_only and hasattr(dataset, 'format_results'):
            answers = dataset.format_results(answers, indices=indices, **(format_args or {}))
        elif pre_eval and hasattr(dataset, 'pre_eval'):
            answers = dataset.pre_eval(answers, indices=indices)
        results.extend(answers)
        bar.update(count)
        done += count
    return results


def multi_gpu_test(
    model: Any, data_loader: Any, tmpdir: str | None = None, gpu_collect: bool = False, **kwargs: Any
) -> list[Any] | None:
    """As :func:`single_gpu_test`, of all processes together; None in all but the first.

    Args:
        model: In a wrapper or not.
        data_loader: With the samples of this process.
        tmpdir: Not used: results are sent.
        gpu_collect: Not used.
        kwargs: As :func:`single_gpu_test`.
    """
    return collect_results(single_gpu_test(model, data_loader, **kwargs), len(data_loader.dataset))


def collect_results(result_part: Sequence[Any], size: int, tmpdir: str | None = None) -> list[Any] | None:
    """Results of all processes, which took turns in the samples, in the first one; None in the others.

    Args:
        result_part: Those of this process.
        size: How many there are.
        tmpdir: Not used.
    """
    parts = gather(list(result_part))
    if not is_first():
        return None
    rounds = max(map(len, parts))
    return [part[turn] for turn in range(rounds) for part in parts if turn < len(part)][:size]


def _length(answer: Any) -> int:
    return len(answer['preds']) if isinstance(answer, Mapping) and 'preds' in answer else 1


# ---------------------------------------------------------------------- one batch


@torch.no_grad()
def answers_of(model: Any, batch: Mapping[str, Any]) -> list[Any]:
    """What a model says of a batch: an answer for each sample, or one dict of all in pose estimation."""
    inner, wrapper = unwrapped(model), model if is_module_wrapper(model) else MMDataParallel(model)
    model.eval()
    task = task_of(inner)
    if isinstance(inner, TaskModel) and not isinstance(inner, OldModel):
        (data,) = scatter(batch, [device_of(inner)])
        data = {name: _of_one_version(value) for name, value in data.items()}
        results = inner.test_step(data)
        metas = data.get('img_metas') or [{}] * len(results)
        return [SAMPLES[str(task)].answer_of(r, m) for r, m in zip(results, metas, strict=True)]
    more = {'rescale': True} if task == 'segmentation' else {}
    answers = wrapper(return_loss=False, **more, **batch)
    return [answers] if isinstance(answers, Mapping) else list(answers)


def _of_one_version(value: Any) -> Any:
    """What there is of a single version of images, not in a list."""
    is_alone = isinstance(value, list) and len(value) == 1 and isinstance(value[0], (torch.Tensor, list))
    return value[0] if is_alone else value


def task_of(model: Any) -> str | None:
    """The task a model belongs to."""
    return getattr(type(model), 'task', None) or MODELS.task_for(type(model))


# ---------------------------------------------------------------------- what a pose model is not told by its own config


def tell_data(model: Any, dataset: Any) -> None:
    """Let a pose model know the codec and the joints of a data set, if it does not know them."""
    inner = unwrapped(model)
    if task_of(inner) != 'pose' or not hasattr(inner, 'codec'):
        return
    sizes = getattr(dataset, 'data_cfg', None)
    if inner.codec is None:
        own = getattr(dataset, 'codec', None)
        kind = type(inner).__name__
        node = codec_of({'type': kind, 'test_cfg': inner.test_cfg}, {'data_cfg': sizes}, {}) if sizes else None
        set_codec(inner, own or node)
    info = getattr(dataset, 'info', None)
    if inner.dataset_info is None and info is not None:
        inner.dataset_info = DatasetInfo.of(info)


def set_codec(model: Any, codec: Any) -> None:
    """Give a pose model and its head a codec, or the node of one."""
    plain = getattr(model, '_plain_head', None)
    built = build_codec(codec)
    for part in (model, getattr(model, 'head', None), getattr(plain, 'maps', None)):
        if part is not None and getattr(part, 'codec', built) is None:
            part.codec = built
