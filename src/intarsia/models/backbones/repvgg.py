"""RepVGG: many branches to train, one convolution to ship.

Shapes: n images, c channels, h rows, w columns; o and i channels of a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.fuse import fused_kernel
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN'}
RELU: Mapping[str, Any] = {'type': 'ReLU'}


def _arch(num_blocks: Sequence[int], width_factor: Sequence[float], groups: int = 1, **more: Any) -> Mapping[str, Any]:
    layers = dict.fromkeys(range(2, 27, 2), groups) if groups > 1 else None
    return {'num_blocks': num_blocks, 'width_factor': width_factor, 'group_layer_map': layers, 'se_cfg': None, **more}


_A, _B = (2, 4, 14, 1), (4, 6, 16, 1)
_B1, _B2, _B3 = (2, 2, 2, 4), (2.5, 2.5, 2.5, 5), (3, 3, 3, 5)
ARCHES: dict[str, Mapping[str, Any]] = {
    'a0': _arch(_A, (0.75, 0.75, 0.75, 2.5)), 'a1': _arch(_A, (1, 1, 1, 2.5)), 'a2': _arch(_A, (1.5, 1.5, 1.5, 2.75)),
    'b0': _arch(_B, (1, 1, 1, 2.5), stem_channels=64),
    'b1': _arch(_B, _B1), 'b1g2': _arch(_B, _B1, 2), 'b1g4': _arch(_B, _B1, 4),
    'b2': _arch(_B, _B2), 'b2g2': _arch(_B, _B2, 2), 'b2g4': _arch(_B, _B2, 4),
    'b3': _arch(_B, _B3), 'b3g2': _arch(_B, _B3, 2), 'b3g4': _arch(_B, _B3, 4),
    'd2se': _arch((8, 14, 24, 1), _B2, se_cfg={'ratio': 16, 'divisor': 1}),
    'yolox-pai-small': _arch((3, 5, 7, 3), (1, 1, 1, 1), stem_channels=32),
}  # fmt: skip
"""Blocks of each stage, their width, which layers have groups, and squeeze-and-excitation."""


class RepVGGBlock(nn.Module):
    """Convolutions of 3 x 3 and 1 x 1 and the input itself, normalized and added: one convolution in disguise.

    State keys: ``branch_3x3``, ``branch_1x1``, ``branch_norm``; after :meth:`switch_to_deploy` ``branch_reparam``;
    ``se_layer``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        stride: Stride.
        dilation: Dilation of the larger kernel.
        groups: Groups of channels.
        se_cfg: Arguments of squeeze-and-excitation; None for none.
        with_cp: Compute activations again in the backward pass, to save memory.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation.
        deploy: Be one convolution from the start.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        se_cfg: Mapping[str, Any] | None = None,
        with_cp: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp, self.deploy, self.conv_cfg = with_cp, deploy, conv_cfg
        self.options: dict[str, Any] = {'stride': stride, 'groups': groups}
        self.spread = {'padding': dilation, 'dilation': dilation}
        self.channels = (in_channels, out_channels)
        if deploy:
            self.branch_reparam = self._whole()
        else:
            is_shortcut = in_channels == out_channels and stride == 1
            self.branch_norm = build_norm_layer(norm_cfg, in_channels)[1] if is_shortcut else None
            self.branch_3x3 = self._branch(3, norm_cfg, **self.spread)
            self.branch_1x1 = self._branch(1, norm_cfg)
        self.se_layer = None if se_cfg is None else SELayer(out_channels, **se_cfg)
        self.act = build_activation_layer(act_cfg)

    def _branch(self, kernel: int, norm_cfg: Mapping[str, Any], **spread: Any) -> nn.Sequential:
        branch = nn.Sequential()
        branch.add_module(
            'conv', build_conv_layer(self.conv_cfg, *self.channels, kernel, bias=False, **self.options, **spread)
        )
        branch.add_module('norm', build_norm_layer(norm_cfg, self.channels[1])[1])
        return branch

    def _whole(self) -> Any:
        return build_conv_layer(self.conv_cfg, *self.channels, 3, bias=True, **self.options, **self.spread)

    def _added(self, x: Tensor) -> Tensor:
        if self.deploy:
            return self.branch_reparam(x)
        out = self.branch_3x3(x) + self.branch_1x1(x)
        out = out if self.branch_norm is None else out + self.branch_norm(x)
        return out if self.se_layer is None else self.se_layer(out)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C', H', W')``."""
        if self.with_cp and x.requires_grad:
            return self.act(checkpoint(self._added, x, use_reentrant=False))
        return self.act(self._added(x))

    @torch.no_grad()
    def switch_to_deploy(self) -> None:
        """Become one convolution, which gives the same in evaluation mode."""
        if self.deploy:
            return
        branches: list[Any] = [self.branch_3x3, self.branch_1x1]
        large, small = (fused_kernel(branch.conv.weight, branch.norm) for branch in branches)
        weight, bias = large[0] + F.pad(small[0], (1, 1, 1, 1)), large[1] + small[1]
        if self.branch_norm is not None:
            kernel = torch.zeros_like(weight)
            for i in range(len(kernel)):
                kernel[i, i % kernel.shape[1], 1, 1] = 1
            own = fused_kernel(kernel, self.branch_norm)
            weight, bias = weight + own[0], bias + own[1]
        whole = self._whole()
        whole.weight.copy_(weight)
        whole.bias.copy_(bias)
        self.branch_reparam = whole
        del self.branch_3x3, self.branch_1x1, self.branch_norm
        self.deploy = True


class PoolingPyramid(nn.Module):
    """The map pooled once, twice and three times, joined. State keys: ``conv1``, ``conv2``.

    Args:
        channels: Channels of input and output.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        kernel_size: Of the pooling.
    """

    def __init__(
        self, channels: int, norm_cfg: Mapping[str, Any], act_cfg: Mapping[str, Any], kernel_size: int = 5
    ) -> None:
        super().__init__()
        cfgs: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = ConvModule(channels, channels // 2, 1, **cfgs)
        self.conv2 = ConvModule(channels // 2 * 4, channels, 1, **cfgs)
        self.maxpool = nn.MaxPool2d(kernel_size, stride=1, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        maps = [self.conv1(x)]
        for _ in range(3):
            maps.append(self.maxpool(maps[-1]))
        return self.conv2(torch.cat(maps, dim=1))


@BACKBONES.register_module()
class RepVGG(Backbone):
    """A plain stack of convolutions that is trained with shortcuts.

    "RepVGG: Making VGG-style ConvNets Great Again" (Ding et al., 2021, arXiv:2101.03697). State keys: ``stem``,
    ``stage_1`` ... ``stage_4``, ``ppf``.

    Args:
        arch: A name (A0 ... A2, B0 ... B3g4, D2se, yolox-pai-small), or a dict with ``num_blocks``, ``width_factor``,
            ``group_layer_map``, ``se_cfg`` and perhaps ``stem_channels``.
        in_channels: Channels of the image.
        base_channels: Channels of the first stage for a width of 1.
        out_indices: Stages to output, from 0.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        with_cp: Compute activations again in the backward pass, to save memory.
        deploy: Each block is one convolution.
        norm_eval: Keep batch norms in evaluation mode during training.
        add_ppf: Whether pooled maps are joined to the last stage.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There is no such arch, or numbers are for another number of stages.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        in_channels: int = 3,
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        strides: Sequence[int] = (2, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        with_cp: bool = False,
        deploy: bool = False,
        norm_eval: bool = False,
        add_ppf: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        keys = ('num_blocks', 'width_factor', 'group_layer_map', 'se_cfg')
        self.arch = choose_arch(self, arch, ARCHES, keys)
        blocks, factors = self.arch['num_blocks'], self.arch['width_factor']
        if not len(blocks) == len(factors) == len(strides) == len(dilations):
            raise ValueError(f'RepVGG: {len(blocks)} stages, but strides={strides} and dilations={dilations}')
        self.out_indices = normalize_indices(out_indices, len(blocks), 'RepVGG')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        cfgs: dict[str, Any] = {'se_cfg': self.arch['se_cfg'], 'with_cp': with_cp, 'conv_cfg': conv_cfg,
                                'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'deploy': deploy}  # fmt: skip
        channels = min(self.arch.get('stem_channels', 64), int(base_channels * factors[0]))
        self.stem = RepVGGBlock(in_channels, channels, 2, **cfgs)
        self.stages, widths, steps, stride, layer = [], [], [], 2, 1
        for i, num_blocks in enumerate(blocks):
            width = int(base_channels * 2**i * factors[i])
            stage = nn.Sequential()
            for j in range(num_blocks):
                groups = (self.arch['group_layer_map'] or {}).get(layer, 1)
                stage.append(RepVGGBlock(channels, width, 1 if j else strides[i], dilations[i], groups, **cfgs))
                channels, layer = width, layer + 1
            self.stages.append(f'stage_{i + 1}')
            self.add_module(self.stages[-1], stage)
            stride *= strides[i]
            widths.append(width)
            steps.append(stride)
        self.ppf = PoolingPyramid(channels, norm_cfg, act_cfg) if add_ppf else None
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(steps[i] for i in self.out_indices)
        self._freeze_stages()

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The stem and the first stages."""
        if self.frozen_stages >= 0:
            yield self.stem
        for name in self.stages[: max(self.frozen_stages, 0)]:
            yield getattr(self, name)

    def switch_to_deploy(self) -> None:
        """Make each block one convolution."""
        for module in self.modules():
            if isinstance(module, RepVGGBlock):
                module.switch_to_deploy()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of images ``(N, C, H, W)``, one tensor for each of ``out_indices``."""
        x = self.stem(x)
        outputs = []
        for i, name in enumerate(self.stages):
            x = getattr(self, name)(x)
            if i == len(self.stages) - 1 and self.ppf is not None:
                x = self.ppf(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
