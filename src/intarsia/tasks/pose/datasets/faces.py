"""Faces. NME is in distances between the outer corners of the eyes unless said otherwise."""

from __future__ import annotations

from typing import ClassVar

from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset


@DATASETS.register_module()
class Face300WDataset(TopDownCocoDataset):
    """68 points. "300 Faces In-The-Wild Challenge", Sagonas et al., Image and Vision Computing, 2016."""

    DATASET_INFO = '300w'
    default_metrics = ('NME',)
    CLIPS_BOXES = False
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (36, 45)}


@DATASETS.register_module()
class FaceWFLWDataset(TopDownCocoDataset):
    """98 points. "Look at Boundary: A Boundary-Aware Face Alignment Algorithm", Wu et al., 2018, arXiv:1805.10483."""

    DATASET_INFO = 'wflw'
    default_metrics = ('NME',)
    CLIPS_BOXES = False
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (60, 72)}


@DATASETS.register_module()
class FaceCOFWDataset(TopDownCocoDataset):
    """29 points. "Robust Face Landmark Estimation under Occlusion", Burgos-Artizzu et al., ICCV 2013."""

    DATASET_INFO = 'cofw'
    default_metrics = ('NME',)
    CLIPS_BOXES = False
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (8, 9)}


@DATASETS.register_module()
class FaceAFLWDataset(TopDownCocoDataset):
    """19 points; NME is in sizes of the box. "Annotated Facial Landmarks in the Wild", Koestinger et al., 2011."""

    DATASET_INFO = 'aflw'
    default_metrics = ('NME',)
    CLIPS_BOXES = False
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'use_norm_item', 'norm_item': 'box_size'}


@DATASETS.register_module()
class Face300VWDataset(TopDownCocoDataset):
    """68 points in frames of videos.

    "The First Facial Landmark Tracking in-the-Wild Challenge: Benchmark and Results", Shen et al., ICCV Workshops 2015.
    """

    DATASET_INFO = '300vw'
    default_metrics = ('NME',)
    CLIPS_BOXES = False
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (36, 45)}


@DATASETS.register_module()
class Face300WLPDataset(TopDownCocoDataset):
    """68 points of faces turned far to the side.

    "Face Alignment Across Large Poses: A 3D Solution", Zhu et al., 2015, arXiv:1511.07212.
    """

    DATASET_INFO = '300wlp'
    default_metrics = ('NME',)
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (36, 45)}


@DATASETS.register_module()
class LapaDataset(TopDownCocoDataset):
    """106 points.

    "A New Dataset and Boundary-Attention Semantic Segmentation for Face Parsing", Liu et al., AAAI 2020.
    """

    DATASET_INFO = 'lapa'
    default_metrics = ('NME',)
    METRIC_ARGUMENTS: ClassVar = {'norm_mode': 'keypoint_distance', 'keypoint_indices': (66, 79)}
