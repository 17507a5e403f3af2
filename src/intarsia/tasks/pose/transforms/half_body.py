"""Cutting out half a person."""

from __future__ import annotations

import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, Drawn
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.pose.transforms.boxes import fitted_scale

LEAST = 3
"""Marked joints of a half without which the other is taken; with one joint nothing is cut out."""


@TRANSFORMS.register_module()
class TopDownHalfBodyTransform(Transform):
    """Cut out the upper or the lower half of a body: networks then know people who are cut off by the image.

    From "Human Pose Estimation for Real-World Crowded Scenarios", Golda et al., 2019, arXiv:1907.06922; sets ``center``
    and ``scale`` around the marked joints of one half.

    Args:
        num_joints_half_body: Only people with more marked joints are halved.
        prob_half_body: Probability of doing so.
        upper_prob: Probability of the upper half where both can be cut out.
        padding: How much larger than the box around the joints the part is.
    """

    def __init__(
        self,
        num_joints_half_body: int = 8,
        prob_half_body: float = 0.3,
        upper_prob: float = 0.6915,
        padding: float = 1.5,
    ) -> None:
        self.num_joints_half_body = num_joints_half_body
        self.prob_half_body = prob_half_body
        self.upper_prob = upper_prob
        self.padding = padding

    def draw(self, rng: np.random.Generator, visible_k: Array) -> Drawn | None:
        """``prefer_upper``, or None to leave the person whole."""
        if visible_k.sum() <= self.num_joints_half_body or rng.random() >= self.prob_half_body:
            return None
        return {'prefer_upper': bool(rng.random() < self.upper_prob)}

    def apply(self, results: Results, prefer_upper: bool) -> Results:
        """Set centre and scale for the half that is preferred, or the other if that has too few joints."""
        info = results['ann_info']
        marked = results['joints_3d_visible'][:, 0] > 0
        is_upper = np.zeros(len(marked), bool)
        is_upper[list(info['upper_body_ids'])] = True
        upper, lower = (results['joints_3d'][marked & half, :2] for half in (is_upper, ~is_upper))
        takes_upper = (prefer_upper and len(upper) >= LEAST) or len(lower) < LEAST
        chosen = upper if takes_upper else lower
        if len(chosen) < 2:
            return results
        chosen = chosen.astype(np.float32)
        width, height = (chosen.max(axis=0) - chosen.min(axis=0)).tolist()
        results['center'] = chosen.mean(axis=0)
        results['scale'] = fitted_scale(width, height, info['image_size']) * np.float32(self.padding)
        return results

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Draw and cut."""
        drawn = self.draw(rng, results['joints_3d_visible'][:, 0])
        return results if drawn is None else self.apply(results, **drawn)
