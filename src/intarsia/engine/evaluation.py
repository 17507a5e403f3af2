"""Evaluating a model on a loader."""

from __future__ import annotations

from typing import Any

import torch

from intarsia.engine.evaluator import Evaluator


@torch.inference_mode()
def evaluate(model: Any, loader: Any, evaluator: Evaluator) -> dict[str, Any]:
    """Predict every batch of ``loader`` and give the metrics; the model's mode is restored.

    Args:
        model: A task model: ``predict(inputs, metas)`` gives one result for each sample.
        loader: Batches with ``img`` and, if the pipeline keeps them, ``img_metas``.
        evaluator: Started afresh.
    """
    was_training = model.training
    model.eval()
    evaluator.reset()
    try:
        for batch in loader:
            evaluator.update(model.predict(batch['img'], batch.get('img_metas')), batch)
    finally:
        model.train(was_training)
    return evaluator.compute()
