"""The block of MobileNetV3 and its relatives.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import path_or_identity
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


class InvertedResidual(BaseModule):
    """Widen, filter, weigh channels, narrow without activation; added to the input where shapes allow.

    "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244).

    State keys: ``expand_conv``, ``depthwise_conv``, ``se``, ``linear_conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        mid_channels: Channels inside.
        kernel_size: Size of the filter.
        groups: Groups of the filter; ``mid_channels``, each channel by itself, if None.
        stride: 1 or 2.
        se_cfg: Arguments of the :class:`~intarsia.nn.squeeze_excite.SELayer`; None for no such layer.
        with_expand_conv: Whether there is a widening; without, ``mid_channels`` equals ``in_channels``.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
        dilation: Dilation of the filter.
        drop_path_rate: Probability that a sample goes without the branch.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The stride is neither 1 nor 2, or nothing widens to ``mid_channels``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel_size: int = 3,
        groups: int | None = None,
        stride: int = 1,
        se_cfg: Mapping[str, Any] | None = None,
        with_expand_conv: bool = True,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        with_cp: bool = False,
        dilation: int = 1,
        drop_path_rate: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if stride not in (1, 2):
            raise ValueError(f'stride must be 1 or 2, not {stride}')
        if not with_expand_conv and mid_channels != in_channels:
            raise ValueError(f'without expand_conv, mid_channels={mid_channels} must equal in_channels={in_channels}')
        self.with_cp = with_cp
        self.with_res_shortcut = stride == 1 and in_channels == out_channels
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        wide = {'act_cfg': act_cfg, **options}
        self.expand_conv = ConvModule(in_channels, mid_channels, 1, **wide) if with_expand_conv else nn.Identity()
        self.depthwise_conv = ConvModule(
            mid_channels, mid_channels, kernel_size, stride, dilation * (kernel_size // 2), dilation,
            groups=groups or mid_channels, **wide,
        )  # fmt: skip
        self.se = nn.Identity() if se_cfg is None else SELayer(**{'channels': mid_channels, **se_cfg})
        self.linear_conv = ConvModule(mid_channels, out_channels, 1, act_cfg=None, **options)
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x_nchw.requires_grad:
            out_nchw = checkpoint(self._branch, x_nchw, use_reentrant=False)
        else:
            out_nchw = self._branch(x_nchw)
        return x_nchw + self.drop_path(out_nchw) if self.with_res_shortcut else out_nchw

    def _branch(self, x_nchw: Tensor) -> Tensor:
        return self.linear_conv(self.se(self.depthwise_conv(self.expand_conv(x_nchw))))
