"""The block of EfficientNets for edge devices, and of the first stages of EfficientNetV2.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intarsia.nn.conv_module import ConvModule
from intarsia.nn.drop import path_or_identity
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


class EdgeResidual(BaseModule):
    """Widen with a full convolution, weigh channels, narrow without activation; added to the input where shapes allow.

    "Accelerator-aware Neural Network Design using AutoML" (Gupta & Akin, 2020, arXiv:2003.02838).

    State keys: ``conv1``, ``se``, ``conv2``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        mid_channels: Channels inside.
        kernel_size: Size of the widening kernel.
        stride: 1 or 2.
        se_cfg: Arguments of the :class:`~intarsia.nn.squeeze_excite.SELayer`; None for no such layer.
        with_residual: Whether the input is added where shapes allow.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation.
        drop_path_rate: Probability that a sample goes without the branch.
        with_cp: Compute activations again in the backward pass, to save memory.
        stride_at: Which convolution has the stride: ``'project'``, the narrowing one, or ``'expand'``.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The stride is neither 1 nor 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        se_cfg: Mapping[str, Any] | None = None,
        with_residual: bool = True,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        stride_at: Literal['project', 'expand'] = 'project',
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if stride not in (1, 2):
            raise ValueError(f'stride must be 1 or 2, not {stride}')
        self.with_cp = with_cp
        self.with_residual = with_residual and stride == 1 and in_channels == out_channels
        first, second = (stride, 1) if stride_at == 'expand' else (1, stride)
        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        self.conv1 = ConvModule(
            in_channels, mid_channels, kernel_size, first, kernel_size // 2, act_cfg=act_cfg, **options
        )
        self.se = nn.Identity() if se_cfg is None else SELayer(**{'channels': mid_channels, **se_cfg})
        self.conv2 = ConvModule(mid_channels, out_channels, 1, second, act_cfg=None, **options)
        self.drop_path = path_or_identity(drop_path_rate)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x_nchw.requires_grad:
            out_nchw = checkpoint(self._branch, x_nchw, use_reentrant=False)
        else:
            out_nchw = self._branch(x_nchw)
        return x_nchw + self.drop_path(out_nchw) if self.with_residual else out_nchw

    def _branch(self, x_nchw: Tensor) -> Tensor:
        return self.conv2(self.se(self.conv1(x_nchw)))
