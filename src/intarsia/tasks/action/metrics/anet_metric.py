"""Recall of proposals, or files with the scores of positions, as configs since 1.0 ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from intarsia.core.registries import METRICS
from intarsia.data.transforms.image_transform import require_choice
from intarsia.tasks.action.localizers.proposals import POSITION_COLUMNS
from intarsia.tasks.action.metrics.segments import AverageRecall, Stream


@METRICS.register_module()
class ANetMetric(AverageRecall):
    """Recall of proposals, see :class:`~intarsia.tasks.action.metrics.segments.AverageRecall`; or no value at all.

    Args:
        metric_type: ``'AR@AN'``; or ``'TEM'``, which only writes the scores of positions.
        collect_device: Has no effect.
        prefix: Stands before the names of values, with a slash.
        metric_options: Arguments of the recall: ``{'AR@AN': dict(max_avg_proposals=100)}``.
        dump_config: ``out``: a JSON file with the segments; for ``'TEM'`` a folder with a CSV file for each stream.
            ``output_format`` has no effect.
    """

    def __init__(
        self,
        metric_type: Literal['TEM', 'AR@AN'] = 'TEM',
        collect_device: str = 'cpu',
        prefix: str | None = None,
        metric_options: Mapping[str, Any] | None = None,
        dump_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.metric_type = require_choice('metric_type', metric_type, ('TEM', 'AR@AN'))
        out = (dump_config or {}).get('out') or None
        self.folder = Path(out) if out is not None and metric_type == 'TEM' else None
        options = (metric_options or {}).get('AR@AN', {})
        super().__init__(**options, outfile=None if metric_type == 'TEM' else out, prefix=prefix)

    def values(self, streams: Mapping[str, Stream]) -> dict[str, float]:
        """The recall; nothing for ``'TEM'``."""
        if self.metric_type == 'AR@AN':
            return super().values(streams)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, stream in streams.items():
                positions = getattr(stream.found, 'positions', None)
                if positions is not None:
                    rows_t5 = positions[:, : len(POSITION_COLUMNS)]
                    header = ','.join(POSITION_COLUMNS)
                    np.savetxt(self.folder / f'{name}.csv', rows_t5, '%.8g', ',', header=header, comments='')
        return {}
