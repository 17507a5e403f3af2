"""UniFormer: convolutions where tokens are many, attention where they are few.

Shape suffixes: n clips, c channels, t frames, h rows, w columns, l tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, init_from
from intarsia.nn.attention import MultiheadAttention
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.module import BaseModule, InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict
from intarsia.tasks.action.backbones.inflate import in_the_middle
from intarsia.tasks.action.backbones.swin_block3d import Mlp

GELU: Mapping[str, Any] = {'type': 'GELU'}

IMAGE_WEIGHTS: Mapping[str, str] = {
    'uniformer_small_in1k': 'uniformer_small_in1k_20221219-fe0a7ae0.pth',
    'uniformer_base_in1k': 'uniformer_base_in1k_20221219-82c01015.pth',
}
"""Files of networks of images, in the folder that :data:`IMAGE_FOLDER` names."""

IMAGE_FOLDER = 'https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'


def _depthwise(channels: int, kernel_size: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)


class ConvMlp(nn.Module):
    """Two layers at every place. State keys: ``fc1``, ``fc2``."""

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1, self.act = nn.Conv3d(channels, hidden, 1), nn.GELU()
        self.fc2, self.drop = nn.Conv3d(hidden, channels, 1), nn.Dropout(drop)

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Clips in and out."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x_ncthw)))))


class ConvBlock(BaseModule):
    """What tokens get from their neighbours, by learned weights of places.

    State keys: ``pos_embed``, ``norm1``, ``conv1``, ``conv2``, ``attn``, ``norm2``, ``mlp``.

    Args:
        channels: Channels C.
        mlp_ratio: Channels between the last two layers divided by C.
        drop: Dropout of outputs.
        drop_path: Probability that a sample goes without a branch.
    """

    def __init__(self, channels: int, mlp_ratio: float, drop: float, drop_path: float) -> None:
        super().__init__()
        self.pos_embed = _depthwise(channels, 3)
        self.norm1, self.norm2 = nn.BatchNorm3d(channels), nn.BatchNorm3d(channels)
        self.conv1, self.conv2 = nn.Conv3d(channels, channels, 1), nn.Conv3d(channels, channels, 1)
        self.attn = _depthwise(channels, 5)
        self.drop_path = path_or_identity(drop_path)
        self.mlp = ConvMlp(channels, int(channels * mlp_ratio), drop)

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Clips in and out."""
        x = x_ncthw + self.pos_embed(x_ncthw)
        x = x + self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class AttentionBlock(BaseModule):
    """What tokens get from all, by attention.

    State keys: ``pos_embed``, ``norm1``, ``attn``, ``norm2``, ``mlp``.

    Args:
        channels: Channels C.
        num_heads: Number of heads.
        mlp_ratio: Channels between the last two layers divided by C.
        drop: Dropout of outputs.
        drop_path: Probability that a sample goes without a branch.
        attention: Further arguments of :class:`~intarsia.nn.attention.MultiheadAttention`.
    """

    def __init__(
        self, channels: int, num_heads: int, mlp_ratio: float, drop: float, drop_path: float, **attention: Any
    ) -> None:
        super().__init__()
        self.pos_embed = _depthwise(channels, 3)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn = MultiheadAttention(channels, num_heads, proj_drop=drop, **attention)
        self.drop_path = path_or_identity(drop_path)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), GELU, drop)

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Clips in and out."""
        x_ncthw = x_ncthw + self.pos_embed(x_ncthw)
        tokens_nlc = x_ncthw.flatten(2).transpose(1, 2)
        tokens_nlc = tokens_nlc + self.drop_path(self.attn(self.norm1(tokens_nlc)))
        tokens_nlc = tokens_nlc + self.drop_path(self.mlp(self.norm2(tokens_nlc)))
        return tokens_nlc.transpose(1, 2).unflatten(2, x_ncthw.shape[2:])


class StagePatches(nn.Module):
    """One token of every patch, normalized. State keys: ``norm``, ``proj``.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the tokens.
        patch_size: Side of a patch.
        halves_time: Whether a patch has three frames, with a stride of two, and not one.
    """

    def __init__(self, in_channels: int, channels: int, patch_size: int, halves_time: bool) -> None:
        super().__init__()
        frames, step, pad = (3, 2, 1) if halves_time else (1, 1, 0)
        side = (patch_size, patch_size)
        self.norm = nn.LayerNorm(channels)
        self.proj = nn.Conv3d(in_channels, channels, (frames, *side), (step, *side), (pad, 0, 0))

    def forward(self, x_ncthw: Tensor) -> Tensor:
        """Maps of tokens ``(N, C, T, H, W)``."""
        return self.norm(self.proj(x_ncthw).permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3).contiguous()


@BACKBONES.register_module()
class UniFormer(Backbone):
    """Two stages of convolutions and two of attention, which share one form.

    "UniFormer: Unified Transformer for Efficient Spatiotemporal Representation Learning" (Li et al., 2022,
    arXiv:2201.04676). State keys: ``patch_embed1`` ... ``patch_embed4``, ``blocks1`` ... ``blocks4``, ``norm``.

    Args:
        depth: Blocks of the four stages.
        img_size: Of no effect: frames of any size are taken.
        in_chans: Channels of the clip.
        embed_dim: Channels of the four stages.
        head_dim: Channels of a head.
        mlp_ratio: Channels between the linear layers of a block divided by those of its tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the scores; by default one over the square root of the channels of a head.
        drop_rate: Dropout of tokens.
        attn_drop_rate: Dropout of the weights of attention.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        pretrained2d: Whether ``pretrained`` is a network of images, as ``'uniformer_base_in1k'``; its kernels are put
            in the middle of those of clips.
        pretrained: Weights to start from.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: ``depth`` or ``embed_dim`` has not four numbers.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02, 'bias': 0.0},
        {'type': 'Constant', 'layer': 'LayerNorm', 'val': 1.0, 'bias': 0.0},
    )

    def __init__(
        self,
        depth: Sequence[int] = (5, 8, 20, 7),
        img_size: int = 224,
        in_chans: int = 3,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        head_dim: int = 64,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        pretrained2d: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg if pretrained2d or pretrained is None else init_from(pretrained, None))
        if len(depth) != 4 or len(embed_dim) != 4:
            raise ValueError(f'UniFormer has four stages, but depth={depth} and embed_dim={embed_dim}')
        self.pretrained = pretrained if pretrained2d else None
        self.pos_drop = nn.Dropout(drop_rate)
        attention = {'qkv_bias': qkv_bias, 'qk_scale': qk_scale, 'attn_drop': attn_drop_rate}

        def attends(channels: int, rate: float) -> nn.Module:
            return AttentionBlock(channels, channels // head_dim, mlp_ratio, drop_rate, rate, **attention)

        def convolves(channels: int, rate: float) -> nn.Module:
            return ConvBlock(channels, mlp_ratio, drop_rate, rate)

        kinds: Sequence[Callable[[int, float], nn.Module]] = (convolves, convolves, attends, attends)
        rates, before = iter(decay_rule(drop_path_rate, sum(depth))), in_chans
        for i, (kind, count, channels) in enumerate(zip(kinds, depth, embed_dim, strict=True), start=1):
            self.add_module(f'patch_embed{i}', StagePatches(before, channels, 4 if i == 1 else 2, i == 1))
            self.add_module(f'blocks{i}', nn.ModuleList([kind(channels, next(rates)) for _ in range(count)]))
            before = channels
        self.norm = nn.BatchNorm3d(before)
        self.out_channels, self.strides = (before,), (32,)

    def init_weights(self) -> None:
        """From a network of images, or as ``init_cfg`` says."""
        super().init_weights()
        if self.pretrained is not None:
            file = IMAGE_WEIGHTS.get(self.pretrained)
            state = read_state_dict(find_weights(self.pretrained if file is None else IMAGE_FOLDER + file))
            load_state_dict(self, in_the_middle(state, self.state_dict()), strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Features ``(N, C', T / 2, H / 32, W / 32)`` of clips ``(N, in_chans, T, H, W)``."""
        for i in range(1, 5):
            x = getattr(self, f'patch_embed{i}')(x)
            x = self.pos_drop(x) if i == 1 else x
            for block in getattr(self, f'blocks{i}'):
                x = block(x)
        return (self.norm(x),)
