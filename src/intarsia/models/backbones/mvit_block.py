"""Blocks of the MViT: attention among tokens that are pooled first, of images and of clips.

Shape suffixes: n samples, m heads, l tokens, q and k tokens of queries and keys, c channels. A size is (H, W) of the
places of an image, (T, H, W) of those of a clip. Tokens are the class token, if there is one, and then those of all
places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.nn.attention import split_heads
from intarsia.nn.drop import decay_rule, path_or_identity
from intarsia.nn.init import trunc_normal_
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import build_norm_layer

Size = tuple[int, ...]

LN: Mapping[str, Any] = {'type': 'LN'}
CONVS: Mapping[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
MAX_POOLS: Mapping[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
"""By the number of axes."""


def offsets_of(table_lc: Tensor, num_queries: int, num_keys: int) -> Tensor:
    """Learned vectors for every offset of a query and a key on one axis, ``(Q, K, C)``.

    Args:
        table_lc: Vectors of all offsets; interpolated if there are others than the numbers need.
        num_queries: Q.
        num_keys: K, on the same length: the coarser one has larger steps.
    """
    num_offsets = 2 * max(num_queries, num_keys) - 1
    if len(table_lc) != num_offsets:
        table_lc = F.interpolate(table_lc.T[None], size=num_offsets, mode='linear')[0].T
    steps = [max(num_keys / num_queries, 1.0), max(num_queries / num_keys, 1.0)]
    device = table_lc.device
    query_q1 = torch.arange(num_queries, device=device)[:, None] * steps[0]
    key_1k = torch.arange(num_keys, device=device)[None] * steps[1]
    return table_lc[(query_q1 - key_1k + (num_keys - 1) * steps[1]).long()]


def pool_tokens(
    tokens_nmlc: Tensor, pool: nn.Module, size: Size, has_class: bool, norm: nn.Module | None = None
) -> tuple[Tensor, Size]:
    """Pool the tokens of places; the class token stays.

    Args:
        tokens_nmlc: Tokens of every head.
        pool: What pools maps ``(N, C, *size)``.
        size: Of the places.
        has_class: Whether the first token is of the class.
        norm: Applied to all tokens after.

    Returns:
        The tokens and the size of their map.
    """
    places_nmlc = tokens_nmlc[:, :, int(has_class) :]
    maps = pool(places_nmlc.flatten(0, 1).transpose(1, 2).unflatten(2, size))
    pooled = maps.flatten(2).transpose(1, 2).unflatten(0, tokens_nmlc.shape[:2])
    if has_class:
        pooled = torch.cat((tokens_nmlc[:, :, :1], pooled), dim=2)
    return (pooled if norm is None else norm(pooled)), tuple(maps.shape[2:])


def pooling(channels: int, kernel: Size, stride: Size, norm_cfg: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
    """A depthwise convolution that pools tokens, and the normalization of what it gives."""
    padding = tuple(size // 2 for size in kernel)
    conv = CONVS[len(kernel)](channels, channels, kernel, stride, padding, groups=channels, bias=False)
    return conv, build_norm_layer(norm_cfg, channels)[1]


class MultiScaleAttention(BaseModule):
    """Attention whose queries, keys and values are pooled, with biases of their offsets on every axis.

    State keys: ``qkv``, ``proj``, ``pool_q``, ``norm_q``, the same of ``k`` and ``v``, ``rel_pos_h``, ``rel_pos_w``,
    of clips ``rel_pos_t``.

    Args:
        in_dims: Channels of the tokens.
        out_dims: Channels C of the result.
        num_heads: Number of heads.
        input_size: Usual size of the places.
        qkv_bias: Whether queries, keys and values have a bias.
        norm_cfg: Config of the normalizations after the pooling.
        pool_kernel: Kernel of the pooling.
        stride_q: Its stride for queries.
        stride_kv: Its stride for keys and values.
        rel_pos_embed: Whether there are biases.
        residual_pooling: Whether pooled queries are added to the result.
        rel_pos_zero_init: Whether the biases start from 0.
        with_cls_token: Whether the first token is of the class.

    Raises:
        ValueError: There are biases, but the usual size has other rows than columns.
    """

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        num_heads: int,
        input_size: Size,
        qkv_bias: bool = True,
        norm_cfg: Mapping[str, Any] = LN,
        pool_kernel: Size = (3, 3),
        stride_q: Size = (1, 1),
        stride_kv: Size = (1, 1),
        rel_pos_embed: bool = True,
        residual_pooling: bool = True,
        rel_pos_zero_init: bool = False,
        with_cls_token: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads, self.has_class, head_dims = num_heads, with_cls_token, out_dims // num_heads
        self.scale, self.residual_pooling, self.rel_pos_zero_init = head_dims**-0.5, residual_pooling, rel_pos_zero_init
        self.qkv = nn.Linear(in_dims, out_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(out_dims, out_dims)
        self.pool_q, self.norm_q = pooling(head_dims, pool_kernel, stride_q, norm_cfg)
        self.pool_k, self.norm_k = pooling(head_dims, pool_kernel, stride_kv, norm_cfg)
        self.pool_v, self.norm_v = pooling(head_dims, pool_kernel, stride_kv, norm_cfg)
        self.axes = 'thw'[-len(input_size) :] if rel_pos_embed else ''
        if rel_pos_embed and input_size[-1] != input_size[-2]:
            raise ValueError(f'MViT: biases of offsets need square maps, not input_size={input_size}')
        for axis, whole, *steps in zip(self.axes, input_size, stride_q, stride_kv, strict=False):
            length = whole if axis == 't' else max(whole // step for step in steps)
            self.register_parameter(f'rel_pos_{axis}', nn.Parameter(torch.zeros(2 * length - 1, head_dims)))

    def init_own_weights(self) -> None:
        """Truncated normal biases, unless they are to start from 0."""
        for axis in '' if self.rel_pos_zero_init else self.axes:
            trunc_normal_(getattr(self, f'rel_pos_{axis}'), std=0.02)

    def _bias(self, query_nmlc: Tensor, query_size: Size, key_size: Size) -> Tensor:
        """What is added to the scores, ``(N, M, Q, K)``; with the class token there is none."""
        query = query_nmlc[:, :, int(self.has_class) :].unflatten(2, query_size)
        bias: Tensor | float = 0.0
        for i, axis in enumerate(self.axes):
            offset_qkc = offsets_of(getattr(self, f'rel_pos_{axis}'), query_size[i], key_size[i])
            along = torch.einsum(f'nm{self.axes}c,{axis}kc->nm{self.axes}k', query, offset_qkc)
            bias = bias + along.unflatten(-1, [size if j == i else 1 for j, size in enumerate(key_size)])
        assert isinstance(bias, Tensor)
        bias_nmqk = bias.flatten(-len(key_size)).flatten(2, -2)
        return F.pad(bias_nmqk, (1, 0, 1, 0)) if self.has_class else bias_nmqk

    def forward(self, tokens_nlc: Tensor, size: Size) -> tuple[Tensor, Size]:
        """The result ``(N, L', C)`` and the size of its map, of tokens and the size of theirs."""
        query, key, value = split_heads(self.qkv(tokens_nlc), self.num_heads)
        query, query_size = pool_tokens(query, self.pool_q, size, self.has_class, self.norm_q)
        key, key_size = pool_tokens(key, self.pool_k, size, self.has_class, self.norm_k)
        value, _ = pool_tokens(value, self.pool_v, size, self.has_class, self.norm_v)
        bias = self._bias(query, query_size, key_size) if self.axes else None
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=self.scale)
        if self.residual_pooling and self.has_class:
            out = out + F.pad(query[:, :, 1:], (0, 0, 1, 0))
        elif self.residual_pooling:
            out = out + query
        return self.proj(out.transpose(1, 2).flatten(2)), query_size


class MultiScaleMlp(nn.Module):
    """Two linear layers that may change the channels. State keys: ``fc1``, ``fc2``."""

    def __init__(self, in_dims: int, hidden: int, out_dims: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(in_dims, hidden), nn.GELU(), nn.Linear(hidden, out_dims)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in_dims)`` to ``(..., out_dims)``."""
        return self.fc2(self.act(self.fc1(x)))


class MultiScaleBlock(BaseModule):
    """Pooling attention, then two linear layers, each on normalized tokens and added to them.

    State keys: ``norm1``, ``attn``, ``norm2``, ``mlp``, ``proj``.

    Args:
        in_dims: Channels of the tokens.
        out_dims: Channels of the result.
        num_heads: Number of heads.
        mlp_ratio: Channels between the linear layers divided by those before them.
        drop_path: Probability that a sample goes without a branch.
        norm_cfg: Config of the normalizations.
        stride_q: Stride of the pooling of queries, and of the tokens that are added.
        dim_mul_in_attention: Whether the attention changes the channels, and not the linear layers.
        input_size: Usual size of the places.
        attention: Further arguments of :class:`MultiScaleAttention`.
    """

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        num_heads: int,
        mlp_ratio: float,
        drop_path: float,
        norm_cfg: Mapping[str, Any],
        stride_q: Size,
        dim_mul_in_attention: bool,
        input_size: Size,
        **attention: Any,
    ) -> None:
        super().__init__()
        self.in_attention, inner = dim_mul_in_attention, out_dims if dim_mul_in_attention else in_dims
        self.has_class = bool(attention.get('with_cls_token'))
        shared: dict[str, Any] = {'norm_cfg': norm_cfg, 'stride_q': stride_q, 'input_size': input_size}
        self.norm1 = build_norm_layer(norm_cfg, in_dims)[1]
        self.attn = MultiScaleAttention(in_dims, inner, num_heads, **shared, **attention)
        self.drop_path = path_or_identity(drop_path)
        self.norm2 = build_norm_layer(norm_cfg, inner)[1]
        self.mlp = MultiScaleMlp(inner, int(inner * mlp_ratio), out_dims)
        self.proj = nn.Linear(in_dims, out_dims) if in_dims != out_dims else None
        self.pool_skip = None
        if math.prod(stride_q) > 1:
            kernel = tuple(step + 1 if step > 1 else 1 for step in stride_q)
            self.pool_skip = MAX_POOLS[len(kernel)](kernel, stride_q, tuple(side // 2 for side in kernel))
        self.out_size = tuple(whole // step for whole, step in zip(input_size, stride_q, strict=True))

    def forward(self, tokens_nlc: Tensor, size: Size) -> tuple[Tensor, Size]:
        """Tokens and the size of their map, in and out."""
        normed = self.norm1(tokens_nlc)
        branch, out_size = self.attn(normed, size)
        skip = self.proj(normed) if self.in_attention and self.proj is not None else tokens_nlc
        if self.pool_skip is not None:
            skip = pool_tokens(skip.unsqueeze(1), self.pool_skip, size, self.has_class)[0].squeeze(1)
        tokens_nlc = skip + self.drop_path(branch)
        normed = self.norm2(tokens_nlc)
        skip = tokens_nlc if self.in_attention or self.proj is None else self.proj(normed)
        return skip + self.drop_path(self.mlp(normed)), out_size


def multi_scale_blocks(
    settings: Mapping[str, Any],
    grid: Size,
    halved: Size,
    stride_kv: Size,
    drop_path_rate: float,
    dim_mul: int,
    head_mul: int,
    dim_mul_in_attention: bool,
    **options: Any,
) -> tuple[nn.ModuleList, list[int]]:
    """All blocks of a network, and the channels after each.

    Args:
        settings: ``embed_dims``, ``num_layers``, ``num_heads``, ``downscale_indices`` (blocks that halve rows and
            columns), and perhaps ``dim_mul_indices`` (blocks that widen tokens; the same ones by default).
        grid: Size of the places before the first block.
        halved: Stride of the blocks that halve.
        stride_kv: Stride of the pooling of keys and values in the first blocks; halved with the resolution.
        drop_path_rate: Drop probability of the last block's branches; it grows linearly from 0.
        dim_mul: By how much a block widens tokens.
        head_mul: By how much it multiplies the heads.
        dim_mul_in_attention: Whether the attention of a block widens tokens, or the linear layers of the one before.
        options: Further arguments of :class:`MultiScaleBlock`.
    """
    channels, num_heads, halving = settings['embed_dims'], settings['num_heads'], settings['downscale_indices']
    widening, kept = settings.get('dim_mul_indices', halving), (1,) * len(grid)
    blocks, widths, size = nn.ModuleList(), [], grid
    for i, rate in enumerate(decay_rule(drop_path_rate, settings['num_layers'])):
        if i in halving or i in widening:
            num_heads *= head_mul
        if i in halving:
            stride_kv = tuple(max(step // 2, 1) for step in stride_kv)
        own: dict[str, Any] = {'stride_q': halved if i in halving else kept, 'stride_kv': stride_kv, 'drop_path': rate}
        out = channels * dim_mul if (i if dim_mul_in_attention else i + 1) in widening else channels
        own['dim_mul_in_attention'] = dim_mul_in_attention
        block = MultiScaleBlock(channels, out, num_heads, input_size=size, **own, **options)
        blocks.append(block)
        widths.append(out)
        channels, size = out, block.out_size
    return blocks, widths


def scale_ends(settings: Mapping[str, Any]) -> dict[int, int]:
    """Of the last block of each resolution the number of that resolution."""
    return {index - 1: scale for scale, index in enumerate((*settings['downscale_indices'], settings['num_layers']))}
