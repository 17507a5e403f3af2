"""Residual networks of clips.

Shapes: n clips, c channels, t frames, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, normalize_indices
from intarsia.nn.init import constant_init
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.inflate import inflate_weights
from intarsia.tasks.action.backbones.residual3d import BasicBlock3d, Bottleneck3d, make_res_layer3d
from intarsia.tasks.action.backbones.residual_block import BlockOptions, ResidualBlock

CONV: Mapping[str, Any] = {'type': 'Conv3d'}
BN: Mapping[str, Any] = {'type': 'BN3d', 'requires_grad': True}
RELU: Mapping[str, Any] = {'type': 'ReLU', 'inplace': True}


@BACKBONES.register_module()
class ResNet3d(Backbone):
    """Residual network whose convolutions reach over time: I3D.

    "Quo Vadis, Action Recognition?" (Carreira and Zisserman, 2017, arXiv:1705.07750); with ``non_local``, "Non-local
    Neural Networks" (Wang et al., 2018, arXiv:1711.07971).

    State keys: ``conv1.conv``, ``conv1.bn``, ``layer1`` ... ``layer4``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: Weights to start from.
        stage_blocks: Blocks of each stage, if not those of the depth.
        pretrained2d: Whether ``pretrained`` is a network of images, whose weights are inflated.
        in_channels: Channels of the clip.
        num_stages: 1 ... 4.
        base_channels: Channels of the stem, and inside the blocks of the first stage; each stage doubles them.
        out_indices: Stages to output, from 0.
        spatial_strides: Stride in space of each stage.
        temporal_strides: Stride in time of each stage.
        dilations: Dilation in space of each stage.
        conv1_kernel: Kernel of the stem, ``(t, h, w)``.
        conv1_stride_s: Stride of the stem in space.
        conv1_stride_t: Stride of the stem in time.
        pool1_stride_s: Stride of the pooling after the stem in space.
        pool1_stride_t: Stride of that pooling in time.
        with_pool1: Whether there is that pooling.
        with_pool2: Whether pairs of frames are pooled after the first stage.
        style: ``'pytorch'`` puts the strides of a bottleneck on its second convolution, ``'caffe'`` on the first.
        frozen_stages: Freeze the stem (0) and so many stages; -1 freezes nothing.
        inflate: Which stages, or which of their blocks, reach over time: 1 or 0.
        inflate_style: Where bottlenecks do: ``'3x1x1'`` in the first convolution, ``'3x3x3'`` in the second.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        with_cp: Compute activations again in the backward pass, to save memory.
        non_local: Which stages, or which of their blocks, a non-local block follows: 1 or 0.
        non_local_cfg: Arguments of the non-local blocks.
        zero_init_residual: Start with blocks that pass on their input.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or numbers do not fit ``num_stages``.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        18: (BasicBlock3d, (2, 2, 2, 2)),
        34: (BasicBlock3d, (3, 4, 6, 3)),
        50: (Bottleneck3d, (3, 4, 6, 3)),
        101: (Bottleneck3d, (3, 4, 23, 3)),
        152: (Bottleneck3d, (3, 8, 36, 3)),
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv3d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )

    def __init__(
        self,
        depth: int = 50,
        pretrained: str | None = None,
        stage_blocks: Sequence[int] | None = None,
        pretrained2d: bool = True,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_s: int = 2,
        conv1_stride_t: int = 1,
        pool1_stride_s: int = 2,
        pool1_stride_t: int = 1,
        with_pool1: bool = True,
        with_pool2: bool = True,
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        frozen_stages: int = -1,
        inflate: int | Sequence[Any] = 1,
        inflate_style: Literal['3x1x1', '3x3x3'] = '3x1x1',
        conv_cfg: Mapping[str, Any] | None = CONV,
        norm_cfg: Mapping[str, Any] | None = BN,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        non_local: int | Sequence[Any] = 0,
        non_local_cfg: Mapping[str, Any] | None = None,
        zero_init_residual: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained, self.pretrained2d = pretrained, pretrained2d
        self.block, blocks = self._arch(depth)
        self.stage_blocks = tuple(stage_blocks or blocks[:num_stages])
        self.options = BlockOptions(style, inflate_style, non_local_cfg or {}, conv_cfg, norm_cfg, act_cfg, with_cp)
        self.base_channels, self.with_pool1, self.with_pool2 = base_channels, with_pool1, with_pool2
        self.frozen_stages, self.norm_eval, self.zero_init_residual = frozen_stages, norm_eval, zero_init_residual
        self.out_indices = normalize_indices(out_indices, num_stages, type(self).__name__)
        numbers = {'stage_blocks': self.stage_blocks, 'spatial_strides': spatial_strides, 'dilations': dilations,
                   'temporal_strides': temporal_strides}  # fmt: skip
        self._check(num_stages, numbers)
        self._make_stem(in_channels, tuple(conv1_kernel), (conv1_stride_t, conv1_stride_s),
                        (pool1_stride_t, pool1_stride_s))  # fmt: skip
        stem_stride = conv1_stride_s * (pool1_stride_s if with_pool1 else 1)
        spans = (spatial_strides, temporal_strides, dilations, _for_each(inflate, num_stages))
        self._make_stages(list(zip(*spans, _for_each(non_local, num_stages), strict=True)), stem_stride)

    def _make_stem(
        self, in_channels: int, kernel: tuple[int, ...], conv_ts: tuple[int, int], pool_ts: tuple[int, int]
    ) -> None:
        """Make ``conv1`` and the poolings; strides are those of time and of space."""
        padding = tuple((k - 1) // 2 for k in kernel)
        stride = (conv_ts[0], conv_ts[1], conv_ts[1])
        self.conv1 = self.options.conv(in_channels, self.base_channels, kernel, stride=stride, padding=padding)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (pool_ts[0], pool_ts[1], pool_ts[1]), (0, 1, 1))
        self.pool2 = nn.MaxPool3d((2, 1, 1), (2, 1, 1))

    def _make_stages(self, numbers: Sequence[Any], stride: int) -> None:
        """Make ``layer1`` ... and declare the outputs; each stage has its strides, dilation, inflation, non-locals."""
        self.res_layers: list[str] = []
        channels, strides = self.base_channels, []
        for i, (num_blocks, own) in enumerate(zip(self.stage_blocks, numbers, strict=True)):
            width, in_channels = self.base_channels * 2**i, channels + self.lateral_channels(channels)
            layer = make_res_layer3d(self.block, num_blocks, in_channels, width, self.options, *own)
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], layer)
            channels, stride = width * self.block.expansion, stride * own[0]
            strides.append(stride)
        self.feat_dim = channels
        self.out_channels = tuple(self.base_channels * 2**i * self.block.expansion for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)

    def lateral_channels(self, channels: int) -> int:
        """Channels that another pathway adds to the input of a stage."""
        return 0

    def _arch(self, depth: int) -> tuple[type[ResidualBlock], tuple[int, ...]]:
        if depth not in self.arch_settings:
            known = ', '.join(map(str, self.arch_settings))
            raise ValueError(f'{type(self).__name__}: depth must be one of {known}, not {depth}')
        return self.arch_settings[depth]

    def _check(self, num_stages: int, numbers: Mapping[str, Sequence[int]]) -> None:
        if not 1 <= num_stages <= 4:
            raise ValueError(f'{type(self).__name__}: num_stages={num_stages} must lie in 1 ... 4')
        for name, values in numbers.items():
            if len(values) != num_stages:
                raise ValueError(f'{type(self).__name__}: {name}={values}, but num_stages={num_stages}')

    def init_weights(self) -> None:
        """From ``pretrained``, inflated if it is of images; else as ``init_cfg`` says."""
        super().init_weights()
        for module in self.modules() if self.zero_init_residual and self.pretrained is None else ():
            if isinstance(module, ResidualBlock):
                constant_init(module.last_norm, 0)
        if self.pretrained is None:
            return
        state = read_state_dict(find_weights(self.pretrained))
        if self.pretrained2d:
            inflate_weights(self, state, skip='lateral')
        else:
            load_state_dict(self, state, strict=False)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The stem and the first stages."""
        if self.frozen_stages >= 0:
            yield self.conv1
        for name in self.res_layers[: max(self.frozen_stages, 0)]:
            yield getattr(self, name)

    def stem(self, x: Tensor) -> Tensor:
        """What the first stage gets of clips."""
        x = self.conv1(x)
        return self.maxpool(x) if self.with_pool1 else x

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features ``(N, C', T', H', W')`` of clips ``(N, C, T, H, W)``, one for each of ``out_indices``."""
        x = self.stem(x)
        outputs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i == 0 and self.with_pool2:
                x = self.pool2(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)


def _for_each(value: int | Sequence[Any], num_stages: int) -> tuple[Any, ...]:
    return (value,) * num_stages if isinstance(value, int) else tuple(value)
