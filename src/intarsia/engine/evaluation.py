"""Evaluating a model on a loader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from intarsia.core.errors import IntarsiaError
from intarsia.engine.distributed import gather, is_sharded
from intarsia.engine.evaluator import Evaluator


def evaluate(model: Any, loader: Any, evaluator: Evaluator) -> dict[str, Any]:
    """Predict every batch of ``loader`` and give the metrics; the model's mode is restored.

    Processes that train together predict their own part each, and all get the metrics of the whole.

    Args:
        model: A task model: ``test_step(batch)``, or else ``predict(inputs, metas)``, gives one result for each sample.
        loader: Batches with the model's ``input_key`` and, if the pipeline keeps them, ``img_metas``.
        evaluator: Started afresh.
    """
    was_training = model.training
    model.eval()
    evaluator.reset()
    num_repeats = repeats_of_last_batch(model, loader)
    try:
        # shards gathered in inference mode could not be trained afterwards
        with torch.no_grad() if is_sharded(model) else torch.inference_mode():
            for batch in loader:
                evaluator.update(_results_of(model, batch), batch)
            for _ in range(num_repeats):
                _results_of(model, batch)
    finally:
        model.train(was_training)
    states = gather(evaluator.state()) if loader.world_size > 1 else []
    if states:
        evaluator.reset()
    for state in states:
        evaluator.merge(state)
    return evaluator.compute()


def _results_of(model: Any, batch: Mapping[str, Any]) -> Any:
    """One result for each sample; a model of the user's own need only have ``predict(inputs, metas)``."""
    if hasattr(model, 'test_step'):
        return model.test_step(batch)
    return model.predict(batch[getattr(model, 'input_key', 'img')], batch.get('img_metas'))


@torch.no_grad()
def mean_losses(model: Any, loader: Any) -> dict[str, float]:
    """The mean over all samples of every loss of ``val_step``, drawn the same way each time.

    Args:
        model: A task model; its mode is restored, and nothing is trained.
        loader: Batches as training has them. It starts at its epoch 0, so that its pipeline draws the same again.

    Returns:
        Means by name, of the names that contain ``loss``.
    """
    was_training = model.training
    model.eval()
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = defaultdict(int)
    num_repeats = repeats_of_last_batch(model, loader)
    loader.start(0)
    try:
        for batch in loader:
            outputs = model.val_step(batch)
            for name, value in outputs['log_vars'].items():
                if 'loss' in name:
                    sums[name] = sums.get(name, 0.0) + torch.as_tensor(value).double() * outputs['num_samples']
                    counts[name] += outputs['num_samples']
        for _ in range(num_repeats):
            model.val_step(batch)
    finally:
        model.train(was_training)
    parts = gather({name: (float(total), counts[name]) for name, total in sums.items()})
    names = list(dict.fromkeys(name for part in parts for name in part))
    return {n: sum(p[n][0] for p in parts if n in p) / sum(p[n][1] for p in parts if n in p) for n in names}


def repeats_of_last_batch(model: Any, loader: Any) -> int:
    """How often this process goes through its last batch again, to make as many forward passes as the others.

    Only where a forward pass needs all processes; all of them call this.

    Raises:
        IntarsiaError: A process has no batch at all.
    """
    if not is_sharded(model):
        return 0
    counts = gather(len(loader))
    if min(counts) == 0:
        raise IntarsiaError(f'with shards every process evaluates something, but there are too few samples: {counts}')
    return max(counts) - len(loader)
