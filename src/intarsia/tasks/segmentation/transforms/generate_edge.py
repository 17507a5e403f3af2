"""Borders of the regions of a mask."""

from __future__ import annotations

import cv2
import numpy as np

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Results, Transform


@TRANSFORMS.register_module()
class GenerateEdge(Transform):
    """Add ``gt_edge_map``, uint8 ``(H, W)``: 1 where regions of ``gt_semantic_seg`` meet, 0 elsewhere.

    "Devil in the Details: Towards Accurate Single and Multiple Human Parsing" (CE2P; Liu et al., 2018,
    arXiv:1809.05996). The field is added to ``seg_fields``, so that later steps treat it as a mask; what they pad has
    their label of padding and does not count.

    Args:
        edge_width: Width of borders in pixels.
        ignore_index: Label that has no borders.
    """

    def __init__(self, edge_width: int = 3, ignore_index: int = 255) -> None:
        self.edge_width, self.ignore_index = edge_width, ignore_index

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Find the borders; nothing is drawn."""
        label = results['gt_semantic_seg']
        counts = label != self.ignore_index
        edge = np.zeros(label.shape, np.uint8)
        # Which pixel of each pair of neighbours is marked: below, to the left, above on both diagonals.
        down, up, left, right = slice(1, None), slice(None, -1), slice(None, -1), slice(1, None)
        whole = slice(None)
        for marked, other in (
            ((down, whole), (up, whole)),
            ((whole, left), (whole, right)),
            ((up, left), (down, right)),
            ((up, right), (down, left)),
        ):
            edge[marked] |= (label[marked] != label[other]) & counts[marked] & counts[other]
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (self.edge_width, self.edge_width))
        results['gt_edge_map'] = cv2.dilate(edge, kernel)
        results['seg_fields'] = [*(results.get('seg_fields') or ()), 'gt_edge_map']
        return results
