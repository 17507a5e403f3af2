"""Features, true segments and proposals of streams.

Shapes: c channels, t positions, n true segments, p proposals.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import BrokenFileError
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.image_transform import Array, require_choice
from intarsia.data.transforms.transform import Results, Transform
from intarsia.tasks.action.feature_file import FEATURE_SUFFIXES, read_features, read_table
from intarsia.tasks.action.localizers.proposals import COLUMNS


def shares_of(stream: Mapping[str, Any]) -> Array:
    """True segments as shares of what the features of a stream cover, float64 ``(N, 2)``; they may reach out of it.

    Args:
        stream: ``annotations``; ``duration_second``; and, if features end before the stream does, ``duration_frame``
            and ``feature_frame``, the frames that they cover.
    """
    covered = stream['duration_second']
    if stream.get('feature_frame') and stream.get('duration_frame'):
        covered *= stream['feature_frame'] / stream['duration_frame']
    segments = [each['segment'] for each in stream['annotations']]
    return np.array(segments, np.float64).reshape(-1, 2) / covered


@TRANSFORMS.register_module()
class LoadLocalizationFeature(Transform):
    """Read the features of a stream: ``raw_feature``, float32 ``(C, T)``.

    The file is ``feature_path``, or else that of ``video_name`` in the folder ``data_prefix``.

    Args:
        raw_feature_ext: How files end: ``'.csv'``, ``'.npy'`` or ``'.npz'``; see
            :func:`~intarsia.tasks.action.feature_file.read_features`.
    """

    def __init__(self, raw_feature_ext: str = '.csv') -> None:
        self.raw_feature_ext = require_choice('raw_feature_ext', raw_feature_ext, tuple(sorted(FEATURE_SUFFIXES)))

    def files_of(self, results: Results) -> list[Path]:
        """The file with the features."""
        if 'feature_path' in results:
            return [Path(results['feature_path'])]
        return [Path(results['data_prefix'] or '', results['video_name'] + self.raw_feature_ext)]

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn."""
        results['raw_feature'] = read_features(self.files_of(results)[0]).T
        return results


@TRANSFORMS.register_module()
class GenerateLocalizationLabels(Transform):
    """Make ``gt_bbox`` of the annotations of a stream: begins and ends as shares of it, float64 ``(N, 2)``."""

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Compute; nothing is drawn."""
        results['gt_bbox'] = shares_of(results).clip(0, 1)
        return results


@TRANSFORMS.register_module()
class LoadProposals(Transform):
    """Read the proposals of a stream, as ``intarsia proposals`` writes them, and their features.

    Sets, float32, ``bsp_feature`` ``(P, C)``; ``tmin``, ``tmax``, ``tmin_score``, ``tmax_score`` and
    ``reference_temporal_iou``, ``(P,)`` each; and, if the file knows classes, their probabilities ``class_scores``.

    Args:
        top_k: Most proposals that are taken, the first ones.
        pgm_proposals_dir: Folder of the proposals.
        pgm_features_dir: Folder of their features.
        proposal_ext: ``'.csv'``.
        feature_ext: ``'.npy'``.
    """

    def __init__(
        self,
        top_k: int,
        pgm_proposals_dir: str,
        pgm_features_dir: str,
        proposal_ext: str = '.csv',
        feature_ext: str = '.npy',
    ) -> None:
        self.top_k, self.pgm_proposals_dir, self.pgm_features_dir = top_k, pgm_proposals_dir, pgm_features_dir
        self.proposal_ext = require_choice('proposal_ext', proposal_ext, ('.csv',))
        self.feature_ext = require_choice('feature_ext', feature_ext, ('.npy',))

    def files_of(self, results: Results) -> list[Path]:
        """The file of proposals and that of features."""
        name = results['video_name']
        return [
            Path(self.pgm_proposals_dir, name + self.proposal_ext),
            Path(self.pgm_features_dir, name + self.feature_ext),
        ]

    def __call__(self, results: Results, rng: np.random.Generator) -> Results:
        """Read; nothing is drawn.

        Raises:
            BrokenFileError: A file is missing or broken, or they are of different proposals.
        """
        proposal_file, feature_file = self.files_of(results)
        rows_pc = read_table(proposal_file)[: self.top_k]
        feat_pc = read_features(feature_file)[: self.top_k]
        if len(rows_pc) != len(feat_pc):
            raise BrokenFileError(
                f'{proposal_file} has {len(rows_pc)} proposals, but {feature_file} features of {len(feat_pc)}, of the '
                f'first {self.top_k}: write both with one `intarsia proposals`, with at least this --top-k'
            )
        results.update(
            zip(COLUMNS[:4], rows_pc.T, strict=False), bsp_feature=feat_pc, reference_temporal_iou=rows_pc[:, 5]
        )
        if rows_pc.shape[1] > len(COLUMNS):
            results['class_scores'] = rows_pc[:, len(COLUMNS) :]
        return results
