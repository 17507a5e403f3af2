"""RTMPose: coordinates as classes, after attention among the joints.

Shapes: n people, k joints, c channels, h rows, w columns, d places of a map; Lx and Ly bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intarsia.core.registries import HEADS
from intarsia.models.stage_input import Features
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.gated_attention import RTMCCBlock, ScaleNorm
from intarsia.tasks.pose.heads.simcc_head import CoordinateClassHead, Vectors

GAU: Mapping[str, Any] = dict(
    hidden_dims=256, s=128, expansion_factor=2, dropout_rate=0.0, drop_path=0.0, act_fn='ReLU',
    use_rel_bias=False, pos_enc=False,
)  # fmt: skip
"""What ``gau_cfg`` means where it says nothing."""


class GatedAttentionHead(CoordinateClassHead):
    """What RTMPose heads have in common: a token for each joint, attention, a linear layer for x and one for y.

    A subclass makes the layers that squeeze maps into tokens, and applies them.

    Args:
        in_channels: Channels of the last stage.
        out_channels: K.
        input_size: Width and height of the input; the codec's if None.
        in_featuremap_size: Width and height of the last stage; a 32nd of the input's if None.
        simcc_split_ratio: Bins in a pixel; the codec's if None.
        final_layer_kernel_size: Kernel of the convolutions, odd.
        gau_cfg: ``hidden_dims``: channels of a token; and arguments of
            :class:`~intarsia.tasks.pose.heads.gated_attention.RTMCCBlock`.
        loss: Node of LOSSES.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The codec says something else, or ``gau_cfg`` has words that mean nothing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Sequence[int] | None = None,
        in_featuremap_size: Sequence[int] | None = None,
        simcc_split_ratio: float | None = None,
        final_layer_kernel_size: int = 1,
        gau_cfg: Mapping[str, Any] = GAU,
        loss: Mapping[str, Any] | None = dict(type='pose.KLDiscretLoss', use_target_weight=True),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(input_size, in_featuremap_size, simcc_split_ratio, loss, codec, init_cfg)
        if unknown := sorted(gau_cfg.keys() - GAU.keys()):
            raise ValueError(f"{type(self).__name__}: gau_cfg has '{unknown[0]}', but can have {', '.join(GAU)}")
        unit = {**GAU, **gau_cfg}
        self.hidden_dims: int = unit.pop('hidden_dims')
        self.in_channels, self.out_channels = in_channels, out_channels
        self.num_places = self.in_featuremap_size[0] * self.in_featuremap_size[1]
        self.gau = RTMCCBlock(out_channels, self.hidden_dims, self.hidden_dims, **unit)
        self.cls_x = nn.Linear(self.hidden_dims, self.num_bins[0], bias=False)
        self.cls_y = nn.Linear(self.hidden_dims, self.num_bins[1], bias=False)
        self.make_squeezing(final_layer_kernel_size)

    def make_squeezing(self, kernel: int) -> None:
        """Make the layers of :meth:`tokens_of`."""
        raise NotImplementedError(f'{type(self).__name__} has no make_squeezing(kernel)')

    def forward(self, feats: Features) -> Vectors:
        """``(N, K, Lx)`` and ``(N, K, Ly)``."""
        x_nkc = self.gau(self.tokens_of(feats))
        return self.cls_x(x_nkc), self.cls_y(x_nkc)

    def tokens_of(self, feats: Features) -> Tensor:
        """A vector for each joint, ``(N, K, hidden_dims)``."""
        raise NotImplementedError(f'{type(self).__name__} has no tokens_of(feats)')


@HEADS.register_module()
class RTMCCHead(GatedAttentionHead):
    """A map for each joint, squeezed into a token.

    "RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose" (Jiang et al., 2023, arXiv:2303.07399).
    Arguments as :class:`GatedAttentionHead`.
    """

    def make_squeezing(self, kernel: int) -> None:
        """One convolution for the maps, and a layer that squeezes each."""
        self.final_layer = nn.Conv2d(self.in_channels, self.out_channels, kernel, padding=kernel // 2)
        self.mlp = squeeze(self.num_places, self.hidden_dims)

    def tokens_of(self, feats: Features) -> Tensor:
        """A vector for each joint, ``(N, K, hidden_dims)``, from the last stage."""
        return self.mlp(self.final_layer(feats[-1]).flatten(2))


def squeeze(num_places: int, channels: int) -> nn.Module:
    """Maps ``(N, K, num_places)`` to tokens ``(N, K, channels)``."""
    return nn.Sequential(ScaleNorm(num_places), nn.Linear(num_places, channels, bias=False))
