"""ShuffleNetV2.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import normalize_indices
from intarsia.models.backbones.shufflenet import BN, RELU, ShuffleNet
from intarsia.nn.channel_shuffle import channel_shuffle
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg


class ShuffleUnit(nn.Module):
    """Convolve one half of the channels, leave the other, and shuffle them; with a stride, convolve all in two ways.

    State keys: ``branch1`` (with a stride only), ``branch2``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels; with stride 1 equal to ``in_channels``, and even.
        stride: 1 or 2.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.

    Raises:
        ValueError: With stride 1 the numbers of channels differ, or are odd.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        if stride == 1 and in_channels != 2 * half:
            raise ValueError(f'with stride 1, in_channels={in_channels} must be even and equal {out_channels}')
        self.with_cp = with_cp
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}

        def depthwise(channels: int) -> ConvModule:
            return ConvModule(channels, channels, 3, stride, padding=1, groups=channels, act_cfg=None, **options)

        def pointwise(before: int) -> ConvModule:
            return ConvModule(before, half, 1, act_cfg=act_cfg, **options)

        self.branch1 = nn.Sequential(depthwise(in_channels), pointwise(in_channels)) if stride > 1 else None
        self.branch2 = nn.Sequential(pointwise(in_channels if stride > 1 else half), depthwise(half), pointwise(half))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x_nchw.requires_grad:
            return checkpoint(self._shuffled, x_nchw, use_reentrant=False)
        return self._shuffled(x_nchw)

    def _shuffled(self, x_nchw: Tensor) -> Tensor:
        if self.branch1 is None:
            kept_nchw, x_nchw = x_nchw.chunk(2, dim=1)
        else:
            kept_nchw = self.branch1(x_nchw)
        return channel_shuffle(torch.cat((kept_nchw, self.branch2(x_nchw)), dim=1), groups=2)


@BACKBONES.register_module()
class ShuffleNetV2(ShuffleNet):
    """Network that splits, convolves and shuffles its channels.

    "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (Ma et al., 2018, arXiv:1807.11164).

    State keys: ``conv1``, ``layers.0`` ... ``layers.3``.

    Args:
        widen_factor: 0.5, 1.0, 1.5 or 2.0.
        out_indices: Stages to output: 0 ... 2 are those of units, 3 is the last convolution.
        frozen_stages: Freeze ``conv1`` (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The factor is unknown, or ``out_indices`` or ``frozen_stages`` lie outside of the stages.
    """

    arch_settings: ClassVar[dict[float, tuple[int, ...]]] = {
        0.5: (48, 96, 192, 1024),
        1.0: (116, 232, 464, 1024),
        1.5: (176, 352, 704, 1024),
        2.0: (244, 488, 976, 2048),
    }
    stage_blocks: ClassVar[tuple[int, ...]] = (4, 8, 4)

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if widen_factor not in self.arch_settings:
            known = ', '.join(map(str, self.arch_settings))
            raise ValueError(f'ShuffleNetV2: widen_factor must be one of {known}, not {widen_factor}')
        if not -1 <= frozen_stages <= 3:
            raise ValueError(f'ShuffleNetV2: frozen_stages={frozen_stages} must lie in -1 ... 3')
        self.out_indices = normalize_indices(out_indices, 4, 'ShuffleNetV2')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        widths = self.arch_settings[widen_factor]
        self.conv1 = ConvModule(3, 24, 3, stride=2, padding=1, **options)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layers = nn.ModuleList()
        before = 24
        for width, num_blocks in zip(widths, self.stage_blocks, strict=False):
            units = [ShuffleUnit(before, width, stride=2, with_cp=with_cp, **options)]
            units += [ShuffleUnit(width, width, with_cp=with_cp, **options) for _ in range(num_blocks - 1)]
            self.layers.append(nn.Sequential(*units))
            before = width
        self.layers.append(ConvModule(before, widths[-1], 1, **options))
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple((8, 16, 32, 32)[i] for i in self.out_indices)
        self._freeze_stages()
