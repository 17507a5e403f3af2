"""Videos with proposals, for structured segment networks.

Shapes: n proposals.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core.errors import DataError
from intarsia.core.registries import DATASETS
from intarsia.data.dataset import BaseDataset, read_class_names
from intarsia.data.transforms.image_transform import Array
from intarsia.data.transforms.transform import Results
from intarsia.tasks.action.datasets.proposal_list import (
    LABEL,
    bounded,
    kinds_of,
    read_proposal_list,
    regression_targets,
    stage_scales,
    ticks_of,
)
from intarsia.tasks.action.proposal_counts import BACKGROUND, POSITIVE, ProposalCounts


@DATASETS.register_module()
class SSNDataset(BaseDataset):
    """Videos as frames, with proposals. In training some of these are drawn, in testing all are classified.

    Args:
        ann_file: List of proposals; see :func:`~intarsia.tasks.action.datasets.proposal_list.read_proposal_list`.
        pipeline: Transform nodes or callables.
        train_cfg: ``ssn.assigner``, what makes a proposal right, incomplete or background; ``ssn.sampler``, how many of
            each are drawn.
        test_cfg: ``ssn.sampler.test_interval``: frames between two that are looked at in testing.
        data_prefix: Folder of the folders with frames.
        test_mode: For validation and testing.
        filename_tmpl: How files of frames are named.
        start_index: Number of the first frame.
        modality: ``'RGB'`` or ``'Flow'``.
        video_centric: Whether proposals are drawn from one video, and of others only if it has none of a kind.
        reg_normalize_constants: Means and standard deviations of what moves boundaries; None takes those of the data.
        body_segments: Segments of a proposal in training.
        aug_segments: Segments of the stages before and behind it.
        aug_ratio: How long these are, as parts of the proposal.
        clip_len: Frames of a segment.
        frame_interval: Distance of these frames.
        filter_gt: In testing too, leave out videos without true segments.
        use_regression: Whether boundaries are moved in testing.
        verbose: Log how many proposals there are of each kind.
        classes: Names of the classes, or a file with one a line.

    Raises:
        DataError: The list is missing or broken, or there is no proposal of a kind to train on.
    """

    default_metrics = (dict(type='SegmentAP', eval_dataset='thumos14'),)
    """What is measured, if nothing else is said."""

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Mapping[str, Any]],
        train_cfg: Mapping[str, Any],
        test_cfg: Mapping[str, Any],
        data_prefix: str,
        test_mode: bool = False,
        filename_tmpl: str = 'img_{:05d}.jpg',
        start_index: int = 1,
        modality: str = 'RGB',
        video_centric: bool = True,
        reg_normalize_constants: Sequence[Sequence[float]] | None = None,
        body_segments: int = 5,
        aug_segments: Sequence[int] = (2, 2),
        aug_ratio: float | Sequence[float] = (0.5, 0.5),
        clip_len: int = 1,
        frame_interval: int = 1,
        filter_gt: bool = True,
        use_regression: bool = True,
        verbose: bool = False,
        classes: str | Sequence[str] | None = None,
    ) -> None:
        self.ann_file, self.data_prefix = ann_file, data_prefix
        self.CLASSES = None if classes is None else read_class_names(classes)
        self.assigner, sampler = train_cfg['ssn']['assigner'], train_cfg['ssn']['sampler']
        self.counts, self.adds_gts = ProposalCounts.of(sampler), sampler.get('add_gt_as_proposals', True)
        self.test_interval = test_cfg['ssn']['sampler']['test_interval']
        self.facts = {'filename_tmpl': filename_tmpl, 'start_index': start_index, 'modality': modality}
        self.video_centric, self.filter_gt, self.use_regression = video_centric, filter_gt, use_regression
        self.aug_ratio = (aug_ratio, aug_ratio) if isinstance(aug_ratio, (int, float)) else tuple(aug_ratio)
        self.span = clip_len * frame_interval
        self.constants = None if reg_normalize_constants is None else np.asarray(reg_normalize_constants, float)
        super().__init__(pipeline, test_mode, task='action')
        if verbose:
            sizes = [len(pool) for pool in self.pools]
            logging.getLogger('intarsia').info('%s: %d right, %d incomplete, %d background proposals', ann_file, *sizes)

    @property
    def unfit_for_evaluation(self) -> str | None:
        """Why there is nothing to evaluate, if there is not."""
        if self.test_mode:
            return None
        return (
            'this SSNDataset draws proposals (test_mode=False), so that only losses are known: set test_mode=True and '
            'the pipeline of testing, or train with --no-validate'
        )

    # ---------------------------------------------------------------------- reading

    def load_annotations(self) -> list[dict[str, Any]]:
        """The videos of the list; of a normalized one those of the list in frames beside it."""
        file = self.ann_file.replace('normalized_', '')
        if not Path(file).is_file() and file != self.ann_file:
            raise DataError(f'ann_file: {self.ann_file} is in shares; put the list in frames beside it: {file}')
        videos = list(read_proposal_list(file))
        if self.filter_gt or not self.test_mode:
            videos = [video for video in videos if len(video['gts'])]
        return [{**video, 'frame_dir': str(Path(self.data_prefix, video['video_id']))} for video in videos]

    def index_annotations(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make the pools of proposals that are drawn from, and normalize what moves boundaries."""
        by_video = [self.candidates(row) for row in rows]
        self.pools = [np.concatenate([each[kind] for each in by_video] or [np.zeros((0, 7))]) for kind in range(3)]
        if self.constants is None:
            moved_n2 = np.concatenate([self._right_targets(row) for row in rows] or [np.zeros((0, 2))])
            known = [moved_n2.mean(0), moved_n2.std(0)] if len(moved_n2) else [np.zeros(2), np.ones(2)]
            self.constants = np.stack(known)

    def _right_targets(self, row: Mapping[str, Any]) -> Array:
        right_n5 = row['proposals'][kinds_of(row, self.assigner)[0]]
        total = row['total_frames']
        if not len(right_n5) or not len(row['gts']):
            return np.zeros((0, 2))
        return regression_targets(bounded(right_n5, total), bounded(row['gts'], total))

    def candidates(self, row: Mapping[str, Any]) -> list[Array]:
        """The right, incomplete and background proposals of a video.

        Each ``(N, 7)``: first frame, the one behind the last, label, what moves boundaries (2), how much of the stages
        before and behind it lies within the video (2).
        """
        rows_n5, true_g5, total = row['proposals'], row['gts'], row['total_frames']
        groups = [rows_n5[indices] for indices in kinds_of(row, self.assigner)]
        if self.adds_gts:
            groups[POSITIVE] = np.concatenate([groups[POSITIVE], true_g5])
        found = []
        for kind, group_n5 in enumerate(groups):
            segment_n2 = bounded(group_n5, total)
            label_n = group_n5[:, LABEL] * (kind != BACKGROUND)
            moved_n2 = np.zeros((len(group_n5), 2))
            if kind == POSITIVE and len(group_n5) and len(true_g5):
                moved_n2 = regression_targets(segment_n2, bounded(true_g5, total))
            scale_n2 = stage_scales(segment_n2, total, self.span, self.aug_ratio)
            found.append(np.column_stack([segment_n2, label_n, moved_n2, scale_n2]))
        return found

    # ---------------------------------------------------------------------- samples

    def draw(self, index: int, rng: np.random.Generator) -> Results:
        """A video with drawn proposals; for testing with all of them.

        Raises:
            DataError: There are no proposals of a kind.
        """
        row = self.annotations[index]
        facts = {**self.facts, **{key: row[key] for key in ('video_id', 'frame_dir', 'total_frames')}}
        if self.test_mode:
            return {**facts, **self.all_proposals(row)}
        own = self.candidates(row) if self.video_centric else [np.zeros((0, 7))] * 3
        drawn = [self._drawn(rng, kind, own[kind], count) for kind, count in enumerate(self.counts)]
        rows_n7 = np.concatenate(drawn)
        kind_n = np.repeat(np.arange(3), self.counts)
        mean_2, std_2 = self.constants  # type: ignore[misc]
        moved_n2 = (rows_n7[:, 3:5] - mean_2) / np.where(std_2 > 0, std_2, 1) * (kind_n == POSITIVE)[:, None]
        return {
            **facts,
            'out_proposals': rows_n7[:, :2].astype(np.int64),
            'reg_targets': moved_n2.astype(np.float32),
            'proposal_scale_factor': rows_n7[:, 5:].astype(np.float32),
            'proposal_labels': rows_n7[:, 2].astype(np.int64),
            'proposal_type': kind_n,
        }

    def _drawn(self, rng: np.random.Generator, kind: int, own_n7: Array, count: int) -> Array:
        """``count`` proposals of a kind, of the video if it has any."""
        pool = own_n7 if len(own_n7) else self.pools[kind]
        if not len(pool) and count:
            name = ('right', 'incomplete', 'background')[kind]
            raise DataError(f'{self.ann_file} has no {name} proposal: see the thresholds of train_cfg.ssn.assigner')
        return pool[rng.choice(len(pool), count, replace=len(pool) < count)] if count else pool[:0]

    def all_proposals(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What testing knows of a video's proposals; the whole video is one if there are none."""
        total = row['total_frames']
        segment_n2 = bounded(row['proposals'], total)
        if not len(segment_n2):
            segment_n2 = np.array([[0, total - 1]])
        share_n2 = segment_n2 / total
        num_positions = len(range(0, total - self.span, self.test_interval))
        ticks, scales = ticks_of(share_n2, self.aug_ratio, num_positions)
        return {
            'relative_proposal_list': share_n2.astype(np.float32),
            'scale_factor_list': scales,
            'proposal_tick_list': ticks,
            'reg_norm_consts': self.constants if self.use_regression else np.zeros((2, 2)),
        }

    def truth(self, index: int) -> dict[str, Any]:
        """What the result for a video is compared with; the unit of time is its length."""
        row = self.annotations[index]
        return {
            'video': row['video_id'],
            'segments': bounded(row['gts'], row['total_frames']) / row['total_frames'],
            'labels': row['gts'][:, LABEL].astype(np.int64) - 1,
            'duration': 1.0,
        }

    def describe(self, index: int) -> str:
        """The video, and where it is described."""
        return f'{self.annotations[index]["frame_dir"]} of {self.ann_file}'
