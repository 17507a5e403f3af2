"""From the first stage of a boundary-sensitive network to the data of the second: files of proposals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intarsia.api.data import build_dataset
from intarsia.api.models import load_model
from intarsia.api.tasks import find_task, ready
from intarsia.config.file import ConfigFile
from intarsia.config.pipelines import joined, pipeline_of, with_pipeline
from intarsia.core.errors import ConfigError, Problem
from intarsia.data.collate import collate
from intarsia.data.device import ToDevice
from intarsia.tasks.action.datasets.activitynet import ActivityNetDataset, streams_in
from intarsia.tasks.action.localizers.bsn_tem import TEM
from intarsia.tasks.action.localizers.proposals import (
    COLUMNS,
    POSITION_COLUMNS,
    Sampling,
    bsp_features,
    candidate_proposals,
    mean_class_scores,
    with_truth,
)
from intarsia.tasks.action.transforms.localization import shares_of

SPLITS = ('train', 'val', 'test')
PROPOSALS, FEATURES = 'pgm_proposals', 'pgm_features'
"""Folders that are written, as configs of the second stage name them."""


def write_proposals(
    config: ConfigFile,
    checkpoint: str | Path,
    out: str | Path,
    *,
    device: str | None = None,
    top_k: int = 1000,
    peak_threshold: float = 0.5,
    batch_size: int = 16,
) -> Mapping[str, int]:
    """Write the proposals of all streams of a config's data sets, and their features.

    For each stream ``OUT/pgm_proposals/STREAM.csv`` (columns :data:`COLUMNS`, and the probability of each class if the
    model knows classes) and ``OUT/pgm_features/STREAM.npy``, float32 ``(proposals, 32)``. Everything is read by the
    pipeline of ``data.val``.

    Args:
        config: Of a trained :class:`TEM`.
        checkpoint: Its weights.
        out: Where the two folders go.
        device: Where the network runs.
        top_k: Most proposals of a stream, the best ones.
        peak_threshold: Positions with more than this part of the greatest score are boundaries, as are all peaks.
        batch_size: Streams that go through the network at once.

    Returns:
        How many streams of each data set were written.

    Raises:
        ConfigError: The config has mistakes, is of another model, or has no data sets of streams.
        CheckpointError: The checkpoint is missing, broken or does not fit.
    """
    config = ready(config)
    model = load_model(config, checkpoint, device=device)
    if not isinstance(model, TEM):
        message = f'proposals are made of the results of a TEM, not of a {type(model).__name__}.'
        raise ConfigError(Problem('bad-config', message, 'model.type'))
    folders = [Path(out, name) for name in (PROPOSALS, FEATURES)]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for split, datasets in _datasets(config.values).items():
        for dataset in datasets:
            for row, position_tc in _positions(model, dataset, batch_size):
                proposal_pc = with_truth(candidate_proposals(position_tc, peak_threshold)[:top_k], shares_of(row))
                _write(row['video_name'], proposal_pc, position_tc, folders, dataset.CLASSES or ())
        counts[split] = sum(map(len, datasets))
    return counts


def _datasets(values: Mapping[str, Any]) -> dict[str, list[ActivityNetDataset]]:
    """The data sets of streams by split, each file of annotations once, with the pipeline of validation."""
    data, task = values.get('data') or {}, find_task(values['model'])
    pipeline = pipeline_of(joined(data.get('val') or data.get('test')))
    found: dict[str, list[ActivityNetDataset]] = {}
    seen: set[str] = set()
    for split in SPLITS:
        if data.get(split) is not None:
            node = with_pipeline(joined(data[split]), pipeline)
            streams = [each for each in streams_in(build_dataset(node, task, True)) if each.ann_file not in seen]
            seen.update(each.ann_file for each in streams)
            found.update({split: streams} if streams else {})
    if not found:
        raise ConfigError(Problem('missing-field', "proposals need streams: 'data' has no ActivityNetDataset.", 'data'))
    return found


def _positions(
    model: TEM, dataset: ActivityNetDataset, batch_size: int
) -> Iterator[tuple[Mapping[str, Any], np.ndarray]]:
    """The annotation of each stream, and the scores of its positions."""
    to_device = ToDevice(next(model.parameters()).device)
    for start in range(0, len(dataset), batch_size):
        indices = range(start, min(start + batch_size, len(dataset)))
        with torch.inference_mode():
            results = model.test_step(to_device(collate([dataset[index] for index in indices])))
        for index, result in zip(indices, results, strict=True):
            yield dataset.annotations[index], result.positions


def _write(name: str, proposal_pc: np.ndarray, position_tc: np.ndarray, folders: list[Path], classes: Any) -> None:
    """Write the two files of a stream."""
    feat_pc = bsp_features(position_tc, proposal_pc, Sampling(top_k=len(proposal_pc)))
    np.save(folders[1] / f'{name}.npy', feat_pc.astype(np.float32))
    columns = list(COLUMNS)
    if position_tc.shape[1] > len(POSITION_COLUMNS):
        class_pk = mean_class_scores(position_tc[:, len(POSITION_COLUMNS) :], proposal_pc[:, :2])
        proposal_pc, columns = np.column_stack([proposal_pc, class_pk]), [*COLUMNS, *classes]
    np.savetxt(folders[0] / f'{name}.csv', proposal_pc, '%.8g', ',', header=','.join(columns), comments='')
