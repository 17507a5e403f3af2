"""RepMLPNet: fully connected layers over the places of a map, which take in convolutions after training.

Shape suffixes: n samples, c channels, s sets of weights, h height, w width, p places of a partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.nn.activation import build_activation_layer
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.embed import PatchEmbed
from intarsia.nn.fuse import fused_kernel
from intarsia.nn.module import BaseModule, InitCfg, ModuleList, Sequential
from intarsia.nn.norm import build_norm_layer
from intarsia.nn.pair import Pair, as_pair
from intarsia.nn.squeeze_excite import SELayer

BN: Mapping[str, Any] = {'type': 'BN', 'requires_grad': True}
GELU: Mapping[str, Any] = {'type': 'GELU'}
BASE: Mapping[str, Any] = {'channels': (96, 192, 384, 768), 'depths': (2, 2, 12, 2), 'sharesets_nums': (1, 4, 32, 128)}


class RectifiedPatchEmbed(PatchEmbed):
    """Patches of an image as a map, normalized and rectified. Arguments of :class:`~intarsia.nn.embed.PatchEmbed`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.relu = nn.ReLU()

    def forward(self, image_nchw: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """``(N, in_channels, H, W)`` to ``(N, C, rows, columns)`` and (rows, columns)."""
        if self.adaptive_padding is not None:
            image_nchw = self.adaptive_padding(image_nchw)
        x_nchw = self.projection(image_nchw)
        if self.norm is not None:
            x_nchw = self.norm(x_nchw)
        return self.relu(x_nchw), (x_nchw.shape[2], x_nchw.shape[3])


class RepMLPBlock(BaseModule):
    """A fully connected layer over the places of each partition of a map, and small convolutions beside it.

    Channels share weights: channel c has the set ``c mod num_sharesets``.

    State keys: ``gp`` (factors of channels), ``fc3``, ``fc3_bn``, ``repconv{k}``; after :meth:`local_inject` only
    ``gp`` and ``fc3``.

    Args:
        channels: Channels C in and out.
        path_h: Rows of a partition.
        path_w: Columns of a partition.
        reparam_conv_kernels: Odd sizes of the convolutions; None for none.
        globalperceptron_ratio: By how much channels are squeezed where their factors are made.
        num_sharesets: Number of sets of weights S; divides C.
        conv_cfg: Config of the fully connected layer, a grouped 1 x 1 convolution.
        norm_cfg: Config of its normalization.
        deploy: Whether to begin without convolutions and normalization.
    """

    def __init__(
        self,
        channels: int,
        path_h: int,
        path_w: int,
        reparam_conv_kernels: Sequence[int] | None = None,
        globalperceptron_ratio: int = 4,
        num_sharesets: int = 1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        self.deploy, self.conv_cfg, self.num_sharesets = deploy, conv_cfg, num_sharesets
        self.partition_shape = (path_h, path_w)
        self.gp = SELayer(channels, ratio=globalperceptron_ratio)
        self.fc3: Any = self._fully_connected(bias=deploy)
        self.fc3_bn: Any = nn.Identity() if deploy else build_norm_layer(norm_cfg, num_sharesets)[1]
        self.kernels = () if deploy else tuple(reparam_conv_kernels or ())
        for k in self.kernels:
            conv = ConvModule(
                num_sharesets, num_sharesets, k, padding=k // 2, groups=num_sharesets, norm_cfg=BN, act_cfg=None
            )
            self.add_module(f'repconv{k}', conv)

    def _fully_connected(self, bias: bool) -> nn.Module:
        """A layer for each set of weights, from all places of a partition to all: a convolution with S groups."""
        places = self.num_sharesets * self.partition_shape[0] * self.partition_shape[1]
        return build_conv_layer(self.conv_cfg, places, places, 1, groups=self.num_sharesets, bias=bias)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out; H and W are multiples of the partition's sides."""
        path_h, path_w = self.partition_shape
        grid = x_nchw.unflatten(3, (-1, path_w)).unflatten(2, (-1, path_h)).permute(0, 2, 4, 1, 3, 5)
        shape = grid.shape
        parts_mshw = grid.reshape(-1, self.num_sharesets, path_h, path_w)
        out_mshw = self.fc3(parts_mshw.flatten(1)[..., None, None]).reshape(parts_mshw.shape)
        out_mshw = self.fc3_bn(out_mshw)
        for k in self.kernels:
            out_mshw = out_mshw + getattr(self, f'repconv{k}')(parts_mshw)
        out_nchw = out_mshw.reshape(shape).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return out_nchw * self.gp.factors(x_nchw)

    @torch.no_grad()
    def local_inject(self) -> None:
        """Put convolutions and normalization into the fully connected layer; evaluation gives the same."""
        if self.deploy:
            return
        kernel, bias = fused_kernel(self.fc3.weight, self.fc3_bn)
        for k in self.kernels:
            branch = getattr(self, f'repconv{k}')
            of_conv, conv_bias = self._as_fully_connected(*fused_kernel(branch.conv.weight, branch.bn))
            kernel, bias = kernel + of_conv, bias + conv_bias
            delattr(self, f'repconv{k}')
        self.kernels, self.deploy = (), True
        self.fc3 = self._fully_connected(bias=True).to(kernel)
        self.fc3.weight.copy_(kernel)
        self.fc3.bias.copy_(bias)
        self.fc3_bn = nn.Identity()

    def _as_fully_connected(self, kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The fully connected layer that does what a convolution does: its answers to single places."""
        height, width = self.partition_shape
        places = height * width
        single_pshw = torch.eye(places, device=kernel.device).view(places, 1, height, width)
        single_pshw = single_pshw.expand(-1, self.num_sharesets, -1, -1)
        answers_pshw = F.conv2d(single_pshw, kernel, padding=kernel.shape[-1] // 2, groups=self.num_sharesets)
        return answers_pshw.flatten(1).t()[..., None, None], bias.repeat_interleave(places)


class ConvFFN(nn.Module):
    """Two 1 x 1 convolutions, each with a normalization, and an activation in between.

    State keys: ``ffn_fc1``, ``ffn_fc2``.

    Args:
        channels: Channels C in and out.
        hidden_channels: Channels inside.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.ffn_fc1 = ConvModule(channels, hidden_channels, 1, norm_cfg=BN, act_cfg=None)
        self.ffn_fc2 = ConvModule(hidden_channels, channels, 1, norm_cfg=BN, act_cfg=None)
        self.act = build_activation_layer(GELU)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        return self.ffn_fc2(self.act(self.ffn_fc1(x_nchw)))


class RepMLPNetUnit(BaseModule):
    """A :class:`RepMLPBlock` and a :class:`ConvFFN`, each on normalized maps and added to them.

    Args:
        channels: Channels C in and out.
        norm_cfg: Config of the normalizations in front of both.
        ffn_expand: Channels inside the second part divided by C.
        **kwargs: Arguments of :class:`RepMLPBlock`.
    """

    def __init__(self, channels: int, norm_cfg: Mapping[str, Any] = BN, ffn_expand: int = 4, **kwargs: Any) -> None:
        super().__init__()
        self.repmlp_block = RepMLPBlock(channels, **kwargs)
        self.ffn_block = ConvFFN(channels, channels * ffn_expand)
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        x_nchw = x_nchw + self.repmlp_block(self.norm1(x_nchw))
        return x_nchw + self.ffn_block(self.norm2(x_nchw))


@BACKBONES.register_module()
class RepMLPNet(Backbone):
    """Network of fully connected layers over places, for images of one size.

    "RepMLPNet: Hierarchical Vision MLP with Re-parameterized Locality" (Ding et al., 2021, arXiv:2112.11081).

    State keys: ``patch_embed``, ``stages``, ``downsample_layers``, ``final_norm``.

    Args:
        arch: ``'base'`` or ``'b'``, or a dict with ``channels``, ``depths`` and ``sharesets_nums`` of the stages.
        img_size: Size of the images.
        in_channels: Channels of the image.
        patch_size: Size of a patch.
        out_indices: Stages to output, from 0; all but the last with the downsampling behind them.
        reparam_conv_kernels: Odd sizes of convolutions beside the fully connected layers; None for none.
        globalperceptron_ratio: By how much channels are squeezed where their factors are made.
        conv_cfg: Config of the downsampling convolutions.
        norm_cfg: Config of the normalizations.
        patch_cfg: Further arguments of the patch embedding.
        final_norm: Whether the output of the last stage is normalized.
        deploy: Whether to begin without convolutions beside fully connected layers.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or an index lies outside of the stages.
    """

    arch_zoo: ClassVar[dict[str, Mapping[str, Any]]] = {'b': BASE, 'base': BASE}
    STATIC_CHANNELS: ClassVar[dict[str, dict[str, tuple[int, ...]]]] = {
        'arch': {
            'b': (192, 384, 768, 768), 'base': (192, 384, 768, 768), 'B': (192, 384, 768, 768),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]],
        img_size: Pair = 224,
        in_channels: int = 3,
        patch_size: Pair = 4,
        out_indices: Sequence[int] = (3,),
        reparam_conv_kernels: Sequence[int] | None = (3,),
        globalperceptron_ratio: int = 4,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = BN,
        patch_cfg: Mapping[str, Any] | None = None,
        final_norm: bool = True,
        deploy: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ('channels', 'depths', 'sharesets_nums'))
        channels, num_stages = settings['channels'], len(settings['channels'])
        self.img_size = as_pair(img_size)
        self.out_indices = normalize_indices(out_indices, num_stages, 'RepMLPNet')
        patch = as_pair(patch_size)
        embed: dict[str, Any] = {
            'in_channels': in_channels, 'input_size': self.img_size, 'embed_dims': channels[0], 'kernel_size': patch,
            'stride': patch, 'norm_cfg': norm_cfg, 'bias': False, **(patch_cfg or {}),
        }  # fmt: skip
        self.patch_embed = RectifiedPatchEmbed(**embed)
        assert self.patch_embed.init_out_size is not None
        rows, columns = self.patch_embed.init_out_size

        self.stages, self.downsample_layers = ModuleList(), ModuleList()
        for i, (depth, width) in enumerate(zip(settings['depths'], channels, strict=True)):
            options: dict[str, Any] = {
                'path_h': rows // 2**i, 'path_w': columns // 2**i, 'reparam_conv_kernels': reparam_conv_kernels,
                'globalperceptron_ratio': globalperceptron_ratio, 'num_sharesets': settings['sharesets_nums'][i],
                'deploy': deploy,
            }  # fmt: skip
            self.stages.append(Sequential(*[RepMLPNetUnit(width, norm_cfg, **options) for _ in range(depth)]))
            if i < num_stages - 1:
                halve = ConvModule(width, channels[i + 1], 2, stride=2, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
                self.downsample_layers.append(halve)
        self.final_norm = build_norm_layer(norm_cfg, channels[-1])[1] if final_norm else nn.Identity()
        after = [min(i + 1, num_stages - 1) for i in self.out_indices]
        self.out_channels = tuple(channels[i] for i in after)
        self.strides = tuple(patch[0] * 2**i for i in after)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, *img_size)`` to the maps of the output stages, ``(N, C, H / stride, W / stride)``.

        Raises:
            ValueError: The images have another size.
        """
        if x.shape[2:] != self.img_size:
            raise ValueError(f'RepMLPNet was built for images {self.img_size}, not {tuple(x.shape[2:])}: set img_size')
        x_nchw, _ = self.patch_embed(x)
        outs = []
        last = len(self.stages) - 1
        for i, stage in enumerate(self.stages):
            x_nchw = stage(x_nchw)
            if i < last:
                x_nchw = self.downsample_layers[i](x_nchw)
            if i in self.out_indices:
                outs.append(self.final_norm(x_nchw) if i == last else x_nchw)
        return tuple(outs)

    def switch_to_deploy(self) -> None:
        """Put all convolutions into the fully connected layers beside them."""
        for module in self.modules():
            if isinstance(module, RepMLPBlock):
                module.local_inject()
