"""Runs recorded steps of skeletons; see :mod:`tests.golden.pipelines`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Compose
from tests.golden.inputs import make, tuples
from tests.golden.nodes import Named, Node, flatten
from tests.golden.outcome import Outcome
from tests.golden.outputs import compare

TASK = 'action'
PREFIX = 'skeleton/'
UNLIKE = {
    'skeleton/pose_target/double@0.x': 'the older GeneratePoseTarget, whose mirror images are one pixel aside',
    'skeleton/pose_target/both@1.x': 'the newer GeneratePoseTarget, which draws limbs over joints',
}
"""Records that we do not follow."""


def takes(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of these."""
    return record['task'] == TASK and record['id'].startswith(PREFIX)


def run(record: dict[str, Any], folder: str) -> Outcome:
    """Compare one record; both words of a record that stands for both generations."""
    if record['id'] in UNLIKE:
        return Outcome(missing=[UNLIKE[record['id']]])
    found = []
    for number in record['gen']:
        nodes = tuples(record['transform'][f'{number}.x'])
        missing = [node['type'] for node in nodes if node['type'] not in TRANSFORMS.of(TASK)]
        if missing:
            return Outcome(missing=missing)
        try:
            found.append(compare(record, _results_of(record, nodes, folder)))
        except Exception as error:
            return Outcome(error=f'{type(error).__name__}: {error}')
    return next((outcome for outcome in found if not outcome.equal), found[0])


def _results_of(record: Mapping[str, Any], nodes: list[Node], folder: str) -> Named:
    results: Named = {'modality': 'Pose', 'label': 3, 'length': 100, **make(record['inputs'], folder)}
    shape = next((out['shape'] for out in record['outputs'] if out['name'] == 'keypoint'), ())
    if len(shape) == 5:  # the number of clips is not among the inputs, but in the shape of the result
        results['num_clips'] = shape[0]
    last = nodes[-1]
    left: Named = {}
    if last['type'] == 'GenSkeFeat' and 'bm' in last['feats']:  # the older step leaves the bones there
        left = {'b': _run([*nodes[:-1], {**last, 'feats': ['b']}], results)['keypoint']}
    return flatten({**left, **_run(nodes, results)})


def _run(nodes: list[Node], results: Named) -> Named:
    found = Compose(nodes, TASK)({**results}, np.random.default_rng(0))
    assert found is not None
    return found
