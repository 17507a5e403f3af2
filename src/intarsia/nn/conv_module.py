"""Convolution, normalization and activation as one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from intarsia.nn.activation import build_activation_layer, takes_inplace
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.init import constant_init, kaiming_init
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.padding import build_padding_layer
from intarsia.nn.pair import Pair

RELU: Mapping[str, Any] = {'type': 'ReLU'}


class ConvModule(nn.Module):
    """Convolution, then normalization, then activation, or another order.

    State keys: ``conv``, and ``bn`` (``gn``, ``ln``, ...) after the kind of normalization.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Size of the kernel.
        stride: Stride.
        padding: Zeros on each side.
        dilation: Dilation.
        groups: Groups of channels.
        bias: Whether the convolution has a bias; ``'auto'`` means if there is no normalization.
        conv_cfg: Config of the convolution; None means ``Conv2d``.
        norm_cfg: Config of the normalization; None means none.
        act_cfg: Config of the activation; None means none.
        inplace: Whether the activation overwrites its input.
        with_spectral_norm: Divide the kernel by its spectral norm.
        padding_mode: ``'zeros'`` and ``'circular'`` as ``nn.Conv2d`` does it, or a name in PADDING_LAYERS.
        order: A permutation of ``('conv', 'norm', 'act')``.

    Raises:
        ValueError: ``order`` is no such permutation.
    """

    _abbr_ = 'conv_block'

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool | Literal['auto'] = 'auto',
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = RELU,
        inplace: bool = True,
        with_spectral_norm: bool = False,
        padding_mode: str = 'zeros',
        order: Sequence[str] = ('conv', 'norm', 'act'),
    ) -> None:
        super().__init__()
        if sorted(order) != ['act', 'conv', 'norm']:
            raise ValueError(f"order must be a permutation of ('conv', 'norm', 'act'), not {order!r}")
        self.order = tuple(order)
        self.act_cfg = act_cfg
        self.with_norm, self.with_activation = norm_cfg is not None, act_cfg is not None
        self.with_bias = not self.with_norm if bias == 'auto' else bias
        own_padding = padding_mode in ('zeros', 'circular')
        self.padding_layer = None if own_padding else build_padding_layer({'type': padding_mode}, padding)
        self.conv: Any = build_conv_layer(
            conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=padding if own_padding else 0,
            dilation=dilation, groups=groups, bias=self.with_bias,
            **({'padding_mode': 'circular'} if padding_mode == 'circular' else {}),
        )  # fmt: skip
        self._export_attributes(padding)
        if with_spectral_norm:
            self.conv = nn.utils.spectral_norm(self.conv)
        self.norm_name: str | None = None
        if norm_cfg is not None:
            after_conv = self.order.index('norm') > self.order.index('conv')
            self.norm_name, norm = build_norm_layer(norm_cfg, out_channels if after_conv else in_channels)
            self.add_module(self.norm_name, norm)
        if act_cfg is not None:
            default = {'inplace': inplace} if takes_inplace(act_cfg['type']) else {}
            self.activate = build_activation_layer({**default, **act_cfg})
        self.init_weights()

    def _export_attributes(self, padding: Pair) -> None:
        for name in ('in_channels', 'out_channels', 'kernel_size', 'stride', 'dilation', 'groups'):
            setattr(self, name, getattr(self.conv, name))
        self.padding = padding

    @property
    def norm(self) -> nn.Module | None:
        """The normalization layer, if there is one."""
        return getattr(self, self.norm_name) if self.norm_name else None

    def init_weights(self) -> None:
        """He initialization of the kernel, unless the convolution knows better; 1 and 0 for the normalization."""
        if not hasattr(self.conv, 'init_weights'):
            is_leaky = self.act_cfg is not None and self.act_cfg['type'] == 'LeakyReLU'
            slope = (self.act_cfg or {}).get('negative_slope', 0.01) if is_leaky else 0
            kaiming_init(self.conv, a=slope, nonlinearity='leaky_relu' if is_leaky else 'relu')
        if self.norm is not None:
            constant_init(self.norm, 1, bias=0)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """Apply the layers.

        Args:
            x: ``(N, in_channels, ...)``.
            activate: Whether to apply the activation.
            norm: Whether to apply the normalization.

        Returns:
            ``(N, out_channels, ...)``.
        """
        for step in self.order:
            if step == 'conv':
                x = self.conv(x if self.padding_layer is None else self.padding_layer(x))
            elif step == 'norm' and norm and self.norm_name:
                x = getattr(self, self.norm_name)(x)
            elif step == 'act' and activate and self.with_activation:
                x = self.activate(x)
        return x
