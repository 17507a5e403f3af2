"""Parts of a run that its caller has built already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Parts:
    """What is not built from the config.

    Attributes:
        model: The network; its weights stay as they are.
        datasets: Data sets by split, with their pipelines.
        meta: Entries that are added to every checkpoint's ``meta``.
        timestamp: Start of the run, ``YYYYMMDD_HHMMSS``, which names its log.
    """

    model: Any = None
    datasets: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    timestamp: str | None = None
