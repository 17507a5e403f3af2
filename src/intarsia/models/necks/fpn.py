"""Feature pyramids.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import NECKS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.resize import resize

NEAREST: Mapping[str, Any] = {'mode': 'nearest'}
XAVIER: Mapping[str, Any] = {'type': 'Xavier', 'layer': 'Conv2d', 'distribution': 'uniform'}


@NECKS.register_module()
class FPN(BaseModule):
    """Add the maps of deeper levels to those of finer ones, all with the same number of channels.

    "Feature Pyramid Networks for Object Detection" (Lin et al., 2016, arXiv:1612.03144).

    State keys: ``lateral_convs``, ``fpn_convs`` (the extra ones last).

    Args:
        in_channels: Channels of each level of the backbone, from the finest.
        out_channels: Channels of each output.
        num_outs: Number of outputs; if there are more than levels used, further ones have half the resolution each.
        start_level: First level used.
        end_level: Level after the last one used; -1 means all, and only then there are further outputs.
        add_extra_convs: How further outputs are made: False by picking every other place, else by strided convolutions
            of the backbone's last map (``'on_input'``), the last lateral map (``'on_lateral'``), or the last output
            (``'on_output'``, True).
        extra_convs_on_inputs: Let ``add_extra_convs=True`` mean ``'on_input'``.
        relu_before_extra_convs: Rectify the map before each strided convolution but the first.
        no_norm_on_lateral: Leave out the normalization of lateral convolutions.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        upsample_cfg: How deeper maps are resized, as :func:`~intarsia.nn.resize.resize` takes it.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The number of outputs does not belong to the levels used.
    """

    default_init = XAVIER

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | Literal['on_input', 'on_lateral', 'on_output'] = False,
        extra_convs_on_inputs: bool = False,
        relu_before_extra_convs: bool = False,
        no_norm_on_lateral: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        upsample_cfg: Mapping[str, Any] = NEAREST,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if add_extra_convs is True:
            add_extra_convs = 'on_input' if extra_convs_on_inputs else 'on_output'
        if add_extra_convs not in (False, 'on_input', 'on_lateral', 'on_output'):
            raise ValueError(
                f'FPN: add_extra_convs={add_extra_convs!r} must be a bool, on_input, on_lateral or on_output'
            )
        self.in_channels, self.out_channels, self.num_outs = tuple(in_channels), out_channels, num_outs
        self.start_level, self.stop_level = start_level, len(in_channels) if end_level == -1 else end_level
        self.add_extra_convs, self.relu_before_extra_convs = add_extra_convs, relu_before_extra_convs
        self.upsample_cfg = dict(upsample_cfg)
        used = self.in_channels[self.start_level : self.stop_level]
        num_extra = num_outs - len(used)
        self._check_levels(end_level, num_extra)

        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'inplace': False}
        lateral = {**options, 'norm_cfg': None if no_norm_on_lateral else norm_cfg}
        self.lateral_convs = nn.ModuleList(ConvModule(channels, out_channels, 1, **lateral) for channels in used)
        convs = [ConvModule(out_channels, out_channels, 3, padding=1, **options) for _ in used]
        for i in range(num_extra if add_extra_convs else 0):
            channels = used[-1] if i == 0 and add_extra_convs == 'on_input' else out_channels
            convs.append(ConvModule(channels, out_channels, 3, stride=2, padding=1, **options))
        self.fpn_convs = nn.ModuleList(convs)

    def _check_levels(self, end_level: int, num_extra: int) -> None:
        if not 0 <= self.start_level < self.stop_level <= len(self.in_channels):
            raise ValueError(
                f'FPN: start_level={self.start_level} and end_level={end_level} do not lie within '
                f'the {len(self.in_channels)} levels of in_channels'
            )
        if num_extra < 0 or (num_extra > 0 and end_level != -1):
            raise ValueError(
                f'FPN: num_outs={self.num_outs}, but {self.num_outs - num_extra} levels are used'
                + ('' if num_extra < 0 else '; with an end_level there are no further ones')
            )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of all levels of the backbone, ``(N, in_channels[i], H_i, W_i)``, to ``num_outs`` of ``out_channels``.

        Raises:
            ValueError: There are more or fewer maps than ``in_channels``.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'FPN got {len(inputs)} maps, but in_channels has {len(self.in_channels)}')
        used = inputs[self.start_level : self.stop_level]
        laterals = [conv(x_nchw) for conv, x_nchw in zip(self.lateral_convs, used, strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            size = {} if 'scale_factor' in self.upsample_cfg else {'size': laterals[i - 1].shape[2:]}
            laterals[i - 1] = laterals[i - 1] + resize(laterals[i], **size, **self.upsample_cfg)
        outs = [conv(x_nchw) for conv, x_nchw in zip(self.fpn_convs, laterals, strict=False)]
        sources = {'on_input': used[-1], 'on_lateral': laterals[-1], 'on_output': outs[-1]}
        return (*outs, *self._further(outs[-1], sources))

    def _further(self, last_nchw: Tensor, sources: Mapping[str, Tensor]) -> list[Tensor]:
        """Outputs beyond the levels of the backbone."""
        num_levels = len(self.lateral_convs)
        further: list[Tensor] = []
        for i in range(num_levels, self.num_outs):
            if not self.add_extra_convs:
                last_nchw = F.max_pool2d(last_nchw, 1, stride=2)
            elif i == num_levels:
                last_nchw = self.fpn_convs[i](sources[str(self.add_extra_convs)])
            else:
                last_nchw = self.fpn_convs[i](F.relu(last_nchw) if self.relu_before_extra_convs else last_nchw)
            further.append(last_nchw)
        return further
