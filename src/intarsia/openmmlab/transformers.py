"""Transformers that old code builds by config or subclasses: attentions, layers and sequences of layers.

Shapes: n samples, q queries, k keys, c channels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.errors import RegistryError
from intarsia.core.registries import MODELS
from intarsia.nn.drop import build_dropout
from intarsia.nn.ffn import FFN
from intarsia.nn.module import BaseModule, InitCfg, ModuleList
from intarsia.nn.norm import build_norm_layer
from intarsia.openmmlab.config import ConfigDict
from intarsia.openmmlab.registry import build_from_cfg


class MultiheadAttention(BaseModule):
    """Attention of queries to keys, added to the queries; mmcv's, whose weights are ``attn.in_proj_weight``.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads.
        attn_drop: Dropout of the weights.
        proj_drop: Dropout of the result.
        dropout_layer: Config of the dropout of the branch.
        init_cfg: How weights are initialized.
        batch_first: Whether tensors are ``(N, Q, C)``, not ``(Q, N, C)``.
        kwargs: Arguments of :class:`torch.nn.MultiheadAttention`.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, attn_drop: float = 0.0, proj_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None, init_cfg: InitCfg = None, batch_first: bool = False,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(init_cfg)
        whole = kwargs.pop('dropout', None)  # the older name of two of the others
        if whole is not None:
            attn_drop, dropout_layer = whole, {**(dropout_layer or {'type': 'Dropout'}), 'drop_prob': whole}
        self.embed_dims, self.num_heads, self.batch_first = embed_dims, num_heads, batch_first
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop, **kwargs)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, identity: Tensor | None = None,
        query_pos: Tensor | None = None, key_pos: Tensor | None = None, attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        """Attend.

        Args:
            query: ``(Q, N, C)``, or ``(N, Q, C)`` with ``batch_first``.
            key: The same of keys; by default the queries.
            value: Values of the keys; by default the keys.
            identity: What the result is added to; by default the queries.
            query_pos: Added to the queries.
            key_pos: Added to the keys; by default ``query_pos`` if that has their shape.
            attn_mask: ``(Q, K)``.
            key_padding_mask: ``(N, K)``.
            kwargs: Arguments of other kinds of attention.
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = query if identity is None else identity
        if key_pos is None and query_pos is not None and query_pos.shape == key.shape:
            key_pos = query_pos
        query = query if query_pos is None else query + query_pos
        key = key if key_pos is None else key + key_pos
        first = [each.transpose(0, 1) if self.batch_first else each for each in (query, key, value)]
        out = self.attn(*first, attn_mask=attn_mask, key_padding_mask=key_padding_mask, need_weights=False)[0]
        out = out.transpose(0, 1) if self.batch_first else out
        return identity + self.dropout_layer(self.proj_drop(out))


OPERATIONS = ('self_attn', 'cross_attn', 'ffn', 'norm')


class BaseTransformerLayer(BaseModule):
    """Attentions, feed-forward networks and norms in a given order.

    Args:
        attn_cfgs: Config of every attention, or one for all.
        ffn_cfgs: The same of every feed-forward network.
        operation_order: ``'self_attn'``, ``'cross_attn'``, ``'ffn'`` and ``'norm'`` in any order. If a norm comes
            first, branches are added to what went in, else to what was normalized.
        norm_cfg: Config of the norms.
        init_cfg: How weights are initialized.
        batch_first: Whether tensors are ``(N, Q, C)``, not ``(Q, N, C)``.
        feedforward_channels: Older argument of the feed-forward networks, as are the next two.
        ffn_dropout: Their ``ffn_drop``.
        ffn_num_fcs: Their ``num_fcs``.
        act_cfg: Not used; it never was.
    """

    def __init__(
        self, attn_cfgs: Any = None, ffn_cfgs: Any = None, operation_order: Sequence[str] = (), norm_cfg: Any = None,
        init_cfg: InitCfg = None, batch_first: bool = False, feedforward_channels: int | None = None,
        ffn_dropout: float | None = None, ffn_num_fcs: int | None = None, act_cfg: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(init_cfg)
        if not operation_order or set(operation_order) - set(OPERATIONS):
            raise AssertionError(f'operation_order is made of {OPERATIONS}, not {operation_order}')
        self.operation_order, self.batch_first = tuple(operation_order), batch_first
        self.norm_cfg = dict(type='LN') if norm_cfg is None else norm_cfg
        self.pre_norm = operation_order[0] == 'norm'
        kinds = [name for name in operation_order if name.endswith('_attn')]
        self.num_attn = len(kinds)
        self.attentions = ModuleList()
        for kind, cfg in zip(kinds, _one_each(attn_cfgs, len(kinds), 'attn_cfgs'), strict=True):
            attention = build_attention({'batch_first': batch_first, **cfg})
            attention.operation_name = kind
            self.attentions.append(attention)
        embed_dims: Any = self.attentions[0].embed_dims
        self.embed_dims = embed_dims
        given = {'feedforward_channels': feedforward_channels, 'ffn_drop': ffn_dropout, 'num_fcs': ffn_num_fcs}
        older = {name: value for name, value in given.items() if value is not None}
        num_ffns = self.operation_order.count('ffn')
        ffns = _one_each({} if ffn_cfgs is None else ffn_cfgs, num_ffns, 'ffn_cfgs')
        self.ffns = ModuleList(
            build_feedforward_network({'type': 'FFN', 'embed_dims': self.embed_dims, **cfg, **older}) for cfg in ffns
        )
        norms = self.operation_order.count('norm')
        self.norms = ModuleList(build_norm_layer(self.norm_cfg, embed_dims)[1] for _ in range(norms))

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, query_pos: Tensor | None = None,
        key_pos: Tensor | None = None, attn_masks: Any = None, query_key_padding_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        """Run the operations.

        Args:
            query: ``(Q, N, C)``, or ``(N, Q, C)`` with ``batch_first``.
            key: The same of what cross-attention looks at.
            value: Values of the keys.
            query_pos: Added to the queries.
            key_pos: Added to the keys.
            attn_masks: A mask ``(Q, K)`` for every attention, or one for all.
            query_key_padding_mask: ``(N, Q)``, of self-attention.
            key_padding_mask: ``(N, K)``, of cross-attention.
            kwargs: Arguments of the attentions.
        """
        masks = iter(
            [attn_masks] * self.num_attn if attn_masks is None or isinstance(attn_masks, Tensor) else attn_masks
        )
        attentions, ffns, norms = iter(self.attentions), iter(self.ffns), iter(self.norms)
        identity = query
        for operation in self.operation_order:
            added_to = identity if self.pre_norm else None
            if operation == 'norm':
                query = next(norms)(query)
                continue
            if operation == 'ffn':
                query = next(ffns)(query, added_to)
                continue
            is_self = operation == 'self_attn'
            query = identity = next(attentions)(
                query, query if is_self else key, query if is_self else value, added_to, query_pos=query_pos,
                key_pos=query_pos if is_self else key_pos, attn_mask=next(masks),
                key_padding_mask=query_key_padding_mask if is_self else key_padding_mask, **kwargs,
            )  # fmt: skip
        return query


class TransformerLayerSequence(BaseModule):
    """Transformer layers one after the other.

    Args:
        transformerlayers: Config of every layer, or one for all.
        num_layers: How many there are.
        init_cfg: How weights are initialized.
    """

    def __init__(self, transformerlayers: Any = None, num_layers: int = 0, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        self.num_layers = num_layers
        configs = _one_each(transformerlayers, num_layers, 'transformerlayers')
        self.layers = ModuleList(build_transformer_layer(cfg) for cfg in configs)
        self.embed_dims: Any = self.layers[0].embed_dims
        self.pre_norm: Any = self.layers[0].pre_norm

    def forward(self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Run all layers on the same keys; arguments as :meth:`BaseTransformerLayer.forward`."""
        for layer in self.layers:
            query = layer(query, key, value, **kwargs)
        return query


def _one_each(cfg: Any, count: int, name: str) -> list[Any]:
    """A config for each of several parts."""
    if isinstance(cfg, Mapping):
        return [ConfigDict(copy.deepcopy(dict(cfg))) for _ in range(count)]
    if not isinstance(cfg, (list, tuple)) or len(cfg) != count:
        raise AssertionError(f'{name} is one config, or {count} of them, not {cfg!r}')
    return [ConfigDict(each) if isinstance(each, Mapping) else each for each in cfg]


PARTS: dict[str, type[nn.Module]] = {
    'MultiheadAttention': MultiheadAttention,
    'FFN': FFN,
    'BaseTransformerLayer': BaseTransformerLayer,
    'TransformerLayerSequence': TransformerLayerSequence,
}
"""Parts of transformers that no registry has."""


def _build_part(cfg: Any, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a part of a transformer: one of MODELS, or else of :data:`PARTS`."""
    node = {**(default_args or {}), **cfg}
    kind = node.get('type')
    if isinstance(kind, str) and kind in PARTS and kind not in MODELS:
        arguments = {name: value for name, value in node.items() if name != 'type'}
        if kind == 'FFN':
            arguments = _ffn_arguments(arguments)
        return PARTS[kind](**arguments)
    try:
        return build_from_cfg(node, MODELS)
    except RegistryError as error:
        error.add_note(f'parts of transformers are {", ".join(PARTS)}, and what is registered')
        raise


def _ffn_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Without the older names and what means nothing any more."""
    older = {'ffn_dropout': 'ffn_drop', 'dropout': 'ffn_drop', 'add_residual': 'add_identity'}
    return {older.get(name, name): value for name, value in arguments.items()}


build_attention = build_feedforward_network = build_positional_encoding = _build_part
build_transformer_layer = build_transformer_layer_sequence = _build_part
