"""Hands, 21 joints."""

from __future__ import annotations

from intarsia.core.registries import DATASETS
from intarsia.tasks.pose.datasets.top_down import TopDownCocoDataset


@DATASETS.register_module()
class OneHand10KDataset(TopDownCocoDataset):
    """Hands of people in photographs.

    "Mask-Pose Cascaded CNN for 2D Hand Pose Estimation From Single Color Image", Wang et al., IEEE Transactions on
    Circuits and Systems for Video Technology, 2018.
    """

    DATASET_INFO = 'onehand10k'
    default_metrics = ('PCK', 'AUC', 'EPE')
    CLIPS_BOXES = False


@DATASETS.register_module()
class FreiHandDataset(TopDownCocoDataset):
    """Images of 224x224.

    "FreiHAND: A Dataset for Markerless Capture of Hand Pose and Shape from Single RGB Images", Zimmermann et al., 2019,
    arXiv:1909.04349.
    """

    DATASET_INFO = 'freihand2d'
    default_metrics = ('PCK', 'AUC', 'EPE')
    FIXED_BOX = (0, 0, 224, 224)


@DATASETS.register_module()
class PanopticDataset(TopDownCocoDataset):
    """Hands of people seen by many cameras.

    "Hand Keypoint Detection in Single Images using Multiview Bootstrapping", Simon et al., 2017, arXiv:1704.07809.
    """

    DATASET_INFO = 'panoptic_hand2d'
    default_metrics = ({'type': 'PCKAccuracy', 'norm_item': 'head', 'thr': 0.7}, 'AUC', 'EPE')
    CLIPS_BOXES = False


@DATASETS.register_module()
class Rhd2DDataset(TopDownCocoDataset):
    """Rendered hands.

    "Learning to Estimate 3D Hand Pose from Single RGB Images", Zimmermann and Brox, 2017,
    arXiv:1705.01389.
    """

    DATASET_INFO = 'rhd2d'
    default_metrics = ('PCK', 'AUC', 'EPE')
    CLIPS_BOXES = False
