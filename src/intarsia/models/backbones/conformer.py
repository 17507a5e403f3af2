"""Conformer.

Shape suffixes: n samples, l tokens, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone, choose_arch
from intarsia.models.backbones.conformer_block import LN_EPS6, ConvBlock, ConvTransBlock
from intarsia.models.backbones.mit import to_tokens
from intarsia.models.backbones.transformer_layer import TransformerEncoderLayer
from intarsia.nn.drop import decay_rule
from intarsia.nn.init import constant_init, kaiming_init, trunc_normal_, trunc_normal_init
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import BatchNorm
from intarsia.nn.padding import AdaptivePadding

ARCH_KEYS = ('embed_dims', 'channel_ratio', 'num_heads', 'depths')
STEM_CHANNELS = 64


def _arch(*numbers: int) -> dict[str, int]:
    return dict(zip(ARCH_KEYS, numbers, strict=True))


@BACKBONES.register_module()
class Conformer(Backbone):
    """Convolutions and a transformer side by side, which exchange features at every block.

    "Conformer: Local Features Coupling Global Representations for Visual Recognition" (Peng et al., 2021,
    arXiv:2105.03889).

    An output is ``[mean of the map, class token]``; without class tokens the second is the mean of the tokens.

    State keys: ``cls_token``, ``conv1``, ``bn1``, ``conv_1``, ``trans_patch_conv``, ``trans_1``, ``conv_trans_2`` ...,
    ``trans_norm``.

    Args:
        arch: Name of an architecture, or a dict with ``embed_dims``, ``channel_ratio``, ``num_heads`` and ``depths``.
        patch_size: Size of a patch in pixels, a multiple of 16.
        base_channels: Channels of the first maps, times ``channel_ratio``.
        mlp_ratio: Channels inside the feed-forward networks divided by those of tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        with_cls_token: Whether there is a class token.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        norm_eval: Keep batch norms in evaluation mode during training. The old toolboxes had True here, but did not
            heed it.
        frozen_stages: Freeze the stem and so many blocks; 0 freezes nothing.
        out_indices: Blocks to output, 2 ... ``depths``; negative ones count from the end.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The architecture is unknown or incomplete, ``patch_size`` is no multiple of 16, or there is no
            such block.
    """

    arch_zoo: ClassVar[dict[str, dict[str, int]]] = {
        **dict.fromkeys(('t', 'tiny'), _arch(384, 1, 6, 12)),
        **dict.fromkeys(('s', 'small'), _arch(384, 4, 6, 12)),
        **dict.fromkeys(('b', 'base'), _arch(576, 6, 9, 12)),
    }

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'tiny',
        patch_size: int = 16,
        base_channels: int = 64,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        with_cls_token: bool = True,
        drop_path_rate: float = 0.0,
        norm_eval: bool = False,
        frozen_stages: int = 0,
        out_indices: int | Sequence[int] = -1,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = choose_arch(self, arch, self.arch_zoo, ARCH_KEYS)
        if patch_size % 16:
            raise ValueError(f'Conformer: patch_size={patch_size} is no multiple of 16')
        embed_dims, self.depths = settings['embed_dims'], settings['depths']
        self.with_cls_token, self.norm_eval, self.frozen_stages = with_cls_token, norm_eval, frozen_stages
        self._set_outputs(out_indices)
        rates = decay_rule(drop_path_rate, self.depths)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims)) if with_cls_token else None
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        down = patch_size // 4
        self.auto_pad = AdaptivePadding(down, down)
        first = int(base_channels * settings['channel_ratio'])
        self.conv_1 = ConvBlock(STEM_CHANNELS, first, with_residual_conv=True)
        self.trans_patch_conv = nn.Conv2d(STEM_CHANNELS, embed_dims, down, down)
        shared: dict[str, Any] = {'num_heads': settings['num_heads'], 'qkv_bias': qkv_bias}
        self.trans_1 = TransformerEncoderLayer(
            embed_dims, feedforward_channels=int(embed_dims * mlp_ratio), drop_path_rate=rates[0], norm_cfg=LN_EPS6,
            **shared,
        )  # fmt: skip
        third = self.depths // 3
        self.num_blocks, in_channels = 3 * third, first
        for i in range(2, self.num_blocks + 1):
            stage = (i - 1) // third
            channels, begins = first * 2**stage, stage > 0 and (i - 1) % third == 0
            block = ConvTransBlock(
                in_channels, channels, embed_dims, 2 if begins else 1, begins, down // 2**stage, mlp_ratio=mlp_ratio,
                with_cls_token=with_cls_token, drop_path_rate=rates[i - 1], last_fusion=i == self.depths, **shared,
            )  # fmt: skip
            self.add_module(f'conv_trans_{i}', block)
            in_channels = channels
        self.trans_norm = nn.LayerNorm(embed_dims)
        self.out_channels = tuple(first * 2 ** ((i - 1) // third) for i in self.out_indices)
        self.strides = (0,) * len(self.out_indices)
        self._freeze_stages()

    def _set_outputs(self, out_indices: int | Sequence[int]) -> None:
        indices = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
        self.out_indices = tuple(i + self.depths + 1 if i < 0 else i for i in indices)
        if not all(2 <= i <= self.depths for i in self.out_indices):
            raise ValueError(f'Conformer: out_indices={out_indices!r}, but the blocks are 2 ... {self.depths}')

    def init_own_weights(self) -> None:
        """Truncated normal linear layers, He initialization of convolutions, 0 for the last norm of every branch."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02)
            elif isinstance(module, nn.Conv2d):
                kaiming_init(module, mode='fan_out')
            elif isinstance(module, (nn.LayerNorm, BatchNorm)):
                constant_init(module, 1)
        for module in self.modules():
            if isinstance(module, ConvBlock):
                constant_init(module.bn3, 0)
        if self.cls_token is not None:
            trunc_normal_(self.cls_token, std=0.02)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The stem with the class token, and the first ``frozen_stages`` blocks of both sides."""
        if self.frozen_stages <= 0:
            return []
        token = [] if self.cls_token is None else [self.cls_token]
        blocks = [getattr(self, f'conv_trans_{i}') for i in range(2, self.frozen_stages + 1)]
        return [*token, self.conv1, self.bn1, self.trans_patch_conv, self.conv_1, self.trans_1, *blocks]

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        """Images ``(N, 3, H, W)`` to ``[mean of the map (N, C), class token (N, C')]`` of each output block."""
        base_nchw = self.auto_pad(self.maxpool(self.act1(self.bn1(self.conv1(x)))))
        x_nchw = self.conv_1(base_nchw)[0]
        tokens_nlc = to_tokens(self.trans_patch_conv(base_nchw))
        if self.cls_token is not None:
            tokens_nlc = torch.cat((self.cls_token.expand(len(x), -1, -1), tokens_nlc), dim=1)
        tokens_nlc = self.trans_1(tokens_nlc)
        outs = []
        for i in range(2, self.num_blocks + 1):
            x_nchw, tokens_nlc = getattr(self, f'conv_trans_{i}')(x_nchw, tokens_nlc)
            if i in self.out_indices:
                normed_nlc = self.trans_norm(tokens_nlc)
                token_nc = normed_nlc[:, 0] if self.with_cls_token else normed_nlc.mean(dim=1)
                outs.append([x_nchw.mean(dim=(-2, -1)), token_nc])
        return tuple(outs)
