"""COCO's average precision of poses, for one data set.

Shapes: p people, k joints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import METRICS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.tasks.pose.datasets.coco_file import CocoFile
from intarsia.tasks.pose.metrics.average_precision import (
    MAX_FOUND,
    Annotated,
    Found,
    Matches,
    match,
    oks_matrix,
    summarize,
    summarize_crowd,
)
from intarsia.tasks.pose.metrics.coco_people import IouType, annotated_people, joints_of
from intarsia.tasks.pose.metrics.oks import oks_nms, soft_oks_nms
from intarsia.tasks.pose.results import PoseResult


class Person(NamedTuple):
    """One found person: joints x, y, score ``(K, 3)``; its score; the area it was looked for in; its category."""

    joints: np.ndarray
    score: float
    area: float
    category: int


class Pair(NamedTuple):
    """Of one image and category: the best people that were found, and those that are annotated."""

    image: Any
    category: Any
    people: list[Person]
    truth: Annotated


@METRICS.register_module()
class CocoMetric:
    """Average precision and recall over object keypoint similarity: ``AP``, ``AP .5`` ... ``AR (L)``, 0 ... 1.

    "Microsoft COCO: Common Objects in Context" (Lin et al., 2014, arXiv:1405.0312). Equal to what pycocotools computes.
    Samples are kept by image and box, so that how they are split into batches and processes changes no bit of the
    result, and none counts twice.

    Args:
        ann_file: The annotations; people who were never found count too.
        sigmas: How exactly people can place each joint.
        iou_type: ``'keypoints_crowd'`` reports by how crowded images are (``AP(E)``, ``AP(M)``, ``AP(H)``), not by the
            areas of people; for CrowdPose. ``'keypoints_wholebody'`` is for the joints of COCO-WholeBody, and
            ``'keypoints_body'``, ``_foot``, ``_face``, ``_lefthand``, ``_righthand`` for parts of them.
        use_area: Whether areas are those of the annotations, or a part of the box.
        score_mode: What a person's score is: ``'bbox'``, that of its box; ``'keypoint'``, the mean of its joints;
            ``'bbox_keypoint'``, that of the box times the mean of joints above ``vis_thr``; ``'bbox_rle'``, the sum of
            that of the box, the mean and the greatest of its joints.
        nms_mode: How people found twice are left out: ``'oks_nms'``, ``'soft_oks_nms'`` or ``'none'``.
        use_nms: Older word: False is ``nms_mode='none'``.
        soft_nms: Older word: True is ``nms_mode='soft_oks_nms'``.
        rle_score: Older word: True is ``score_mode='bbox_rle'``.
        oks_thr: Greatest OKS of two people who are kept.
        nms_thr: Newer word for ``oks_thr``.
        vis_thr: Joints with lower scores do not count in a person's score.
        keypoint_score_thr: Newer word for ``vis_thr``.
        outfile: Where to write the results in COCO's format, for a test server.
        outfile_prefix: Newer word: ``outfile`` without its end ``.keypoints.json``.
        format_only: Only write the results.
        prefix: Stands before the names of :meth:`compute`, with a slash.

    Raises:
        ValueError: There are no sigmas, or nothing to write to; or a kind or mode is unknown.
    """

    def __init__(
        self,
        ann_file: str,
        sigmas: Sequence[float],
        iou_type: IouType = 'keypoints',
        use_area: bool = True,
        score_mode: Literal['bbox', 'keypoint', 'bbox_keypoint', 'bbox_rle'] = 'bbox_keypoint',
        nms_mode: Literal['oks_nms', 'soft_oks_nms', 'none'] = 'oks_nms',
        use_nms: bool = True,
        soft_nms: bool = False,
        rle_score: bool = False,
        oks_thr: float = 0.9,
        nms_thr: float | None = None,
        vis_thr: float = 0.2,
        keypoint_score_thr: float | None = None,
        outfile: str | None = None,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        prefix: str | None = None,
    ) -> None:
        if not len(sigmas):
            raise ValueError('mAP needs sigmas, one a joint, in dataset_info; PCK, AUC, EPE and NME do without')
        outfile = f'{outfile_prefix}.keypoints.json' if outfile_prefix is not None else outfile
        if format_only and outfile is None:
            raise ValueError('format_only needs outfile')
        self.ann_file, self.use_area = ann_file, use_area
        self.sigmas = np.asarray(sigmas, np.float64)
        self.iou_type, self.joints = iou_type, joints_of(iou_type, len(self.sigmas))
        self.score_mode = require_choice('score_mode', 'bbox_rle' if rle_score else score_mode, tuple(SCORES))
        self.nms_mode = require_choice('nms_mode', 'soft_oks_nms' if soft_nms else nms_mode, (*NMS, 'none'))
        self.nms_mode = self.nms_mode if use_nms else 'none'
        self.oks_thr = oks_thr if nms_thr is None else nms_thr
        self.vis_thr = vis_thr if keypoint_score_thr is None else keypoint_score_thr
        self.outfile, self.format_only, self.prefix = outfile, format_only, prefix
        self._people: dict[Any, dict[int, list[Person]]] = {}

    # ------------------------------------------------------------------ counting

    def update(self, result: PoseResult, truth: Mapping[str, Any]) -> None:
        """Count one sample: the person of a box, or all of an image.

        Args:
            result: What was found.
            truth: ``image_id``, and ``bbox_id`` if samples are boxes; ``category_id`` if there are several.

        Raises:
            DataError: The result has other joints.
        """
        joints_pk3 = np.concatenate([result.keypoints, result.scores[..., None]], -1).astype(np.float64)
        if joints_pk3.shape[1] != len(self.sigmas):
            raise DataError(f'a result has {joints_pk3.shape[1]} joints, but there are {len(self.sigmas)} sigmas')
        areas = result.boxes[:, 2:].prod(1) if result.areas is None else result.areas
        found = [
            Person(joints, self._score(joints[:, 2], float(box)), float(area), int(truth.get('category_id', 1)))
            for joints, box, area in zip(joints_pk3, result.box_scores, areas, strict=True)
        ]
        self._people.setdefault(truth['image_id'], {})[int(truth.get('bbox_id', 0))] = found

    def _score(self, score_k: np.ndarray, box_score: float) -> float:
        return float(SCORES[self.score_mode](score_k, box_score, self.vis_thr))

    def state(self) -> dict[Any, dict[int, list[Person]]]:
        """What was counted, by image and box."""
        return {image: dict(people) for image, people in self._people.items()}

    def merge(self, state: Mapping[Any, Mapping[int, list[Person]]]) -> None:
        """Add what another metric of the same settings counted."""
        for image, people in state.items():
            self._people.setdefault(image, {}).update(people)

    def reset(self) -> None:
        """Forget what was counted."""
        self._people = {}

    # ------------------------------------------------------------------ the metric

    def compute(self) -> dict[str, float]:
        """The ten numbers of COCO, or the nine of CrowdPose; none with ``format_only``.

        Raises:
            ValueError: Nothing was counted.
            DataError: The annotations do not fit the results.
        """
        if not self._people:
            raise ValueError('CocoMetric has counted nothing')
        kept = {image: self._kept(self._people[image]) for image in sorted(self._people)}
        if self.outfile is not None:
            self._write(Path(self.outfile), kept)
        values = {} if self.format_only else self.evaluate(kept)
        return {f'{self.prefix}/{name}' if self.prefix else name: value for name, value in values.items()}

    def _kept(self, people: Mapping[int, Sequence[Person]]) -> list[Person]:
        """People of one image, those who were found twice left out."""
        found = [person for box in sorted(people) for person in people[box]]
        if self.nms_mode == 'none' or not found:
            return found
        joints, scores, areas = (np.array([person[i] for person in found]) for i in range(3))
        return [found[i] for i in NMS[self.nms_mode](joints, scores, areas, self.oks_thr, sigmas=self.sigmas.tolist())]

    def evaluate(self, kept: Mapping[Any, Sequence[Person]]) -> dict[str, float]:
        """The numbers of COCO, or of CrowdPose, for the people of each image."""
        coco = CocoFile.read(self.ann_file)
        matches: dict[Any, list[Matches]] = {}
        crowding: dict[Any, list[float]] = {}
        for image, category, people, truth in self.pairs(kept, coco):
            found = self.found_of(people)
            oks_dg = oks_matrix(found.keypoints, truth, self.sigmas[self.joints.chosen])
            matches.setdefault(category, []).append(match(found, truth, oks_dg))
            crowding.setdefault(category, []).append(float(coco.images[image].get('crowdIndex', 0.0)))
        if self.iou_type == 'keypoints_crowd':
            return summarize_crowd(list(matches.values()), list(crowding.values()))
        return summarize(list(matches.values()))

    def pairs(self, kept: Mapping[Any, Sequence[Person]], coco: CocoFile) -> Iterator[Pair]:
        """All images and categories but those of which nobody was found nor annotated.

        Raises:
            DataError: There is a result for an image that is not in the file, or annotations do not fit.
        """
        unknown = [image for image in kept if image not in coco.images]
        if unknown:
            raise DataError(f'there is a result for the image {unknown[0]!r}, which {coco.path} does not have')
        groups = coco.by_image()
        for category in sorted({each['id'] for each in coco.categories}) or [1]:
            for image in sorted(groups):
                rows = [row for row in groups[image] if row.get('category_id', 1) == category]
                truth = annotated_people(rows, self.joints, self.use_area)
                people = [person for person in kept.get(image, ()) if person.category == category]
                if people or len(truth.areas):
                    best = sorted(people, key=lambda person: -person.score)[:MAX_FOUND]
                    yield Pair(image, category, best, truth)

    def found_of(self, people: Sequence[Person]) -> Found:
        """People as the protocol sees them; the area of one is that of the smallest box around its joints."""
        chosen = self.joints.chosen
        joints_dk2 = np.array([person.joints[chosen, :2] for person in people])
        joints_dk2 = joints_dk2.reshape(len(people), chosen.stop - chosen.start, 2)
        scores = np.array([person.score for person in people], np.float64)
        return Found(joints_dk2, scores, np.ptp(joints_dk2, axis=1).prod(1))

    # ------------------------------------------------------------------ the file of results

    def _write(self, file: Path, kept: Mapping[Any, Sequence[Person]]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [self._row(image, person) for image, people in kept.items() for person in people]
        file.write_text(json.dumps(rows), encoding='utf-8')

    def _row(self, image: Any, person: Person) -> dict[str, Any]:
        ends = np.cumsum(list(self.joints.lists.values()))[:-1]
        parts = np.split(person.joints[self.joints.chosen], ends)
        joints = {name: part.reshape(-1).tolist() for name, part in zip(self.joints.lists, parts, strict=True)}
        return dict(image_id=image, category_id=person.category, **joints, score=person.score)


@METRICS.register_module()
class CocoWholeBodyMetric(CocoMetric):
    """:class:`CocoMetric` of the 133 joints of COCO-WholeBody.

    "Whole-Body Human Pose Estimation in the Wild" (Jin et al., 2020, arXiv:2007.11858). Arguments as there.
    """

    def __init__(
        self, ann_file: str, sigmas: Sequence[float], iou_type: IouType = 'keypoints_wholebody', **kwargs: Any
    ) -> None:
        super().__init__(ann_file, sigmas, iou_type, **kwargs)


NMS: dict[str, Callable[..., np.ndarray]] = {'oks_nms': oks_nms, 'soft_oks_nms': soft_oks_nms}


def _box_and_joints(score_k: np.ndarray, box_score: float, vis_thr: float) -> float:
    seen = score_k[score_k > vis_thr]
    return box_score * (float(seen.mean()) if len(seen) else 0.0)


SCORES = {
    'bbox': lambda score_k, box_score, vis_thr: box_score,
    'keypoint': lambda score_k, box_score, vis_thr: score_k.mean(),
    'bbox_keypoint': _box_and_joints,
    'bbox_rle': lambda score_k, box_score, vis_thr: box_score + score_k.mean() + score_k.max(),
}
"""By mode, what makes a person's score of those of its joints, that of its box and the threshold of joints."""
