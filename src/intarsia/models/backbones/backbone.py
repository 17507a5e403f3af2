"""The base of all backbones: images in, features of chosen stages out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.errors import closest
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import BatchNorm


class Backbone(BaseModule):
    """A network that returns a tuple of features, one for each of its output stages.

    A subclass implements ``forward(images) -> tuple`` and sets the attributes below; if it can freeze its first
    stages, it also overrides :meth:`frozen_parts`.

    Attributes:
        out_channels: Channels of each output.
        strides: Pixels of the image between neighbouring places of each output; 0 where an output is a vector.
        frozen_stages: How many stages are frozen; what counts as a stage is up to the class.
        norm_eval: Keep batch norms in evaluation mode during training: their statistics stay as they are.
    """

    out_channels: tuple[int, ...]
    strides: tuple[int, ...]
    frozen_stages: int = -1
    norm_eval: bool = False

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the output stages.

        Args:
            x: Images, float ``(N, C, H, W)``.

        Returns:
            One tensor for each output stage.
        """
        raise NotImplementedError(f'{type(self).__name__} has no forward')

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """Modules and parameters that ``frozen_stages`` freezes."""
        return ()

    def _freeze_stages(self) -> None:
        """Take the frozen parts out of training: no gradients, and no new statistics or dropout."""
        for part in self.frozen_parts():
            if isinstance(part, nn.Module):
                part.eval()
                part.requires_grad_(False)
            else:
                part.requires_grad = False

    def train(self, mode: bool = True) -> Backbone:
        """Switch to training, except for what is frozen, or to evaluation."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for layer in self.modules():
                if isinstance(layer, BatchNorm):
                    layer.eval()
        return self


def normalize_indices(out_indices: int | Sequence[int], num_stages: int, owner: str) -> tuple[int, ...]:
    """Output indices as a tuple of numbers from 0 on.

    Args:
        out_indices: One index or several; negative ones count from the end.
        num_stages: How many stages there are.
        owner: Class that is named in the error.

    Raises:
        ValueError: An index lies outside of the stages.
    """
    indices = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
    for index in indices:
        if not -num_stages <= index < num_stages:
            raise ValueError(f'{owner}: out_indices={out_indices!r}, but the stages are 0 ... {num_stages - 1}')
    return tuple(index % num_stages for index in indices)


def init_from(pretrained: str | None, init_cfg: InitCfg) -> InitCfg:
    """The ``init_cfg`` of a backbone that takes ``pretrained``, the older word for weights to load, as well.

    Args:
        pretrained: A checkpoint file or name, or None.
        init_cfg: How weights are initialized, or None.

    Raises:
        ValueError: Both are given.
    """
    if pretrained is None:
        return init_cfg
    if init_cfg:
        raise ValueError('pretrained and init_cfg both say how weights are initialized: give one of them')
    return {'type': 'Pretrained', 'checkpoint': pretrained}


def choose_arch(
    owner: nn.Module, arch: str | Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]], keys: Sequence[str]
) -> Mapping[str, Any]:
    """The numbers of an architecture, given by its name (in any case) or themselves.

    Args:
        owner: Backbone that is named in the error.
        arch: A name in ``presets``, or a dict with at least ``keys``.
        presets: Known architectures.
        keys: What an architecture must have.

    Raises:
        ValueError: The name is unknown, or a key is missing.
    """
    if isinstance(arch, str):
        if arch.lower() in presets:
            return presets[arch.lower()]
        close = closest(arch.lower(), presets)
        hint = f" Did you mean '{close}'?" if close else ''
        raise ValueError(f"{type(owner).__name__} has no arch '{arch}'.{hint} It has: {', '.join(presets)}.")
    missing = [key for key in keys if key not in arch]
    if missing:
        raise ValueError(f'the arch of {type(owner).__name__} needs {", ".join(missing)}; it has {sorted(arch)}')
    return arch
