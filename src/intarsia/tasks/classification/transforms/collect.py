"""What leaves a classification pipeline."""

from __future__ import annotations

from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.collect import CollectKeys


@TRANSFORMS.register_module()
class Collect(CollectKeys):
    """See :class:`intarsia.data.transforms.collect.CollectKeys`."""

    META_KEYS = (
        'filename',
        'ori_filename',
        'ori_shape',
        'img_shape',
        'flip',
        'flip_direction',
        'img_norm_cfg',
    )
