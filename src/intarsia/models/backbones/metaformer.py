"""What PoolFormer and RIFormer have in common: transformers without attention.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.models.backbones.backbone import Backbone, choose_arch, normalize_indices
from intarsia.models.backbones.conv_mlp import GELU, ConvMlp
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.norm import build_norm_layer

GN: Mapping[str, Any] = {'type': 'GN', 'num_groups': 1}


class PatchConv(nn.Module):
    """A convolution that makes patches, or merges them.

    Args:
        in_channels: Input channels.
        out_channels: Output channels C.
        patch_size: Size of a patch.
        stride: Distance between patches.
        padding: Zeros on each side.
    """

    def __init__(self, in_channels: int, out_channels: int, patch_size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, patch_size, stride, padding)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, C, H / stride, W / stride)``."""
        return self.proj(x_nchw)


class MetaFormerBlock(BaseModule):
    """Mix places, then channels, each on a normalized map, scaled by a factor per channel and added.

    State keys: ``norm1``, ``token_mixer``, ``norm2``, ``mlp``, ``layer_scale_1``, ``layer_scale_2``.

    Args:
        dim: Channels C.
        token_mixer: What mixes places.
        mlp_ratio: Channels inside the small network divided by C.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation.
        drop: Dropout of the small network.
        drop_path: Probability that a sample goes without a branch.
        layer_scale_init_value: First value of the factors.
    """

    def __init__(
        self,
        dim: int,
        token_mixer: nn.Module,
        mlp_ratio: float = 4.0,
        norm_cfg: Mapping[str, Any] = GN,
        act_cfg: Mapping[str, Any] = GELU,
        drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale_init_value: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, dim)[1]
        self.token_mixer = token_mixer
        self.norm2 = build_norm_layer(norm_cfg, dim)[1]
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio), act_cfg, drop)
        self.drop_path = path_or_identity(drop_path)
        self.layer_scale_1 = nn.Parameter(torch.full((dim,), layer_scale_init_value))
        self.layer_scale_2 = nn.Parameter(torch.full((dim,), layer_scale_init_value))

    def mixed(self, x_nchw: Tensor) -> Tensor:
        """The first branch, ``(N, C, H, W)`` in and out."""
        return self.token_mixer(self.norm1(x_nchw))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` in and out."""
        x_nchw = x_nchw + self.drop_path(self.layer_scale_1[:, None, None] * self.mixed(x_nchw))
        return x_nchw + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x_nchw)))


def _arch(widths: Sequence[int], layers: Sequence[int], scale: float) -> dict[str, Any]:
    return {'layers': layers, 'embed_dims': widths, 'mlp_ratios': (4,) * 4, 'layer_scale_init_value': scale}


class MetaFormer(Backbone):
    """Stages of blocks, with convolutions that halve the resolution between them.

    State keys: ``patch_embed``, ``network.{position}``, ``norm{position}`` for every output.

    Args:
        arch: Name of an architecture, or a dict with ``layers`` and ``embed_dims`` of the stages, and perhaps
            ``mlp_ratios`` (4 if not given) and ``layer_scale_init_value`` (1e-5).
        in_channels: Channels of the image.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        in_patch_size: Size of a patch of the image.
        in_stride: Distance between them.
        in_pad: Zeros around the image.
        down_patch_size: Size of the convolutions between stages.
        down_stride: Their stride.
        down_pad: Their zeros on each side.
        drop_rate: Dropout of the small networks.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        out_indices: Positions to output; stages and the convolutions between them count alike, so that four stages are
            0, 2, 4 and 6. Negative ones count from the end.
        frozen_stages: What is frozen; see the class.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, or there is no such position.
    """

    arch_settings: ClassVar[dict[str, dict[str, Any]]] = {
        's12': _arch((64, 128, 320, 512), (2, 2, 6, 2), 1e-5),
        's24': _arch((64, 128, 320, 512), (4, 4, 12, 4), 1e-5),
        's36': _arch((64, 128, 320, 512), (6, 6, 18, 6), 1e-6),
        'm36': _arch((96, 192, 384, 768), (6, 6, 18, 6), 1e-6),
        'm48': _arch((96, 192, 384, 768), (8, 8, 24, 8), 1e-6),
    }
    STATIC_CHANNELS: ClassVar[Mapping[str, Any]] = {
        'arch': {
            's12': (64, 128, 128, 320, 320, 512, 512), 's24': (64, 128, 128, 320, 320, 512, 512),
            's36': (64, 128, 128, 320, 320, 512, 512), 'm36': (96, 192, 192, 384, 384, 768, 768),
            'm48': (96, 192, 192, 384, 384, 768, 768),
        }
    }  # fmt: skip

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 's12',
        in_channels: int = 3,
        norm_cfg: Mapping[str, Any] = GN,
        act_cfg: Mapping[str, Any] = GELU,
        in_patch_size: int = 7,
        in_stride: int = 4,
        in_pad: int = 2,
        down_patch_size: int = 3,
        down_stride: int = 2,
        down_pad: int = 1,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = -1,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_settings, ('layers', 'embed_dims'))
        depths, widths = settings['layers'], settings['embed_dims']
        ratios, scale = settings.get('mlp_ratios', (4,) * len(depths)), settings.get('layer_scale_init_value', 1e-5)
        shared = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg, 'drop': drop_rate, 'layer_scale_init_value': scale}
        self.patch_embed = PatchConv(in_channels, widths[0], in_patch_size, in_stride, in_pad)
        self.network = nn.ModuleList()
        rates, channels, strides = iter(decay_rule(drop_path_rate, sum(depths))), list[int](), [in_stride]
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if i and width != widths[i - 1]:
                self.network.append(PatchConv(widths[i - 1], width, down_patch_size, down_stride, down_pad))
                channels.append(width)
                strides[-1:] = [strides[-1] * down_stride] * 2
            blocks = [self._block(width, mlp_ratio=ratios[i], drop_path=next(rates), **shared) for _ in range(depth)]
            self.network.append(nn.Sequential(*blocks))
            channels.append(width)
            strides.append(strides[-1])
        self.out_indices = normalize_indices(out_indices, len(self.network), type(self).__name__)
        for i in self.out_indices:
            self.add_module(f'norm{i}', build_norm_layer(norm_cfg, channels[i])[1])
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.strides = tuple(strides[i] for i in self.out_indices)
        self.frozen_stages = frozen_stages
        self._freeze_stages()

    def _block(self, dim: int, **options: Any) -> MetaFormerBlock:
        """A block; ``options`` are arguments of :class:`MetaFormerBlock`."""
        raise NotImplementedError(f'{type(self).__name__} has no _block')

    def _num_frozen(self) -> int:
        """How many positions ``frozen_stages`` freezes."""
        raise NotImplementedError(f'{type(self).__name__} has no _num_frozen')

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The patches of the image, the first positions, and the normalizations of their outputs."""
        if self.frozen_stages < 0:
            return []
        num = self._num_frozen()
        norms = [getattr(self, f'norm{i}') for i in self.out_indices if i < num]
        return [self.patch_embed, *self.network[:num], *norms]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, in_channels, H, W)`` to the maps of the outputs, ``(N, C, H / stride, W / stride)``."""
        x, outs = self.patch_embed(x), []
        for i, part in enumerate(self.network):
            x = part(x)
            if i in self.out_indices:
                outs.append(getattr(self, f'norm{i}')(x))
        return tuple(outs)
