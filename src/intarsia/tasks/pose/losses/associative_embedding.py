"""Tags that are the same for joints of one person, and differ between people.

Shapes: n images, m people, k joints, l numbers in a tag, h rows, w columns, p places in all maps of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.pose_loss import at_least_float32


@LOSSES.register_module()
class AELoss(nn.Module):
    """How far tags of a person's joints are apart (pull), and how close tags of two people are (push).

    "Associative Embedding: End-to-End Learning for Joint Detection and Grouping" (Newell et al., 2016,
    arXiv:1611.05424).

    Args:
        loss_type: How the distance of two people counts: ``'exp'``, the Gaussian of it, or ``'max'``, what is missing
            to 1.

    Raises:
        ValueError: The type is unknown.
    """

    def __init__(self, loss_type: Literal['exp', 'max']) -> None:
        super().__init__()
        if loss_type not in ('exp', 'max'):
            raise ValueError(f"{type(self).__name__}: loss_type is 'exp' or 'max', not {loss_type!r}")
        self.loss_type = loss_type

    def forward(self, tags: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both losses of each image.

        Args:
            tags: The tag of every place, ``(N, P)`` or ``(N, P, 1)``.
            joints: For each joint of each person its place, and whether it is there, int64 ``(N, M, K, 2)``.

        Returns:
            push and pull, ``(N,)`` each; 0 where there is nobody to push or pull.
        """
        place_nmk, is_there_nmk = joints[..., 0], joints[..., 1] > 0
        tag_np = at_least_float32(tags).flatten(1)
        tag_nmkl = tag_np.gather(1, place_nmk.flatten(1)).view(place_nmk.shape)[..., None]
        mean_nml, spread_nm, num_n = tags_of_people(tag_nmkl, is_there_nmk)
        near_nmm = self._nearness(mean_nml[:, :, None, 0] - mean_nml[:, None, :, 0])
        # everybody is as near as can be to himself
        push_n = of_pairs(near_nmm, is_there_nmk.any(-1)) - num_n
        pairs_n = (num_n * (num_n - 1)).clamp(min=1)
        return torch.where(num_n > 1, 0.5 * push_n / pairs_n, 0.0), spread_nm.sum(1) / num_n.clamp(min=1)

    def _nearness(self, difference: Tensor) -> Tensor:
        return torch.exp(-(difference**2)) if self.loss_type == 'exp' else (1 - difference.abs()).clamp(min=0)


@LOSSES.register_module()
class AssociativeEmbeddingLoss(nn.Module):
    """As :class:`AELoss`, with tags of several numbers, and summed over the images of a batch.

    Args:
        loss_weight: Factor of both losses.
        push_loss_factor: Factor of the push loss, besides.
    """

    def __init__(self, loss_weight: float = 1.0, push_loss_factor: float = 0.5) -> None:
        super().__init__()
        self.loss_weight, self.push_loss_factor = loss_weight, push_loss_factor

    def forward(self, tags: Tensor, keypoint_indices: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute both losses.

        Args:
            tags: Maps ``(N, L * K, H, W)``; first those of all joints for the first number of a tag.
            keypoint_indices: For each joint of each person its place y * W + x, and whether it is there, int64
                ``(N, M, K, 2)``, or for each image ``(M, K, 2)``.

        Returns:
            pull and push, scalars.
        """
        joints = keypoint_indices
        if not isinstance(joints, Tensor):
            joints = pad_sequence(list(joints), batch_first=True)
        num_joints = joints.shape[2]
        place_nmk, is_there_nmk = joints[..., 0], joints[..., 1] > 0
        tag_nlkp = at_least_float32(tags).unflatten(1, (-1, num_joints)).flatten(3)
        index_nlkm = place_nmk.transpose(1, 2)[:, None].expand(-1, tag_nlkp.shape[1], -1, -1)
        tag_nmkl = tag_nlkp.gather(3, index_nlkm).permute(0, 3, 2, 1)
        mean_nml, spread_nm, num_n = tags_of_people(tag_nmkl, is_there_nmk)
        near_nmm = torch.exp(-((mean_nml[:, :, None] - mean_nml[:, None]) ** 2)).sum(-1)
        push_n = torch.where(num_n > 1, of_pairs(near_nmm, is_there_nmk.any(-1)) / (num_n * (num_n - 1) + 1e-6), 0.0)
        pull_n = spread_nm.sum(1) / (num_n + 1e-6)
        return self.loss_weight * pull_n.sum(), self.loss_weight * self.push_loss_factor * push_n.sum()


def tags_of_people(tag_nmkl: Tensor, is_there_nmk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What people's tags are, from those of their joints.

    Returns:
        The mean tag of each ``(N, M, L)``, how far the tags of joints are from it, squared ``(N, M)``, and how many
        people there are in each image ``(N,)``. People without joints have 0.
    """
    weight_nmk1 = is_there_nmk[..., None].to(tag_nmkl.dtype)
    count_nm1 = weight_nmk1.sum(2)
    mean_nml = (tag_nmkl * weight_nmk1).sum(2) / count_nm1.clamp(min=1)
    off_nmkl = (tag_nmkl - mean_nml[:, :, None]) ** 2 * weight_nmk1
    spread_nm = off_nmkl.mean(-1).sum(2) / count_nm1[..., 0].clamp(min=1)
    return mean_nml, spread_nm, is_there_nmk.any(-1).sum(1)


def of_pairs(near_nmm: Tensor, is_there_nm: Tensor) -> Tensor:
    """The sum over pairs of people that are there, ``(N,)``."""
    return torch.where(is_there_nm[:, :, None] & is_there_nm[:, None], near_nmm, 0.0).sum((1, 2))
