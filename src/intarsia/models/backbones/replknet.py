"""RepLKNet: convolutional network with kernels of up to 31 x 31.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.fuse import fused_kernel
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
GELU: Mapping[str, Any] = {'type': 'GELU'}
ARCH_KEYS = ('large_kernel_sizes', 'layers', 'channels', 'small_kernel', 'dw_ratio')


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, relu: bool = False
) -> nn.Sequential:
    """A convolution padded by half its kernel, a batch norm, and if asked for a rectifier.

    State keys: ``conv``, ``bn``.
    """
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    layers: list[tuple[str, nn.Module]] = [('conv', conv), ('bn', build_norm_layer(BN, out_channels)[1])]
    return nn.Sequential(OrderedDict([*layers, ('nonlinear', nn.ReLU())] if relu else layers))


class ReparamLargeKernelConv(BaseModule):
    """A large depthwise convolution with a small one beside it, which one convolution replaces after training.

    State keys: ``lkb_origin``, ``small_conv``; after :meth:`merge_kernel` only ``lkb_reparam``.

    Args:
        channels: Channels C.
        kernel_size: Odd size of the large kernel.
        small_kernel: Odd size of the small kernel; None for none.
        small_kernel_merged: Whether to begin with one convolution.
    """

    def __init__(
        self, channels: int, kernel_size: int, small_kernel: int | None, small_kernel_merged: bool = False
    ) -> None:
        super().__init__()
        self.channels, self.kernel_size, self.small_kernel_merged = channels, kernel_size, small_kernel_merged
        self.small_conv: Any = None
        if small_kernel_merged:
            self.lkb_reparam = self._merged_conv()
        else:
            self.lkb_origin: Any = conv_bn(channels, channels, kernel_size, groups=channels)
            if small_kernel is not None:
                self.small_conv = conv_bn(channels, channels, small_kernel, groups=channels)

    def _merged_conv(self) -> nn.Conv2d:
        return nn.Conv2d(
            self.channels, self.channels, self.kernel_size, padding=self.kernel_size // 2, groups=self.channels
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        if self.small_kernel_merged:
            return self.lkb_reparam(x_nchw)
        out_nchw = self.lkb_origin(x_nchw)
        return out_nchw if self.small_conv is None else out_nchw + self.small_conv(x_nchw)

    @torch.no_grad()
    def merge_kernel(self) -> None:
        """Replace the branches by the one convolution that computes the same in evaluation."""
        if self.small_kernel_merged:
            return
        kernel, bias = fused_kernel(self.lkb_origin.conv.weight, self.lkb_origin.bn)
        if self.small_conv is not None:
            small, small_bias = fused_kernel(self.small_conv.conv.weight, self.small_conv.bn)
            kernel = kernel + F.pad(small, [(self.kernel_size - small.shape[-1]) // 2] * 4)
            bias = bias + small_bias
        self.lkb_reparam = self._merged_conv().to(kernel)
        self.lkb_reparam.weight.copy_(kernel)
        self.lkb_reparam.bias.copy_(bias)  # type: ignore[union-attr]
        self.small_kernel_merged, self.small_conv = True, None
        del self.lkb_origin


class ConvFFN(BaseModule):
    """A normalization and a two-layer network at every place, added to the input.

    State keys: ``preffn_bn``, ``pw1``, ``pw2``.

    Args:
        channels: Channels C in and out.
        internal_channels: Channels inside.
        drop_path: Probability that a sample goes without the branch.
    """

    def __init__(self, channels: int, internal_channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = path_or_identity(drop_path)
        self.preffn_bn = build_norm_layer(BN, channels)[1]
        self.pw1 = conv_bn(channels, internal_channels, 1)
        self.pw2 = conv_bn(internal_channels, channels, 1)
        self.nonlinear = build_activation_layer(GELU)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return x_nchw + self.drop_path(self.pw2(self.nonlinear(self.pw1(self.preffn_bn(x_nchw)))))


class RepLKBlock(BaseModule):
    """A normalization and a large depthwise convolution between two of 1 x 1, added to the input.

    State keys: ``prelkb_bn``, ``pw1``, ``large_kernel``, ``pw2``.

    Args:
        channels: Channels C in and out.
        dw_channels: Channels of the depthwise convolution.
        kernel_size: Size of the large kernel.
        small_kernel: Size of the small kernel; None for none.
        drop_path: Probability that a sample goes without the branch.
        small_kernel_merged: Whether to begin with one convolution.
    """

    def __init__(
        self,
        channels: int,
        dw_channels: int,
        kernel_size: int,
        small_kernel: int | None,
        drop_path: float = 0.0,
        small_kernel_merged: bool = False,
    ) -> None:
        super().__init__()
        self.pw1 = conv_bn(channels, dw_channels, 1, relu=True)
        self.pw2 = conv_bn(dw_channels, channels, 1)
        self.large_kernel = ReparamLargeKernelConv(dw_channels, kernel_size, small_kernel, small_kernel_merged)
        self.lk_nonlinear = build_activation_layer(RELU)
        self.prelkb_bn = build_norm_layer(BN, channels)[1]
        self.drop_path = path_or_identity(drop_path)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        out_nchw = self.lk_nonlinear(self.large_kernel(self.pw1(self.prelkb_bn(x_nchw))))
        return x_nchw + self.drop_path(self.pw2(out_nchw))


class RepLKNetStage(BaseModule):
    """Blocks with large kernels and two-layer networks in turn.

    State keys: ``blocks``, and ``norm`` of a stage that is output.

    Args:
        blocks: The blocks.
        norm: Normalization of the output, which the network applies, or an identity.
        with_cp: Compute blocks again in the backward pass, to save memory.
    """

    def __init__(self, blocks: Iterable[nn.Module], norm: nn.Module, with_cp: bool) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        for block in self.blocks:
            cheaply = self.with_cp and x_nchw.requires_grad
            x_nchw = checkpoint(block, x_nchw, use_reentrant=False) if cheaply else block(x_nchw)
        return x_nchw


@BACKBONES.register_module()
class RepLKNet(Backbone):
    """Network with few, very large depthwise kernels.

    "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs" (Ding et al., 2022, arXiv:2203.06717).

    State keys: ``stem``, ``stages``, ``transitions``.

    Args:
        arch: ``'31B'``, ``'31L'``, ``'XL'``, or a dict with ``large_kernel_sizes``, ``layers`` (blocks) and
            ``channels`` of the stages, ``small_kernel`` (size or None) and ``dw_ratio`` (channels of large kernels
            divided by those of the stage).
        in_channels: Channels of the image.
        ffn_ratio: Channels inside the two-layer networks divided by those of the stage.
        out_indices: Stages to output, from 0.
        strides: Of no account; stem and transitions halve the resolution.
        dilations: Of no account.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        conv_cfg: Of no account.
        norm_cfg: Of no account; all normalizations are batch norms.
        act_cfg: Of no account.
        with_cp: Compute blocks again in the backward pass, to save memory.
        drop_path_rate: Drop probability of the last block; it grows linearly from 0.
        small_kernel_merged: Whether to begin with one convolution in place of a large and a small one.
        norm_intermediate_features: Of no account; every output is normalized.
        norm_eval: Keep batch norms in evaluation mode during training.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        '31b': {
            'large_kernel_sizes': (31, 29, 27, 13), 'layers': (2, 2, 18, 2), 'channels': (128, 256, 512, 1024),
            'small_kernel': 5, 'dw_ratio': 1,
        },
        '31l': {
            'large_kernel_sizes': (31, 29, 27, 13), 'layers': (2, 2, 18, 2), 'channels': (192, 384, 768, 1536),
            'small_kernel': 5, 'dw_ratio': 1,
        },
        'xl': {
            'large_kernel_sizes': (27, 27, 27, 13), 'layers': (2, 2, 18, 2), 'channels': (256, 512, 1024, 2048),
            'small_kernel': None, 'dw_ratio': 1.5,
        },
    }  # fmt: skip
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {'31B': (128, 256, 512, 1024), '31L': (192, 384, 768, 1536), 'XL': (256, 512, 1024, 2048)}
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        in_channels: int = 3,
        ffn_ratio: float = 4,
        out_indices: Sequence[int] = (3,),
        strides: Sequence[int] = (2, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        with_cp: bool = False,
        drop_path_rate: float = 0.3,
        small_kernel_merged: bool = False,
        norm_intermediate_features: bool = False,
        norm_eval: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ARCH_KEYS)
        depths, channels, ratio = settings['layers'], settings['channels'], settings['dw_ratio']
        self.out_indices = normalize_indices(out_indices, len(depths), 'RepLKNet')
        if not -1 <= frozen_stages <= len(depths):
            raise ValueError(f'RepLKNet: frozen_stages={frozen_stages} must lie in -1 ... {len(depths)}')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval

        first = channels[0]
        self.stem = nn.ModuleList(
            [
                conv_bn(in_channels, first, 3, stride=2, relu=True),
                conv_bn(first, first, 3, groups=first, relu=True),
                conv_bn(first, first, 1, relu=True),
                conv_bn(first, first, 3, stride=2, groups=first, relu=True),
            ]
        )
        rates = iter(decay_rule(drop_path_rate, sum(depths)))
        self.stages, self.transitions = nn.ModuleList(), nn.ModuleList()
        for i, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            if i:
                widen = conv_bn(channels[i - 1], width, 1, relu=True)
                self.transitions.append(nn.Sequential(widen, conv_bn(width, width, 3, 2, groups=width, relu=True)))
            kernels = (settings['large_kernel_sizes'][i], settings['small_kernel'])
            blocks: list[nn.Module] = []
            for rate in (next(rates) for _ in range(depth)):
                blocks.append(RepLKBlock(width, int(width * ratio), *kernels, rate, small_kernel_merged))
                blocks.append(ConvFFN(width, int(width * ffn_ratio), rate))
            norm = build_norm_layer(BN, width)[1] if i in self.out_indices else nn.Identity()
            self.stages.append(RepLKNetStage(blocks, norm, with_cp))
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(4 * 2**i for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The stem and the first ``frozen_stages`` stages."""
        return [] if self.frozen_stages < 0 else [self.stem, *self.stages[: self.frozen_stages]]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``."""
        for layer in self.stem:
            x = layer(x)
        outs = []
        for i, stage in enumerate(self.stages):
            if i:
                x = self.transitions[i - 1](x)
            x = stage(x)
            assert isinstance(stage, RepLKNetStage)
            if i in self.out_indices:
                outs.append(stage.norm(x))
        return tuple(outs)

    def switch_to_deploy(self) -> None:
        """Replace the branches of all large kernels by one convolution each."""
        for module in self.modules():
            if isinstance(module, ReparamLargeKernelConv):
                module.merge_kernel()
