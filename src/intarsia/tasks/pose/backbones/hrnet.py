"""HRNet with the defaults of pose estimation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import hrnet
from intarsia.models.backbones.small_normal import SMALL_NORMAL
from intarsia.nn.module import InitCfg


@BACKBONES.register_module()
class HRNet(hrnet.HRNet):
    """Network that keeps a map of high resolution, which alone is output unless the last stage says otherwise.

    "Deep High-Resolution Representation Learning for Human Pose Estimation" (Sun et al., 2019, arXiv:1902.09212).

    Args:
        extra: Numbers of all stages, as :class:`intarsia.models.backbones.hrnet.HRNet` takes them. Besides,
            ``upsample`` says how coarser maps are enlarged (``dict(mode='nearest')``), and ``multiscale_output`` of
            ``stage4`` whether all maps are output.
        **kwargs: Arguments of the shared class but ``multiscale_output`` and ``upsample_cfg``.
    """

    default_init: ClassVar[InitCfg] = SMALL_NORMAL

    def __init__(self, extra: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(
            extra=extra,
            multiscale_output=extra.get('stage4', {}).get('multiscale_output', False),
            upsample_cfg=extra.get('upsample', hrnet.NEAREST),
            **kwargs,
        )
