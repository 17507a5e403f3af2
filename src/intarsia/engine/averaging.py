"""Running averages of weights: how much a new value counts, and the averages themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Share = Callable[[int], float]
"""The share (0 ... 1) that the new weights get in the average at update number ``step``, counted from 0.

``average += share(step) * (weights - average)``; 1 makes the average a copy of the weights.
"""


def exponential(momentum: float = 0.0002) -> Share:
    """A constant share, after a first copy."""
    return lambda step: momentum if step else 1.0


def annealing(momentum: float = 0.0002, gamma: int = 100) -> Share:
    """``gamma / (gamma + step)``, but at least ``momentum``: a plain mean first, then an exponential one."""
    return lambda step: max(momentum, gamma / (gamma + step))


def exp_momentum(momentum: float = 0.0002, gamma: int = 2000) -> Share:
    """From 1 down to ``momentum``, by a factor of e in ``gamma`` steps, after a first copy.

    YOLOX: Exceeding YOLO Series in 2021, Ge et al., 2021, arXiv:2107.08430 averages so.
    """
    return lambda step: momentum + (1 - momentum) * math.exp(-(1 + step) / gamma) if step else 1.0


def stochastic(interval: int = 1) -> Share:
    """The mean of all values.

    Averaging Weights Leads to Wider Optima and Better Generalization, Izmailov et al., 2018, arXiv:1803.05407.
    """
    return lambda step: 1 / (step // interval + 1)


def warm_up_momentum(momentum: float = 0.0002, warm_up: int = 100, interval: int = 1) -> Share:
    """``momentum ** interval``, in the beginning at most ``(1 + step) / (warm_up + step)``; the rule of MMCV 1.

    It starts from the initial weights, not from a copy of those after the first update.
    """
    return lambda step: min(momentum**interval, (1 + step) / (warm_up + step))


class AverageOfWeights:
    """The average of the parameters of a model, and of its buffers if wanted, beside the model itself.

    Integer buffers, such as counts of batches, are not averaged.

    Args:
        model: Its parameters are read, and never replaced by other tensors.
        share: What the new weights count.
        interval: Every how many calls of :meth:`update` the average changes.
        with_buffers: Whether floating point buffers that are saved are averaged too.

    Attributes:
        steps: How often :meth:`update` was called. The average is that of the model itself as long as it is 0.
        is_in_model: Whether the model holds the averages, and this object the trained weights.
    """

    def __init__(self, model: nn.Module, share: Share, interval: int = 1, with_buffers: bool = False) -> None:
        self.share = share
        self.interval = interval
        self.steps = 0
        self.is_in_model = False
        named: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
        if with_buffers:
            saved, buffers = model.state_dict().keys(), model.named_buffers(remove_duplicate=False)
            named |= {name: b for name, b in buffers if name in saved and b.is_floating_point()}
        once = {id(tensor): tensor for tensor in named.values()}
        places = {key: place for place, key in enumerate(once)}
        self._place_of = {name: places[id(tensor)] for name, tensor in named.items()}
        self._in_model = list(once.values())
        self._beside = [tensor.detach().clone() for tensor in self._in_model]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of the model; nothing is allocated that stays."""
        if self.steps % self.interval == 0:
            share = self.share(self.steps)
            if share == 1:
                torch._foreach_copy_(self._beside, self._in_model)
            else:
                torch._foreach_lerp_(self._beside, self._in_model, share)
        self.steps += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights of the model and what is beside it, tensor by tensor, in place."""
        if self.steps:
            for one, other in zip(self._in_model, self._beside, strict=True):
                kept = one.clone()
                one.copy_(other)
                other.copy_(kept)
        self.is_in_model = not self.is_in_model

    @torch.no_grad()
    def restart(self) -> None:
        """Begin anew from the weights of the model."""
        self.steps = 0
        torch._foreach_copy_(self._beside, self._in_model)

    def beside(self) -> dict[str, Tensor]:
        """What the model does not hold at the moment, on the CPU: the averages, unless they have been swapped in."""
        held = [tensor.detach().cpu() for tensor in (self._beside if self.steps else self._in_model)]
        return {name: held[place] for name, place in self._place_of.items()}

    @torch.no_grad()
    def load(self, averages: Mapping[str, Tensor], steps: int) -> None:
        """Take averages that were saved after ``steps`` updates.

        Raises:
            KeyError: One is missing.
        """
        self.steps = steps
        for name, place in self._place_of.items():
            self._beside[place].copy_(averages[name])
