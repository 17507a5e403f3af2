"""Model configs without the weights they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def without_pretrained(node: Any) -> Any:
    """A copy of a model config that loads no weights: no ``pretrained``, no ``init_cfg`` of type Pretrained."""
    if isinstance(node, Mapping):
        kept = {k: without_pretrained(v) for k, v in node.items() if k != 'pretrained' and not _is_pretrained(v)}
        return {**kept, 'init_cfg': None} if _is_pretrained(node.get('init_cfg')) else kept
    if isinstance(node, (list, tuple)):
        return type(node)(without_pretrained(each) for each in node if not _is_pretrained(each))
    return node


def _is_pretrained(node: Any) -> bool:
    return isinstance(node, Mapping) and node.get('type') == 'Pretrained'
