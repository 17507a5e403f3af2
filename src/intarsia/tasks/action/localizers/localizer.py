"""What localizers that work on features of a stream have in common: true boundaries as targets of positions.

Shapes: b streams, t positions, g true segments (of the stream that has most).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from intarsia.core.errors import DataError
from intarsia.data.collate import collate
from intarsia.data.device import ToDevice
from intarsia.models.task_model import Image, TaskModel

NOWHERE = -10.0
"""Begin and end of what fills up the rows of streams with few segments: nothing overlaps with it."""


class Localizer(TaskModel):
    """Base of models of features ``(B, C, T)``; times are shares of the stream, 0 ... 1."""

    input_key = 'raw_feature'
    input_size: tuple[int, int]
    """Channels and positions."""

    def test_step(self, data: Mapping[str, Any]) -> list[Any]:
        """Results of a batch; what the pipeline noted is under ``video_meta`` or ``img_metas``."""
        return self.predict(data[self.input_key], data.get('video_meta', data.get('img_metas')))

    def _load(self, images: Sequence[Image]) -> list[dict[str, Any]]:
        """Batches of one stream each, with everything that the pipeline collects."""
        to_device = ToDevice(self._device())
        return [to_device(collate([self.read(image)])) for image in images]

    def read(self, image: Image) -> Mapping[str, Any]:
        """What the test pipeline makes of a file.

        Raises:
            DataError: Its features are not as many as the network takes.
        """
        sample = super().read(image)
        if self.input_key == 'raw_feature':
            try:
                self.check_input(sample[self.input_key])
            except DataError as error:
                raise DataError(f'{image}: {error}') from error
        return sample

    def describe(self, image: Image) -> dict[str, Any]:
        """What the test pipeline starts from: the stream of a file, whose length nobody told."""
        if isinstance(image, (str, Path)):
            return {'video_name': Path(image).stem, 'feature_path': str(image), 'annotations': []}
        return super().describe(image)

    def target(self, name: str, targets: Mapping[str, Any]) -> Any:
        """An entry of a batch.

        Raises:
            KeyError: It is not there.
        """
        if name not in targets:
            raise KeyError(
                f"{type(self).__name__} needs targets['{name}'], but has {sorted(targets)}; does the pipeline collect "
                f"it: dict(type='Collect', keys=['{self.input_key}', '{name}'])?"
            )
        return targets[name]

    def check_input(self, feat_bct: Tensor) -> None:
        """Raise DataError if features have other channels, or another number of positions, than the network."""
        channels, positions = feat_bct.shape[-2:]
        if (channels, positions) != self.input_size:
            raise DataError(
                f'{type(self).__name__} takes {self.input_size[0]} features at {self.input_size[1]} positions of a '
                f'stream, but is given {channels} at {positions}'
            )


def metas_of(inputs: Sequence[Any] | Tensor, metas: Sequence[Mapping[str, Any]] | None) -> Sequence[Mapping[str, Any]]:
    """What is known of each stream; nothing if nothing was noted."""
    return metas if metas is not None else [{}] * len(inputs)


def pad_segments(gt_bbox: Sequence[Tensor] | Tensor, like: Tensor) -> Tensor:
    """True segments of all streams as one tensor ``(B, G, 2)``, on the device of ``like``.

    Args:
        gt_bbox: Begins and ends of each stream, ``(n, 2)`` each; n may be 0.
        like: A tensor on the device.
    """
    rows = [torch.as_tensor(each).to(like.device, torch.float64).reshape(-1, 2) for each in gt_bbox]
    padded = pad_sequence(rows, batch_first=True, padding_value=NOWHERE)
    return padded if padded.shape[1] else padded.new_full((len(rows), 1, 2), NOWHERE)


def position_overlap(temporal_dim: int, low: float, high: float, segment_bg2: Tensor) -> Tensor:
    """The greatest part of each position that a segment covers, float32 ``(B, T)``.

    Args:
        temporal_dim: T.
        low: Where position 0 begins, in positions.
        high: Where it ends.
        segment_bg2: Segments.
    """
    index_t = torch.arange(temporal_dim, dtype=segment_bg2.dtype, device=segment_bg2.device)
    low_t, high_t = (index_t + low) / temporal_dim, (index_t + high) / temporal_dim
    begin_bg1, end_bg1 = segment_bg2[..., :1], segment_bg2[..., 1:]
    shared_bgt = (torch.minimum(high_t, end_bg1) - torch.maximum(low_t, begin_bg1)).clamp(min=0)
    return (shared_bgt / (high_t - low_t)).amax(1).float()


def boundaries(segment_bg2: Tensor, width_bg: Tensor | float) -> tuple[Tensor, Tensor]:
    """Segments around the begins, and around the ends, of segments; ``width`` wide."""
    half_bg = torch.as_tensor(width_bg, dtype=segment_bg2.dtype, device=segment_bg2.device) / 2
    return tuple(torch.stack([at - half_bg, at + half_bg], -1) for at in segment_bg2.unbind(-1))  # type: ignore[return-value]


def position_classes(temporal_dim: int, segment_bg2: Tensor, labels: Sequence[Tensor]) -> Tensor:
    """The class of each position, int64 ``(B, T)``: 0 for the background, else 1 + the label of what covers its middle.

    Args:
        temporal_dim: T.
        segment_bg2: Segments, as :func:`pad_segments` gives them.
        labels: Of each stream, int64 ``(n,)``.
    """
    middle_t = (torch.arange(temporal_dim, dtype=segment_bg2.dtype, device=segment_bg2.device) + 0.5) / temporal_dim
    is_within_bgt = (segment_bg2[..., :1] <= middle_t) & (middle_t < segment_bg2[..., 1:])
    rows = [torch.as_tensor(each).to(segment_bg2.device) + 1 for each in labels]
    label_bg = pad_sequence(rows, batch_first=True, padding_value=0)
    label_bg = torch.nn.functional.pad(label_bg, (0, segment_bg2.shape[1] - label_bg.shape[1]))
    return (is_within_bgt * label_bg[..., None]).amax(1)
