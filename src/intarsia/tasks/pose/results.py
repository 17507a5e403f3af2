"""The prediction for one image, or for one person in it.

Shapes: p people, k joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.tasks.pose.dataset_info import DatasetInfo


@dataclass(frozen=True, eq=False)
class PoseResult:
    """The people found in an image; from a batch of crops, one person each.

    Attributes:
        keypoints: x, y of every joint in pixels of the original image, float32 ``(P, K, 2)``.
        scores: How sure the network is of each joint, 0 ... 1, float32 ``(P, K)``.
        boxes: Where the people are: x, y of the left upper corner, width, height; float32 ``(P, 4)``.
        box_scores: How sure a detector was of each box, float32 ``(P,)``; 1 where nobody said.
        areas: Of what was looked at to find each, in square pixels, float32 ``(P,)``; None for those of the boxes.
        info: Names of the joints and the lines between them, if the model knows them.
        tags: Embedding of every joint, float32 ``(P, K, L)``; only from bottom-up models that group by it.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    areas: np.ndarray | None = None
    info: DatasetInfo | None = None
    tags: np.ndarray | None = None

    def __len__(self) -> int:
        """How many people."""
        return len(self.keypoints)

    @classmethod
    def joined(cls, results: Sequence[PoseResult], info: DatasetInfo | None = None) -> PoseResult:
        """The people of several results for one image."""
        if not results:
            count = info.num_keypoints if info else 0
            keypoints, scores, boxes, box_scores = (
                np.zeros((0, *shape), np.float32) for shape in ((count, 2), (count,), (4,), ())
            )
            return cls(keypoints, scores, boxes, box_scores, info=info)
        keypoints, scores, boxes, box_scores = (
            np.concatenate([getattr(result, name) for result in results])
            for name in ('keypoints', 'scores', 'boxes', 'box_scores')
        )
        return cls(keypoints, scores, boxes, box_scores, info=results[0].info)

    def name(self, joint: int) -> str:
        """The name of a joint; its number if the names are not known."""
        return self.info.keypoint_names[joint] if self.info is not None else str(joint)

    def __str__(self) -> str:
        """``2 people, mean scores 0.87 0.61``."""
        scores = ' '.join(f'{score:.2f}' for score in self.scores.mean(axis=1))
        people = 'person' if len(self) == 1 else 'people'
        return f'{len(self)} {people}' + (f', mean score{"s" * (len(self) > 1)} {scores}' if len(self) else '')

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values, for JSON."""
        return {'people': [self._person(i) for i in range(len(self))]}

    def _person(self, i: int) -> dict[str, Any]:
        joints = zip(self.keypoints[i].tolist(), self.scores[i].tolist(), strict=True)
        return {
            'keypoints': {self.name(joint): [*xy, score] for joint, (xy, score) in enumerate(joints)},
            'box': self.boxes[i].tolist(),
            'box_score': float(self.box_scores[i]),
        }
