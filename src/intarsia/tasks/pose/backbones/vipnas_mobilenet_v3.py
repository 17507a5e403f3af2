"""The MobileNetV3 that ViPNAS found.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.inverted_residual import InvertedResidual
from intarsia.models.backbones.small_normal import SmallNormalBackbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

BN: Mapping[str, Any] = {'type': 'BN'}
SE: Mapping[str, Any] = {
    'ratio': 4, 'divisor': 1, 'act_cfg': ({'type': 'ReLU'}, {'type': 'HSigmoid', 'bias': 1.0, 'divisor': 2.0}),
}  # fmt: skip


@BACKBONES.register_module(name='ViPNAS_MobileNetV3')
class ViPNASMobileNetV3(SmallNormalBackbone):
    """MobileNetV3 whose numbers were found by a search for pose estimation in videos.

    "ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search" (Xu et al., 2021, arXiv:2105.10154).

    State keys: ``conv1``, ``layer1`` ... of all blocks. Every list has an entry for the stem and one for each stage;
    those that a stem does not have are None.

    Args:
        wid: Output channels.
        expan: Channels inside the blocks divided by output channels.
        dep: Number of blocks.
        ks: Kernel sizes.
        group: Groups of the filters.
        att: Whether channels are weighed.
        stride: Strides.
        act: Types of the activations.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        frozen_stages: Freeze ``conv1`` (0) and so many blocks; -1 freezes nothing.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The lists differ in length.
    """

    def __init__(
        self,
        wid: Sequence[int] = (16, 16, 24, 40, 80, 112, 160),
        expan: Sequence[int | None] = (None, 1, 5, 4, 5, 5, 6),
        dep: Sequence[int | None] = (None, 1, 4, 4, 4, 4, 4),
        ks: Sequence[int] = (3, 3, 7, 7, 5, 7, 5),
        group: Sequence[int | None] = (None, 8, 120, 20, 100, 280, 240),
        att: Sequence[bool | None] = (None, True, True, False, True, True, True),
        stride: Sequence[int] = (2, 1, 2, 2, 2, 1, 2),
        act: Sequence[str] = ('HSwish', 'ReLU', 'ReLU', 'ReLU', 'HSwish', 'HSwish', 'HSwish'),
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if len({len(numbers) for numbers in (wid, expan, dep, ks, group, att, stride, act)}) > 1:
            raise ValueError('ViPNAS_MobileNetV3: wid, expan, dep, ks, group, att, stride and act differ in length')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.conv1 = ConvModule(3, wid[0], ks[0], stride[0], ks[0] // 2, act_cfg={'type': act[0]}, **options)
        self.layers: list[str] = []
        for i in range(1, len(wid)):
            expansion = expan[i] or 1
            for j in range(dep[i] or 0):
                block = InvertedResidual(
                    wid[i] if j else wid[i - 1], wid[i], wid[i] * expansion, ks[i], group[i], 1 if j else stride[i],
                    SE if att[i] else None, expansion != 1, act_cfg={'type': act[i]}, with_cp=with_cp, **options,
                )  # fmt: skip
                self.layers.append(f'layer{len(self.layers) + 1}')
                self.add_module(self.layers[-1], block)
        self.out_channels, self.strides = (wid[-1],), (math.prod(stride),)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """``conv1`` and the first ``frozen_stages`` blocks."""
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *[getattr(self, name) for name in self.layers[: self.frozen_stages]]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to one map, ``(N, C, H / 32, W / 32)``."""
        x_nchw = self.conv1(x)
        for name in self.layers:
            x_nchw = getattr(self, name)(x_nchw)
        return (x_nchw,)
