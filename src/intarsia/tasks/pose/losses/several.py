"""Several losses as one, in turn or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import LOSSES
from intarsia.models.parts import build_part


@LOSSES.register_module()
class MultipleLossWrapper(nn.Module):
    """A loss for each of several outputs.

    Args:
        losses: Their nodes of LOSSES.
    """

    def __init__(self, losses: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.loss_modules = nn.ModuleList(build_part(node, 'pose') for node in losses)

    def forward(
        self, outputs: Sequence[Any], targets: Sequence[Any], target_weight: Tensor | None = None
    ) -> list[Tensor]:
        """Compute all losses, of an output and a target each, and the same weights.

        Raises:
            ValueError: There are more losses than outputs or targets, or fewer.
        """
        pairs = zip(self.loss_modules, outputs, targets, strict=True)
        return [loss(output, target, target_weight) for loss, output, target in pairs]


@LOSSES.register_module()
class CombinedLoss(nn.ModuleDict):
    """Losses by name, which are attributes, for a head that calls each itself.

    Args:
        losses: Names, and nodes of LOSSES.
    """

    def __init__(self, losses: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__({name: build_part(node, 'pose') for name, node in losses.items()})
