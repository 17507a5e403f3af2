"""Non-local blocks: every place of a signal, map or clip gathers from all others.

Shape suffixes: n samples, c channels, l places (all axes after the channels flattened), m places after subsampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import PLUGIN_LAYERS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import constant_init, normal_init

Affinity = Literal['gaussian', 'embedded_gaussian', 'dot_product', 'concatenation']


def attend(query_nlc: Tensor, key_nmc: Tensor, value_nmc: Tensor, scale: float = 1.0) -> Tensor:
    """Softmax attention with one head.

    Args:
        query_nlc: ``(N, L, C)``.
        key_nmc: ``(N, M, C)``.
        value_nmc: ``(N, M, D)``.
        scale: Factor of the products of queries and keys.

    Returns:
        Mean values ``(N, L, D)``, weighted by how well keys fit the query.
    """
    query, key, value = (x.unsqueeze(1) for x in (query_nlc, key_nmc, value_nmc))
    return F.scaled_dot_product_attention(query, key, value, scale=scale).squeeze(1)


def tokens_of(x: Tensor) -> Tensor:
    """``(N, C, ...)`` to ``(N, L, C)``."""
    return x.flatten(2).transpose(1, 2)


class NonLocalNd(nn.Module):
    """Adds to every place what it gathers from all others; starts as the identity.

    "Non-local Neural Networks" (Wang et al., 2018, arXiv:1711.07971). State keys: ``g`` (values), ``theta`` (queries),
    ``phi`` (keys), ``conv_out``, ``concat_project``. Use one of the subclasses.

    Args:
        in_channels: Channels C of input and output.
        sub_sample: Halve height and width of values and keys by max pooling.
        conv_cfg: Config of the convolutions; None means the plain one of as many axes.
        reduction: By how much the channels are reduced inside.
        use_scale: Divide the scores by the square root of the channels inside, with ``'embedded_gaussian'``.
        norm_cfg: Config of the normalization after the last convolution.
        mode: How well two places fit: ``'gaussian'`` is the softmax of the products of their features,
            ``'embedded_gaussian'`` that of learned projections; ``'dot_product'`` is the product itself divided by the
            number of places, ``'concatenation'`` a learned function of both.
        std: Standard deviation of the first weights.
        zeros_init: Whether the last layer starts with zeros.

    Raises:
        ValueError: ``mode`` is none of these.
    """

    num_axes = 2

    def __init__(
        self,
        in_channels: int,
        sub_sample: bool = False,
        conv_cfg: Mapping[str, Any] | None = None,
        reduction: int = 2,
        use_scale: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
        mode: Affinity = 'embedded_gaussian',
        std: float = 0.01,
        zeros_init: bool = True,
    ) -> None:
        super().__init__()
        if mode not in ('gaussian', 'embedded_gaussian', 'dot_product', 'concatenation'):
            raise ValueError(
                f"{type(self).__name__}: mode is 'gaussian', 'embedded_gaussian', 'dot_product' or 'concatenation', "
                f'not {mode!r}'
            )
        self.in_channels, self.inter_channels = in_channels, max(in_channels // reduction, 1)
        self.mode, self.std, self.zeros_init = mode, std, zeros_init
        self.scale = self.inter_channels**-0.5 if mode == 'embedded_gaussian' and use_scale else 1.0
        conv: dict[str, Any] = {'conv_cfg': conv_cfg or {'type': f'Conv{self.num_axes}d'}, 'act_cfg': None}
        inner = (in_channels, self.inter_channels, 1)
        embeds = mode != 'gaussian'
        self.g = _pooled(ConvModule(*inner, **conv), sub_sample, self.num_axes)
        self.theta = ConvModule(*inner, **conv) if embeds else nn.Identity()
        self.phi = _pooled(ConvModule(*inner, **conv) if embeds else None, sub_sample, self.num_axes)
        self.conv_out = ConvModule(self.inter_channels, in_channels, 1, norm_cfg=norm_cfg, **conv)
        if mode == 'concatenation':
            self.concat_project = ConvModule(2 * self.inter_channels, 1, 1, bias=False)
        self.init_weights()

    def init_weights(self) -> None:
        """Small normal weights; zeros in the last layer, so that the block starts as the identity."""
        for branch in (self.g, self.theta, self.phi):
            for layer in branch.modules():
                if isinstance(layer, ConvModule):
                    normal_init(layer.conv, std=self.std)
        last = self.conv_out.norm or self.conv_out.conv
        if self.zeros_init:
            constant_init(last, 0)
        else:
            normal_init(last, std=self.std)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, ...)`` in and out."""
        gathered_nlc = self.gather(x, tokens_of(self.g(x)))
        return x + self.conv_out(gathered_nlc.transpose(1, 2).unflatten(2, x.shape[2:]))

    def queries_and_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is compared, ``(N, L, inter_channels)`` and ``(N, M, inter_channels)``."""
        return tokens_of(self.theta(x)), tokens_of(self.phi(x))

    def gather(self, x: Tensor, value_nmc: Tensor) -> Tensor:
        """What every place of ``x`` gets from the values, ``(N, L, inter_channels)``."""
        query_nlc, key_nmc = self.queries_and_keys(x)
        if self.mode == 'dot_product':
            # Without a softmax the product is associative, and the matrix of all pairs of places need not be built.
            return query_nlc @ (key_nmc.transpose(1, 2) @ value_nmc) / key_nmc.shape[1]
        if self.mode == 'concatenation':
            return self._affinity_of_concatenated(query_nlc, key_nmc) @ value_nmc
        return attend(query_nlc, key_nmc, value_nmc, self.scale)

    def _affinity_of_concatenated(self, query_nlc: Tensor, key_nmc: Tensor) -> Tensor:
        """``relu(w [query, key]) / M``, as a sum of one term for the query and one for the key."""
        of_query_c, of_key_c = self.concat_project.conv.weight.flatten().chunk(2)
        score_nlm = (query_nlc @ of_query_c).unsqueeze(2) + (key_nmc @ of_key_c).unsqueeze(1)
        return score_nlm.relu() / key_nmc.shape[1]


def _pooled(layer: nn.Module | None, sub_sample: bool, num_axes: int) -> nn.Module:
    """The layer, then max pooling over height and width if it is asked for."""
    if not sub_sample:
        return layer or nn.Identity()
    pools = {1: nn.MaxPool1d(2), 2: nn.MaxPool2d(2), 3: nn.MaxPool3d((1, 2, 2))}
    return pools[num_axes] if layer is None else nn.Sequential(layer, pools[num_axes])


class NonLocal1d(NonLocalNd):
    """Non-local block of signals ``(N, C, L)``; see :class:`NonLocalNd`."""

    num_axes = 1


@PLUGIN_LAYERS.register_module()
class NonLocal2d(NonLocalNd):
    """Non-local block of maps ``(N, C, H, W)``; see :class:`NonLocalNd`."""

    _abbr_ = 'nonlocal_block'


class NonLocal3d(NonLocalNd):
    """Non-local block of clips ``(N, C, T, H, W)``, which are never subsampled in time; see :class:`NonLocalNd`."""

    num_axes = 3
