"""MobileOne.

Shape suffixes: n samples, c channels, h height, w width; o, i channels of a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.fuse import fused_kernel
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}
SE: Mapping[str, Any] = {'ratio': 16}
BASE_CHANNELS = (64, 128, 256, 512)
ARCH_KEYS = ('num_blocks', 'width_factor', 'num_conv_branches', 'num_se_blocks')


class MobileOneBlock(BaseModule):
    """The sum of several branches, each with its batch norm, that one convolution replaces after training.

    State keys: ``branch_norm`` (where input and output have the same shape), ``branch_scale`` (a kernel of one pixel,
    beside larger ones), ``branch_conv_list``; after :meth:`switch_to_deploy` only ``branch_reparam``. ``se``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Odd size of the kernels.
        num_convs: Branches with that size.
        stride: Stride.
        padding: Zeros on each side.
        dilation: Dilation.
        groups: Groups of channels.
        se_cfg: Arguments of :class:`~intarsia.nn.squeeze_excite.SELayer`; None for no such layer.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation.
        deploy: Whether to begin with one convolution.
        init_cfg: How weights are initialized.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        num_convs: int,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        groups: int = 1,
        se_cfg: Mapping[str, Any] | None = None,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        deploy: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.se = nn.Identity() if se_cfg is None else SELayer(out_channels, **se_cfg)
        self.kernel_size, self.groups, self.deploy = kernel_size, groups, deploy
        self.conv_cfg, self.channels = conv_cfg, (in_channels, out_channels)
        self.options: dict[str, Any] = {'stride': stride, 'groups': groups}
        self.padded: dict[str, Any] = {'padding': padding, 'dilation': dilation}
        self.branch_norm: Any = None
        self.branch_scale: Any = None
        if deploy:
            self.branch_reparam = self._conv(kernel_size, bias=True, **self.padded)
        else:
            if in_channels == out_channels and stride == 1:
                self.branch_norm = build_norm_layer(norm_cfg, in_channels)[1]
            if kernel_size > 1:
                self.branch_scale = self._branch(1, norm_cfg)
            branches = [self._branch(kernel_size, norm_cfg, **self.padded) for _ in range(num_convs)]
            self.branch_conv_list = nn.ModuleList(branches)
        self.act = build_activation_layer(act_cfg)

    def _conv(self, kernel_size: int, bias: bool, **padded: Any) -> Any:
        return build_conv_layer(self.conv_cfg, *self.channels, kernel_size, bias=bias, **self.options, **padded)

    def _branch(self, kernel_size: int, norm_cfg: Mapping[str, Any], **padded: Any) -> nn.Sequential:
        branch = nn.Sequential()
        branch.add_module('conv', self._conv(kernel_size, bias=False, **padded))
        branch.add_module('norm', build_norm_layer(norm_cfg, self.channels[1])[1])
        return branch

    def _branches(self) -> list[nn.Module]:
        own = [self.branch_norm, self.branch_scale, *self.branch_conv_list]
        return [branch for branch in own if branch is not None]

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.deploy:
            out_nchw: Tensor = self.branch_reparam(x_nchw)
        else:
            out_nchw = torch.stack([branch(x_nchw) for branch in self._branches()]).sum(dim=0)
        return self.act(self.se(out_nchw))

    @torch.no_grad()
    def switch_to_deploy(self) -> None:
        """Replace the branches by the one convolution that computes the same in evaluation."""
        if self.deploy:
            return
        weights, biases = zip(*[self._fused(branch) for branch in self._branches()], strict=True)
        conv = self._conv(self.kernel_size, bias=True, **self.padded).to(weights[0])
        conv.weight.copy_(sum(weights))
        conv.bias.copy_(sum(biases))
        self.branch_reparam, self.deploy = conv, True
        self.branch_norm = self.branch_scale = None
        del self.branch_conv_list

    def _fused(self, branch: Any) -> tuple[Tensor, Tensor]:
        """Kernel and bias of a branch in evaluation, the kernel padded to the block's size."""
        if hasattr(branch, 'conv'):
            norm, kernel_oihw = branch.norm, branch.conv.weight
        else:
            norm = branch
            per_group = self.channels[0] // self.groups
            kernel_oihw = torch.eye(per_group, device=norm.weight.device).repeat(self.groups, 1)[..., None, None]
        pad = (self.kernel_size - kernel_oihw.shape[-1]) // 2
        return fused_kernel(F.pad(kernel_oihw, [pad] * 4), norm)


@BACKBONES.register_module()
class MobileOne(Backbone):
    """Network for phones, whose branches become plain convolutions after training.

    "MobileOne: An Improved One millisecond Mobile Backbone" (Vasu et al., 2022, arXiv:2206.04040).

    State keys: ``stage0`` ... ``stage4``.

    Args:
        arch: ``'s0'`` ... ``'s4'``, or a dict of four numbers each for ``num_blocks``, ``width_factor``,
            ``num_conv_branches`` and ``num_se_blocks``, how many last blocks squeeze and excite.
        in_channels: Channels of an image.
        out_indices: Stages to output: 0 ... 3 are ``stage1`` ... ``stage4``.
        frozen_stages: Freeze ``stage0`` (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        se_cfg: Arguments of :class:`~intarsia.nn.squeeze_excite.SELayer`.
        deploy: Whether to begin with plain convolutions; see :meth:`switch_to_deploy`.
        norm_eval: Keep batch norms in evaluation mode during training.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown, or not four numbers each; a stage has fewer blocks than such layers; or
            ``out_indices`` lie outside of the stages.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Sequence[float]]]] = {
        name: {
            'num_blocks': (2, 8, 10, 1),
            'width_factor': widths,
            'num_conv_branches': (branches,) * 4,
            'num_se_blocks': se_blocks,
        }
        for name, widths, branches, se_blocks in (
            ('s0', (0.75, 1.0, 1.0, 2.0), 4, (0, 0, 0, 0)),
            ('s1', (1.5, 1.5, 2.0, 2.5), 1, (0, 0, 0, 0)),
            ('s2', (1.5, 2.0, 2.5, 4.0), 1, (0, 0, 0, 0)),
            ('s3', (2.0, 2.5, 3.0, 4.0), 1, (0, 0, 0, 0)),
            ('s4', (3.0, 3.5, 3.5, 4.0), 1, (0, 0, 5, 1)),
        )
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[float]],
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (3,),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        se_cfg: Mapping[str, Any] = SE,
        deploy: bool = False,
        norm_eval: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        numbers = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        if any(len(numbers[key]) != 4 for key in ARCH_KEYS):
            raise ValueError(f'MobileOne: the arch needs four numbers for each of {", ".join(ARCH_KEYS)}, not {arch}')
        if any(se > blocks for se, blocks in zip(numbers['num_se_blocks'], numbers['num_blocks'], strict=True)):
            raise ValueError(f'MobileOne: a stage has fewer num_blocks than num_se_blocks: {arch}')
        self.out_indices = normalize_indices(out_indices, 4, type(self).__name__)
        self.frozen_stages, self.norm_eval, self.deploy = frozen_stages, norm_eval, deploy
        self.se_cfg = se_cfg
        self.options: dict[str, Any] = {
            'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'deploy': deploy,
        }  # fmt: skip
        widths = [int(base * factor) for base, factor in zip(BASE_CHANNELS, numbers['width_factor'], strict=True)]
        channels = min(64, widths[0])
        self.stage0: nn.Module = MobileOneBlock(in_channels, channels, 3, 1, stride=2, **self.options)
        for i, width in enumerate(widths):
            counts = [int(numbers[key][i]) for key in ('num_blocks', 'num_se_blocks', 'num_conv_branches')]
            self.add_module(f'stage{i + 1}', self._make_stage(channels, width, *counts))
            channels = width
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(4 * 2**i for i in self.out_indices)
        self._freeze_stages()

    def _make_stage(
        self, in_channels: int, out_channels: int, num_blocks: int, num_se: int, num_convs: int
    ) -> nn.Sequential:
        """Pairs of a filter for every channel and a mix of the channels; the first filter has the stride."""
        blocks = []
        for i in range(num_blocks):
            options = {**self.options, 'se_cfg': self.se_cfg if i >= num_blocks - num_se else None}
            stride, width = (2, in_channels) if i == 0 else (1, out_channels)
            blocks.append(MobileOneBlock(width, width, 3, num_convs, stride, groups=width, **options))
            blocks.append(MobileOneBlock(width, out_channels, 1, num_convs, padding=0, **options))
        return nn.Sequential(*blocks)

    def frozen_parts(self) -> Iterable[nn.Module]:
        """``stage0`` and the first ``frozen_stages`` stages."""
        return [getattr(self, f'stage{i}') for i in range(self.frozen_stages + 1)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, C, H, W)`` to the maps of the output stages, ``(N, C', H / stride, W / stride)``."""
        x_nchw = self.stage0(x)
        outs = []
        for i in range(4):
            x_nchw = getattr(self, f'stage{i + 1}')(x_nchw)
            if i in self.out_indices:
                outs.append(x_nchw)
        return tuple(outs)

    def switch_to_deploy(self) -> None:
        """Make the convolutions of all blocks plain ones; evaluation gives the same, training is over."""
        for module in self.modules():
            if isinstance(module, MobileOneBlock):
                module.switch_to_deploy()
        self.deploy = True
