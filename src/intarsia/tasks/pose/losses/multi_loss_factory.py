"""The losses of bottom-up networks: heat maps and tags at several scales.

Shapes: n images, m people, k joints, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from intarsia.core.registries import LOSSES
from intarsia.tasks.pose.losses.associative_embedding import AELoss
from intarsia.tasks.pose.losses.pose_loss import at_least_float32, check_pair

OfScales = list[Tensor | None]
"""A loss of each image ``(N,)`` for each scale; None where there is none."""


@LOSSES.register_module()
class HeatmapLoss(nn.Module):
    """Squared error of heat maps where people are marked; the mean over the pixels of each image.

    Args:
        supervise_empty: Whether maps whose target is 0 everywhere count.
    """

    def __init__(self, supervise_empty: bool = True) -> None:
        super().__init__()
        self.supervise_empty = supervise_empty

    def forward(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Compute the loss of each image ``(N,)``; maps are ``(N, K, H, W)``, ``mask`` is ``(N, H, W)``."""
        check_pair(self, output, target)
        error = (at_least_float32(output) - target) ** 2 * mask[:, None]
        if not self.supervise_empty:
            error = error * (target.sum((2, 3), keepdim=True) > 0)
        return error.mean((1, 2, 3))


@LOSSES.register_module()
class MultiLossFactory(nn.Module):
    """Losses of heat maps and tags for every scale.

    "HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human Pose Estimation" (Cheng et al., 2020,
    arXiv:1908.10357).

    Args:
        num_joints: K.
        num_stages: Number of scales.
        ae_loss_type: ``'exp'`` or ``'max'``; see :class:`~intarsia.tasks.pose.losses.associative_embedding.AELoss`.
        with_ae_loss: For each scale, whether it has tags.
        push_loss_factor: For each scale, the factor of that loss.
        pull_loss_factor: For each scale, the factor of that loss.
        with_heatmaps_loss: For each scale, whether it has heat maps.
        heatmaps_loss_factor: For each scale, the factor of that loss.
        supervise_empty: Whether maps whose target is 0 everywhere count.

    Raises:
        ValueError: There is not one entry a scale.
    """

    def __init__(
        self,
        num_joints: int,
        num_stages: int,
        ae_loss_type: Literal['exp', 'max'],
        with_ae_loss: Sequence[bool],
        push_loss_factor: Sequence[float],
        pull_loss_factor: Sequence[float],
        with_heatmaps_loss: Sequence[bool],
        heatmaps_loss_factor: Sequence[float],
        supervise_empty: bool = True,
    ) -> None:
        super().__init__()
        settings = dict(
            with_ae_loss=with_ae_loss, push_loss_factor=push_loss_factor, pull_loss_factor=pull_loss_factor,
            with_heatmaps_loss=with_heatmaps_loss, heatmaps_loss_factor=heatmaps_loss_factor,
        )  # fmt: skip
        for name, values in settings.items():
            if len(values) != num_stages:
                raise ValueError(f'MultiLossFactory: num_stages={num_stages}, but {name} has {len(values)} entries')
        self.num_joints, self.num_stages = num_joints, num_stages
        self.with_ae_loss, self.with_heatmaps_loss = list(with_ae_loss), list(with_heatmaps_loss)
        self.push_loss_factor, self.pull_loss_factor = list(push_loss_factor), list(pull_loss_factor)
        self.heatmaps_loss_factor = list(heatmaps_loss_factor)
        self.heatmaps_loss = HeatmapLoss(supervise_empty)
        self.ae_loss = AELoss(ae_loss_type)

    def forward(
        self, outputs: Sequence[Tensor], heatmaps: Sequence[Tensor], masks: Sequence[Tensor], joints: Sequence[Tensor]
    ) -> tuple[OfScales, OfScales, OfScales]:
        """Compute the losses of each image.

        Args:
            outputs: For each scale its K heat maps, if it has some, and its tags, ``(N, C, H, W)``.
            heatmaps: What the heat maps should be, ``(N, K, H, W)``.
            masks: Where people are marked, 1, and where they are not, 0; ``(N, H, W)``.
            joints: For each joint of each person its place in the flattened tags, and whether it is there, int64
                ``(N, M, K, 2)``.

        Returns:
            Losses of heat maps, push and pull, for each scale.
        """
        heat: OfScales = []
        push: OfScales = []
        pull: OfScales = []
        for i, output in enumerate(outputs):
            of_heat, (of_push, of_pull) = None, (None, None)
            if self.with_heatmaps_loss[i]:
                of_heat = self.heatmaps_loss(output[:, : self.num_joints], heatmaps[i], masks[i])
                of_heat = of_heat * self.heatmaps_loss_factor[i]
            if self.with_ae_loss[i]:
                tags = output[:, self.num_joints :] if self.with_heatmaps_loss[i] else output
                of_push, of_pull = self.ae_loss(tags.flatten(1), joints[i])
                of_push, of_pull = of_push * self.push_loss_factor[i], of_pull * self.pull_loss_factor[i]
            heat.append(of_heat)
            push.append(of_push)
            pull.append(of_pull)
        return heat, push, pull
