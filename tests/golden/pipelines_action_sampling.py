"""Runs recorded choices of frames, and decoded videos; see :mod:`tests.golden.pipelines`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Compose
from tests.golden.inputs import make, tuples, value_deviations
from tests.golden.nodes import Named, Node
from tests.golden.outcome import Outcome
from tests.golden.outputs import MEAN_TOLERANCE, compare

TASK = 'action'
VIDEOS = Path(__file__).parents[2] / 'data/actions'
SHARED = 'shared/data/actions'
"""Where records say that the videos are."""

GRAY_LEVELS = 6
"""How far decoders differ."""


def takes(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of these."""
    return record['task'] == TASK and record['id'].startswith(('sample/', 'video/'))


def run(record: dict[str, Any], folder: str) -> Outcome:
    """Compare one record; both words of a record that stands for both generations."""
    found = []
    for number in record['gen']:
        nodes = [house(node, f'{number}.x') for node in tuples(record['transform'][f'{number}.x'])]
        inputs = make(record['inputs'], folder)
        missing = [node['type'] for node in nodes if node['type'] not in TRANSFORMS.of(TASK)]
        if missing:
            return Outcome(missing=missing)
        try:
            found.append(
                _compare_video(record, nodes, inputs) if 'video' in inputs else _compare(record, nodes, inputs)
            )
        except Exception as error:
            return Outcome(error=f'{type(error).__name__}: {error}')
    return next((outcome for outcome in found if not outcome.equal), found[0])


def house(node: Node, generation: str) -> Node:
    """A node in our words: where the generations choose other frames, a step says whose rules it follows."""
    return {**node, 'rules': '1.x'} if generation == '1.x' and node['type'] == 'SampleFrames' else node


# ---------------------------------------------------------------------- choices


class PinnedDraws:
    """Stands in for a generator: draws are as records say."""

    def integers(self, high: int, *, size: int) -> np.ndarray:
        return np.arange(size) % 2

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return np.arange(size) % 3 * 0.75


def _compare(record: Mapping[str, Any], nodes: list[Node], inputs: Named) -> Outcome:
    steps = Compose(nodes, TASK)
    rng: Any = PinnedDraws() if 'pinned' in record else np.random.default_rng(0)
    results: Named = {}
    for name, sample in _samples(inputs):
        chosen = steps(sample, rng)
        assert chosen is not None
        if record['gen'] == [1]:
            chosen['frame_inds'] = chosen['frame_inds'].astype(np.int32)  # as the newer generation has them
        results[name] = chosen['frame_inds']
        results |= {f'{name}.{key}': value for key, value in chosen.items()}
    return compare(record, results)


def _samples(inputs: Named) -> Iterator[tuple[str, Named]]:
    """The samples of a record, by the names of their outputs."""
    if 'timestamp' in inputs:
        for timestamp in inputs['timestamp']:
            yield f'{timestamp}', {**inputs, 'timestamp': timestamp}
        return
    starts = inputs.get('start_index')
    for total in inputs['total_frames']:
        for start in starts or [0]:
            yield f'{total}.{start}' if starts else f'{total}', {**inputs, 'total_frames': total, 'start_index': start}


# ---------------------------------------------------------------------- videos


def _compare_video(record: dict[str, Any], nodes: list[Node], inputs: Named) -> Outcome:
    """Compare decoded frames; decoders differ a little."""
    file = inputs['video'].replace(SHARED, str(VIDEOS))
    sample = {'filename': file, 'frame_inds': np.array(inputs['frame_inds']), 'modality': 'RGB'}
    results = Compose(nodes, TASK)(sample, np.random.default_rng(0))
    assert results is not None
    imgs = np.stack(results['imgs'])
    outcome = compare({**record, 'outputs': []}, results)
    (stored,) = record['outputs']
    levels = value_deviations(imgs.reshape(-1).astype(float), stored).max()
    outcome.max_rel = float(abs(imgs.mean() - stored['mean']) / stored['mean'])
    is_near = list(imgs.shape) == stored['shape'] and levels <= GRAY_LEVELS and outcome.max_rel <= MEAN_TOLERANCE
    outcome.equal = bool(outcome.equal and is_near)
    return outcome
