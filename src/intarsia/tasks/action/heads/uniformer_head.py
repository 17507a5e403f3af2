"""The head of UniFormer: one layer, which may start from the weights of a head of more classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from intarsia.core.errors import CheckpointError
from intarsia.core.registries import HEADS
from intarsia.nn.init import is_pretrained
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.heads.cls_head import CROSS_ENTROPY, BaseHead
from intarsia.tasks.action.heads.timesformer_head import TimeSformerHead

PREFIX = 'cls_head.'


@HEADS.register_module()
class UniFormerHead(TimeSformerHead):
    """One layer on a vector; pretrained weights are those of its classes among the more of another data set.

    "UniFormerV2: Spatiotemporal Learning by Arming Image ViTs with Video UniFormer" (Li et al., 2022,
    arXiv:2211.09552). State keys: ``fc_cls``.

    Args:
        num_classes: K.
        in_channels: Channels of the features.
        loss_cls: Config of the loss.
        dropout_ratio: Of the feature.
        channel_map: JSON file with a list of K classes of the pretrained head.
        init_cfg: How weights are initialized; ``Pretrained`` needs ``channel_map``.
        kwargs: As :class:`~intarsia.tasks.action.heads.cls_head.BaseHead`.

    Raises:
        ValueError: ``init_cfg`` is ``Pretrained``, but there is no ``channel_map``.
    """

    default_init: ClassVar[InitCfg] = {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02}

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: Mapping[str, Any] | nn.Module = CROSS_ENTROPY,
        dropout_ratio: float = 0.0,
        channel_map: str | None = None,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, 0.02, dropout_ratio, init_cfg=init_cfg, **kwargs)
        self.channel_map = channel_map
        if self._starts_from is not None and channel_map is None:
            raise ValueError('UniFormerHead: a pretrained head needs channel_map, the file that lists its classes')

    @property
    def _starts_from(self) -> str | None:
        """The checkpoint, if ``init_cfg`` names one."""
        cfg: Any = self.init_cfg
        return cfg['checkpoint'] if isinstance(cfg, Mapping) and is_pretrained(cfg) else None

    def init_weights(self) -> None:
        """From the pretrained head's classes that ``channel_map`` lists, or as ``init_cfg`` says."""
        checkpoint = self._starts_from
        if checkpoint is None or self.channel_map is None:
            BaseHead.init_weights(self)
            return
        classes = json.loads(Path(self.channel_map).read_text(encoding='utf-8'))
        state = read_state_dict(find_weights(checkpoint))
        chosen = {key.removeprefix(PREFIX): value[classes] for key, value in state.items() if key.startswith(PREFIX)}
        report = load_state_dict(self, chosen, strict=False)
        if not report.loaded:
            raise CheckpointError(f'{checkpoint} has no {PREFIX}fc_cls that gives {len(classes)} classes')
