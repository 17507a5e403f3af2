"""How ours predicts what the recorded segmentors predicted: whole, by windows, averaged over versions of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.tasks.segmentation.inference import probabilities_of
from intarsia.tasks.segmentation.segmentor import EncoderDecoder
from tests.golden.fill import fill


class Toy(nn.Module):
    """The backbone of the records: two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (torch.relu(self.c2(torch.relu(self.c1(x)))),)


def _model(classes: int, align_corners: bool, test_cfg: Mapping[str, Any], head: Mapping[str, Any] | None) -> Any:
    decode_head = dict(
        type='FCNHead', in_channels=8, channels=8, num_convs=0, concat_input=False, num_classes=classes,
        dropout_ratio=0, align_corners=align_corners, **(head or {}),
    )  # fmt: skip
    model = EncoderDecoder(Toy(), decode_head, test_cfg=test_cfg).eval()
    fill(model.state_dict())
    return model


@torch.no_grad()
def run(
    img: np.ndarray,
    classes: int,
    align_corners: bool,
    test_cfg: Mapping[str, Any],
    operation: str,
    head: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The outputs of one operation of a record, by their names there."""
    model, img_nchw = _model(classes, align_corners, test_cfg, head), torch.as_tensor(img)
    if operation == 'slide_inference':
        return model.testing.logits(model, img_nchw)
    if operation in ('aug_test', 'SegTTAModel'):
        return _augmented(model, img_nchw, operation, **options)
    height, width = img_nchw.shape[2:]
    left, right, top, bottom = options.pop('padding_size', (0, 0, 0, 0))
    assert left == top == 0
    meta = {'img_shape': (height - bottom, width - right), **options}
    logits_khw = model.testing.logits_at_original_size(model, img_nchw, [meta])[0]
    if operation == 'inference':
        return probabilities_of(logits_khw)[None]
    return {'seg_logits': logits_khw, 'pred': torch.as_tensor(model.results_of(img_nchw, [meta])[0].mask)[None]}


def _augmented(
    model: Any, img_nchw: Tensor, operation: str, scales: Sequence[float], flips: Sequence[bool]
) -> dict[str, Tensor]:
    size = tuple(img_nchw.shape[2:])
    versions, metas = [], []
    for scale in scales:
        for flip in flips:
            scaled_size = [int(length * scale) for length in size]
            scaled = nn.functional.interpolate(img_nchw, size=scaled_size, mode='bilinear', align_corners=False)
            versions.append(scaled.flip(3) if flip else scaled)
            metas.append([dict(ori_shape=size, img_shape=scaled_size, flip=flip, flip_direction='horizontal')])
    mean_khw = model.testing.mean_probabilities(model, versions, metas)[0]
    pred = torch.as_tensor(model.results_of_augmented(versions, metas)[0].mask)[None]
    return {'prob': mean_khw[None], 'pred': pred} if operation == 'aug_test' else {'mean': mean_khw, 'pred': pred}
