"""A segmentor whose heads follow each other, each refining the logits of the one before."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from intarsia.core.registries import SEGMENTORS
from intarsia.tasks.segmentation.segmentor import EncoderDecoder, prefixed


@SEGMENTORS.register_module()
class CascadeEncoderDecoder(EncoderDecoder):
    """As :class:`EncoderDecoder`, with a list of decode heads; all but the first also take the logits before them.

    Args:
        num_stages: How many heads follow each other.
        backbone: As in :class:`EncoderDecoder`.
        decode_head: A list of configs, one for each stage.
        kwargs: Further arguments of :class:`EncoderDecoder`.

    Raises:
        ValueError: ``decode_head`` has another number of heads.
    """

    def __init__(self, num_stages: int, backbone: Any, decode_head: Any, **kwargs: Any) -> None:
        if not isinstance(decode_head, (list, tuple)) or len(decode_head) != num_stages:
            count = len(decode_head) if isinstance(decode_head, (list, tuple)) else 'one'
            raise ValueError(f'CascadeEncoderDecoder with num_stages={num_stages} has {count} decode heads')
        super().__init__(backbone, decode_head, **kwargs)

    @property
    def last_head(self) -> Any:
        """The head whose logits are the prediction."""
        return self.decode_head[-1]

    def decode(self, feats: Any) -> Tensor:
        """Logits of the last head."""
        first, *others = self.decode_head
        logits = first(feats)
        for head in others:
            logits = head(feats, logits)
        return logits

    def decode_loss(self, feats: Any, target_n1hw: Tensor) -> dict[str, Tensor]:
        """Losses of all heads: ``decode_0.loss_ce``, ``decode_1.loss_ce``, ..."""
        first, *others = self.decode_head
        logits = first(feats)
        losses = prefixed('decode_0', first.losses(logits, target_n1hw))
        for i, head in enumerate(others, 1):
            losses |= prefixed(f'decode_{i}', head.loss(feats, target_n1hw, logits))
            if head is not others[-1]:
                logits = head(feats, logits)
        return losses
