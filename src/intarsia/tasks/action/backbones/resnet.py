"""The residual network of frames.

Shapes: n frames, c channels, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import BatchNorm
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.inflate import inflate_weights
from intarsia.tasks.action.backbones.residual_block import BlockOptions, ResidualBlock

CONV: Mapping[str, Any] = {'type': 'Conv'}
BN: Mapping[str, Any] = {'type': 'BN2d', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


class BasicBlock(ResidualBlock):
    """Two convolutions. Arguments as :class:`~intarsia.tasks.action.backbones.residual_block.ResidualBlock`."""

    expansion = 1

    def _make_convs(
        self, in_channels: int, channels: int, options: BlockOptions, stride: Any, dilation: int, inflate: bool
    ) -> None:
        self.conv1 = options.conv(in_channels, channels, 3, stride=stride, padding=dilation, dilation=dilation)
        self.conv2 = options.conv(channels, channels, 3, False, padding=1)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv2(self.conv1(x))

    @property
    def last_norm(self) -> Any:
        """The normalization that the residual ends with."""
        return self.conv2.norm


class Bottleneck(ResidualBlock):
    """Three convolutions. Arguments as :class:`~intarsia.tasks.action.backbones.residual_block.ResidualBlock`."""

    expansion = 4

    def _make_convs(
        self, in_channels: int, channels: int, options: BlockOptions, stride: Any, dilation: int, inflate: bool
    ) -> None:
        first, second = (1, stride) if options.style == 'pytorch' else (stride, 1)
        self.conv1 = options.conv(in_channels, channels, 1, stride=first)
        self.conv2 = options.conv(channels, channels, 3, stride=second, padding=dilation, dilation=dilation)
        self.conv3 = options.conv(channels, channels * self.expansion, 1, False)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        return self.conv3(self.conv2(self.conv1(x)))

    @property
    def last_norm(self) -> Any:
        """The normalization that the residual ends with."""
        return self.conv3.norm


@BACKBONES.register_module()
class ResNet(Backbone):
    """Residual network of frames, as TSN uses it.

    "Deep Residual Learning for Image Recognition" (He et al., 2015, arXiv:1512.03385). It computes what the network of
    images does; its state keys are those of networks of clips: ``conv1.conv``, ``conv1.bn``, ``layer1`` ... ``layer4``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: Weights to start from.
        torchvision_pretrain: Whether ``pretrained`` names its layers as ``torchvision`` does.
        in_channels: Channels of a frame.
        num_stages: 1 ... 4.
        out_indices: Stages to output, from 0.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        style: ``'pytorch'`` puts the stride of a bottleneck on its 3 x 3 convolution, ``'caffe'`` on the first.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        partial_bn: Freeze all batch norms but the first, "Temporal Segment Networks" (Wang et al., 2016,
            arXiv:1608.00859).
        with_cp: Compute activations again in the backward pass, to save memory.
        base_channels: Channels of the stem, and inside the blocks of the first stage; each stage doubles them.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or numbers do not fit ``num_stages``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
    STATIC_CHANNELS: ClassVar[dict[str, dict[int, tuple[int, ...]]]] = {
        'depth': {
            18: (64, 128, 256, 512),
            34: (64, 128, 256, 512),
            50: (256, 512, 1024, 2048),
            101: (256, 512, 1024, 2048),
            152: (256, 512, 1024, 2048),
        }
    }
    CHANNEL_ARGUMENTS: ClassVar[tuple[str, ...]] = ('base_channels',)
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )

    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        torchvision_pretrain: bool = True,
        in_channels: int = 3,
        num_stages: int = 4,
        out_indices: Sequence[int] = (3,),
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = CONV,
        norm_cfg: Mapping[str, Any] = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        partial_bn: bool = False,
        with_cp: bool = False,
        base_channels: int = 64,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if depth not in self.arch_settings:
            raise ValueError(f'{name}: depth must be one of {", ".join(map(str, self.arch_settings))}, not {depth}')
        if not len(strides) == len(dilations) == num_stages or not 1 <= num_stages <= 4:
            raise ValueError(f'{name}: num_stages={num_stages}, but strides={strides} and dilations={dilations}')
        self.pretrained, self.torchvision_pretrain = pretrained, torchvision_pretrain
        self.block, blocks = self.arch_settings[depth]
        self.depth, self.stage_blocks = depth, blocks[:num_stages]
        self.out_indices = normalize_indices(out_indices, num_stages, name)
        self.frozen_stages, self.norm_eval, self.partial_bn = frozen_stages, norm_eval, partial_bn
        self.options = BlockOptions(style, '3x1x1', {}, conv_cfg, norm_cfg, act_cfg, with_cp)
        self.conv1 = self.options.conv(in_channels, base_channels, 7, stride=2, padding=3)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.res_layers, in_planes, widths, steps = [], base_channels, [], []
        step = 4
        for i, num_blocks in enumerate(self.stage_blocks):
            channels = base_channels * 2**i
            layer = self.make_res_layer(in_planes, channels, num_blocks, strides[i], dilations[i])
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], layer)
            in_planes, step = channels * self.block.expansion, step * strides[i]
            widths.append(in_planes)
            steps.append(step)
        self.feat_dim = in_planes
        self.out_channels = tuple(widths[i] for i in self.out_indices)
        self.strides = tuple(steps[i] for i in self.out_indices)

    def make_res_layer(
        self, in_channels: int, channels: int, num_blocks: int, stride: int, dilation: int
    ) -> nn.Sequential:
        """The blocks of one stage, of which the first has the stride."""
        out_channels = channels * self.block.expansion
        downsamples = stride != 1 or in_channels != out_channels
        first = self.block(in_channels, channels, self.options, stride, dilation, downsamples=downsamples)
        others = [self.block(out_channels, channels, self.options, 1, dilation) for _ in range(num_blocks - 1)]
        return nn.Sequential(first, *others)

    def init_weights(self) -> None:
        """From ``pretrained``, or as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is None:
            return
        state = read_state_dict(find_weights(self.pretrained))
        if self.torchvision_pretrain:
            inflate_weights(self, state)
        else:
            load_state_dict(self, state, strict=False)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The stem and the first stages."""
        if self.frozen_stages >= 0:
            yield self.conv1
        for name in self.res_layers[: max(self.frozen_stages, 0)]:
            yield getattr(self, name)

    def train(self, mode: bool = True) -> ResNet:
        """Switch to training, except for what is frozen, or to evaluation."""
        super().train(mode)
        if mode and self.partial_bn:
            norms = [module for module in self.modules() if isinstance(module, BatchNorm)]
            for norm in norms[1:]:
                norm.eval()
                norm.requires_grad_(False)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of frames ``(N, C, H, W)``, one tensor for each of ``out_indices``."""
        x = self.maxpool(self.conv1(x))
        outputs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
