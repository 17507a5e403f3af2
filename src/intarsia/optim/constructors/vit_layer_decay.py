"""Learning rates of plain transformers that decay from the head to the input, as ViTPose is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from intarsia.core.registries import OPTIMIZER_BUILDERS
from intarsia.optim.constructors.layer_decay import LayerDecayOptimizerConstructor


@OPTIMIZER_BUILDERS.register_module()
class LayerDecayOptimWrapperConstructor(LayerDecayOptimizerConstructor):
    """:class:`LayerDecayOptimizerConstructor` in which position embeddings have no weight decay.

    "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation" (Xu et al., 2022, arXiv:2204.12484).
    Factors of ``custom_keys`` have no effect.

    Args:
        optimizer_cfg: Node of OPTIMIZERS, with ``lr``.
        paramwise_cfg: ``dict(num_layers=12, layer_decay_rate=0.75)``.
    """

    extra_keys: ClassVar[tuple[str, ...]] = ('layer_decay_rate', 'num_layers')

    def __init__(self, optimizer_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        read = {key: value for key, value in (paramwise_cfg or {}).items() if key != 'custom_keys'}
        super().__init__(optimizer_cfg, read)

    def _decays(self, name: str, parameter: nn.Parameter) -> bool:
        return parameter.ndim != 1 and not name.endswith('.bias') and 'pos_embed' not in name
