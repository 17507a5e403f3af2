"""HRNet with the defaults of segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import hrnet
from intarsia.models.backbones.backbone import init_from
from intarsia.nn.module import InitCfg

BILINEAR: Mapping[str, Any] = {'mode': 'bilinear', 'align_corners': False}


@BACKBONES.register_module()
class HRNet(hrnet.HRNet):
    """Network that keeps a map of high resolution; coarser maps are enlarged bilinearly.

    "Deep High-Resolution Representation Learning for Visual Recognition" (Wang et al., 2019, arXiv:1908.07919).

    Args:
        extra: Numbers of all stages, as :class:`intarsia.models.backbones.hrnet.HRNet` takes them.
        upsample_cfg: How coarser maps are enlarged.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.
        **kwargs: Further arguments of the shared class.
    """

    def __init__(
        self,
        extra: Mapping[str, Any] | None = None,
        upsample_cfg: Mapping[str, Any] = BILINEAR,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(extra=extra, upsample_cfg=upsample_cfg, init_cfg=init_from(pretrained, init_cfg), **kwargs)
