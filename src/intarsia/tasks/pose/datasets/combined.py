"""Data sets with different joints that train one model.

Shapes: k joints.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from intarsia.core.registries import DATASETS
from intarsia.data.broken_files import BrokenFiles
from intarsia.data.dataset import BaseDataset
from intarsia.data.transforms.transform import Results
from intarsia.tasks.pose.dataset_info import DatasetInfo
from intarsia.tasks.pose.transforms.convert_joints import KeypointConverter, joints_of

TINY = 1e-4
"""By how much less than the whole of a data set is drawn from, so that its last sample is not overstepped."""


@DATASETS.register_module()
class CombinedDataset(BaseDataset):
    """Data sets one after the other; each has a pipeline that makes its joints those of all, and then comes another.

    Args:
        datasets: Config nodes, or data sets; their pipelines as a rule hold a
            :class:`~intarsia.tasks.pose.transforms.convert_joints.KeypointConverter`.
        dataset_info: The joints of all: a name or a dict; see :class:`~intarsia.tasks.pose.dataset_info.DatasetInfo`.
        pipeline: Transform nodes or callables, for samples of all.
        sample_ratio_factor: For each data set, how many samples an epoch has, as a factor of its own number: a part of
            them is drawn, or each is taken several times.
        test_mode: For validation and testing.

    Raises:
        ValueError: There are other than as many factors as data sets, or negative ones.
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        dataset_info: DatasetInfo | Mapping[str, Any] | str,
        pipeline: Sequence[Mapping[str, Any]] = (),
        sample_ratio_factor: Sequence[float] | None = None,
        test_mode: bool = False,
    ) -> None:
        self.info = DatasetInfo.of(dataset_info)
        registry = DATASETS.of('pose')
        self.datasets = [registry.build(each) if isinstance(each, Mapping) else each for each in datasets]
        factors = [1.0] * len(self.datasets) if sample_ratio_factor is None else list(sample_ratio_factor)
        if len(factors) != len(self.datasets) or min(factors, default=0) < 0:
            raise ValueError(
                f'sample_ratio_factor is a number from 0 on for each of {len(self.datasets)} data sets, not {factors}'
            )
        self.counts = [round(len(each) * factor) for each, factor in zip(self.datasets, factors, strict=True)]
        self._ends = list(accumulate(self.counts))
        super().__init__(pipeline, test_mode, task='pose')
        self.broken_files = BrokenFiles(len(self))
        self._joints = joints_of(self.info)

    def load_annotations(self) -> list[dict[str, Any]]:
        """None: the data sets have them."""
        return []

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def default_metrics(self) -> Sequence[str | Mapping[str, Any]]:
        """Those of the data set with the joints of all, if there is one."""
        own = self._with_own_joints()
        return ('mAP',) if own is None else own.default_metrics

    def _with_own_joints(self) -> Any:
        same = (each for each in self.datasets if getattr(each, 'info', None) is not None)
        return next((each for each in same if each.info.name == self.info.name), None)

    # ---------------------------------------------------------------------- samples

    def locate(self, index: int, drawn: float = 0.5) -> tuple[Any, int]:
        """The data set that holds a sample, and its index there.

        Args:
            index: Of the sample.
            drawn: Which one of the samples that it stands for, 0 ... 1, where a part of them is drawn.
        """
        which = bisect.bisect_right(self._ends, index)
        dataset, index = self.datasets[which], index - (self._ends[which] - self.counts[which])
        if self.counts[which] != len(dataset):
            step = (len(dataset) - TINY) / self.counts[which]
            index = round(step * (index + drawn) - 0.5)
        return dataset, index

    def draw(self, index: int, rng: np.random.Generator) -> Results:
        """What the pipeline of its data set makes of a sample, with the joints of all."""
        dataset, inner = self.locate(index) if self.test_mode else self.locate(index, rng.random())
        results = dataset.pipeline(dataset.draw(inner, rng), rng)
        if results is None:
            raise ValueError('the pipeline of an inner data set dropped a sample; steps that may do so come after it')
        return {**results, 'bbox_id': index, 'ann_info': {**results['ann_info'], **self._joints}}

    def describe(self, index: int) -> str:
        """As its data set describes it."""
        dataset, inner = self.locate(index)
        return str(dataset.describe(inner))

    # ---------------------------------------------------------------------- evaluation

    def truth(self, index: int) -> dict[str, Any]:
        """That of its data set, with the joints of all."""
        dataset, inner = self.locate(index)
        truth = {**dataset.truth(inner), 'bbox_id': index}
        for step in dataset.pipeline.transforms:
            if isinstance(step, KeypointConverter):
                joints_k3 = np.pad(truth['keypoints'], ((0, 0), (0, 1)))
                joints, visible = step.apply(joints_k3, np.repeat(truth['visible'][:, None], 3, 1))
                truth |= {'keypoints': joints[:, :2], 'visible': visible[:, 0]}
        return truth

    def metric_arguments(self) -> dict[str, Any]:
        """Those of the data set with the joints of all, if there is one, and the joints."""
        own = self._with_own_joints()
        told = {} if own is None else own.metric_arguments()
        return {**told, 'dataset_info': self.info, 'sigmas': self.info.sigmas}
