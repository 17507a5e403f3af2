"""COCO's average precision of poses, for one data set.

Shapes: p people, k joints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.tasks.pose.datasets.coco_file import CocoFile
from intarsia.tasks.pose.metrics.average_precision import (
    AREAS,
    MAX_FOUND,
    Annotated,
    Found,
    Matches,
    match,
    oks_matrix,
    summarize,
    summarize_crowd,
)
from intarsia.tasks.pose.metrics.oks import oks_nms, soft_oks_nms
from intarsia.tasks.pose.results import PoseResult

AREA_OF_BOX = 0.53
"""Part of its box that a person covers, where areas are not annotated."""


class Person(NamedTuple):
    """One found person: joints x, y, score ``(K, 3)``; its score; the area it was looked for in; its category."""

    joints: np.ndarray
    score: float
    area: float
    category: int


@METRICS.register_module()
class CocoMetric:
    """Average precision and recall over object keypoint similarity: ``AP``, ``AP .5`` ... ``AR (L)``, 0 ... 1.

    "Microsoft COCO: Common Objects in Context" (Lin et al., 2014, arXiv:1405.0312). Equal to what pycocotools computes.

    Args:
        ann_file: The annotations; people who were never found count too.
        sigmas: How exactly people can place each joint.
        iou_type: ``'keypoints_crowd'`` reports by how crowded images are (``AP(E)``, ``AP(M)``, ``AP(H)``), not by the
            areas of people; for CrowdPose.
        use_area: Whether areas are those of the annotations, or a part of the box.
        score_mode: What a person's score is: ``'bbox'``, that of its box; ``'bbox_keypoint'``, times the mean score of
            joints above ``vis_thr``.
        nms_mode: How people found twice are left out: ``'oks_nms'``, ``'soft_oks_nms'`` or ``'none'``.
        use_nms: Older word: False is ``nms_mode='none'``.
        soft_nms: Older word: True is ``nms_mode='soft_oks_nms'``.
        oks_thr: Greatest OKS of two people who are kept.
        nms_thr: Newer word for ``oks_thr``.
        vis_thr: Joints with lower scores do not count in a person's score.
        outfile: Where to write the results in COCO's format, for a test server.
        format_only: Only write the results.

    Raises:
        ValueError: There are no sigmas, or nothing to write to.
    """

    def __init__(
        self,
        ann_file: str,
        sigmas: Sequence[float],
        iou_type: Literal['keypoints', 'keypoints_crowd'] = 'keypoints',
        use_area: bool = True,
        score_mode: Literal['bbox', 'bbox_keypoint'] = 'bbox_keypoint',
        nms_mode: Literal['oks_nms', 'soft_oks_nms', 'none'] = 'oks_nms',
        use_nms: bool = True,
        soft_nms: bool = False,
        oks_thr: float = 0.9,
        vis_thr: float = 0.2,
        outfile: str | None = None,
        format_only: bool = False,
    ) -> None:
        if not len(sigmas):
            raise ValueError('mAP needs sigmas, one a joint, in dataset_info; PCK, AUC, EPE and NME do without')
        if format_only and outfile is None:
            raise ValueError('format_only needs outfile')
        self.ann_file = ann_file
        self.sigmas = np.asarray(sigmas, np.float64)
        self.iou_type, self.use_area = iou_type, use_area
        self.score_mode = score_mode
        self.nms_mode = 'none' if not use_nms else 'soft_oks_nms' if soft_nms else nms_mode
        self.oks_thr, self.vis_thr = oks_thr, vis_thr
        self.outfile, self.format_only = outfile, format_only
        self._people: dict[Any, dict[int, list[Person]]] = {}

    # ------------------------------------------------------------------ counting

    def update(self, result: PoseResult, truth: Mapping[str, Any]) -> None:
        """Count one sample: the person of a box, or all of an image.

        Args:
            result: What was found.
            truth: ``image_id``, and ``bbox_id`` if samples are boxes; ``category_id`` if there are several.
        """
        joints_pk3 = np.concatenate([result.keypoints, result.scores[..., None]], -1).astype(np.float64)
        areas = result.boxes[:, 2:].prod(1) if result.areas is None else result.areas
        found = [
            Person(joints, self._score(joints, float(box)), float(area), int(truth.get('category_id', 1)))
            for joints, box, area in zip(joints_pk3, result.box_scores, areas, strict=True)
        ]
        self._people.setdefault(truth['image_id'], {})[int(truth.get('bbox_id', 0))] = found

    def _score(self, joints_k3: np.ndarray, box_score: float) -> float:
        if self.score_mode == 'bbox':
            return box_score
        seen = joints_k3[joints_k3[:, 2] > self.vis_thr, 2]
        return box_score * (float(seen.mean()) if len(seen) else 0.0)

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
        """The ten numbers of COCO; none with ``format_only``.

        Raises:
            ValueError: Nothing was counted.
        """
        if not self._people:
            raise ValueError('CocoMetric has counted nothing')
        kept = {image: self._kept(people) for image, people in self._people.items()}
        if self.outfile is not None:
            self._write(kept)
        return {} if self.format_only else self.evaluate(kept)

    def _kept(self, people: Mapping[int, Sequence[Person]]) -> list[Person]:
        """People of one image, those who were found twice left out."""
        found = [person for box in sorted(people) for person in people[box]]
        if self.nms_mode == 'none' or not found:
            return found
        nms = soft_oks_nms if self.nms_mode == 'soft_oks_nms' else oks_nms
        joints, scores, areas = (np.array([person[i] for person in found]) for i in range(3))
        return [found[i] for i in nms(joints, scores, areas, self.oks_thr, sigmas=self.sigmas.tolist())]

    def evaluate(self, kept: Mapping[Any, Sequence[Person]]) -> dict[str, float]:
        """The numbers of COCO, or of CrowdPose, for the people of each image."""
        matches: dict[str, dict[Any, list[Matches]]] = {name: {} for name in AREAS}
        crowding: dict[Any, list[float]] = {}
        images = CocoFile.read(self.ann_file).images
        for image, category, people, truth in self.pairs(kept):
            found = found_of(people, len(self.sigmas))
            oks = oks_matrix(found.keypoints, truth, self.sigmas)
            for name, area in AREAS.items():
                matches[name].setdefault(category, []).append(match(found, truth, oks, area))
            crowding.setdefault(category, []).append(float(images[image].get('crowdIndex', 0.0)))
        if self.iou_type == 'keypoints_crowd':
            return summarize_crowd(list(matches['all'].values()), list(crowding.values()))
        return summarize({name: list(categories.values()) for name, categories in matches.items()})

    def pairs(self, kept: Mapping[Any, Sequence[Person]]) -> Iterator[tuple[Any, Any, list[Person], Annotated]]:
        """Image, category, the best found people, and the annotated ones; those without either left out."""
        coco = CocoFile.read(self.ann_file)
        groups = coco.by_image()
        for category in sorted({category['id'] for category in coco.categories}) or [1]:
            for image in sorted(groups):
                truth = self._annotated([a for a in groups[image] if a.get('category_id', 1) == category])
                people = [person for person in kept.get(image, ()) if person.category == category]
                if people or len(truth.areas):
                    yield image, category, sorted(people, key=lambda person: -person.score)[:MAX_FOUND], truth

    def _annotated(self, annotations: Sequence[Mapping[str, Any]]) -> Annotated:
        count = len(self.sigmas)
        known = [a for a in annotations if len(a.get('keypoints', ())) == 3 * count]
        keypoints = np.array([a['keypoints'] for a in known], np.float64).reshape(-1, count, 3)
        boxes = np.array([a['bbox'] for a in known], np.float64).reshape(-1, 4)
        if self.use_area:
            areas = np.array([a['area'] for a in known], np.float64)
        else:
            areas = boxes[:, 2] * boxes[:, 3] * AREA_OF_BOX
        crowds = np.array([bool(a.get('iscrowd', 0)) for a in known], bool)
        has_none = [
            a.get('num_keypoints', int((k[:, 2] > 0).sum())) == 0 for a, k in zip(known, keypoints, strict=True)
        ]
        return Annotated(keypoints, boxes, areas, crowds | np.array(has_none, bool), crowds)

    def _write(self, kept: Mapping[Any, Sequence[Person]]) -> None:
        file = Path(str(self.outfile))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(list(_rows(kept))), encoding='utf-8')


def _rows(kept: Mapping[Any, Sequence[Person]]) -> Iterator[dict[str, Any]]:
    for image, people in kept.items():
        for person in people:
            joints = person.joints.reshape(-1).tolist()
            yield dict(image_id=image, category_id=person.category, keypoints=joints, score=person.score)


def found_of(people: Sequence[Person], num_joints: int) -> Found:
    """People as the protocol sees them; the area of one is that of the smallest box around its joints."""
    joints_dk2 = np.array([person.joints[:, :2] for person in people]).reshape(len(people), num_joints, 2)
    areas = np.ptp(joints_dk2, axis=1).prod(1)
    return Found(joints_dk2, np.array([person.score for person in people], np.float64), areas)
