"""Heat maps from every unit of every stage of MSPN and RSN.

Shapes: n people, k joints, c channels, h rows, w columns; l sets of maps, which differ in how wide their peaks are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from intarsia.core.registries import HEADS
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.depthwise_separable import DepthwiseSeparableConvModule
from intarsia.tasks.pose.codecs.codec import Codec
from intarsia.tasks.pose.heads.agreement import agreed
from intarsia.tasks.pose.heads.multi_stage_head import Losses, MultiStageHeatmapHead

BN: Mapping[str, Any] = dict(type='BN')

UNIT_INIT = (
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Normal', layer='Linear', std=0.01),
    dict(type='Constant', layer='BatchNorm2d', val=1),
)


class UnitHead(MultiStageHeatmapHead):
    """What both heads have in common: layers of its own for each unit.

    Args:
        num_stages: Stages of the backbone.
        num_units: Units of a stage.
        unit_channels: Channels of a unit.
        out_channels: K.
        out_shape: Height and width of the maps; the codec's if None.
        use_prm: Refine the maps by a :class:`PRM`.
        norm_cfg: Config of the normalizations.
        loss: Node of LOSSES for all units, or one for each.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are more losses than units, or fewer; or the codec says something else.
    """

    default_init = UNIT_INIT

    def __init__(
        self,
        num_stages: int,
        num_units: int,
        unit_channels: int,
        out_channels: int,
        out_shape: Sequence[int] | None,
        use_prm: bool,
        norm_cfg: Mapping[str, Any],
        loss: Losses,
        codec: Codec | Mapping[str, Any] | None,
        init_cfg: Any,
    ) -> None:
        super().__init__(num_stages * num_units, loss, codec, init_cfg)
        self.num_stages, self.num_units, self.out_channels = num_stages, num_units, out_channels
        size = getattr(self.codec, 'heatmap_size', None)
        shape = agreed(type(self).__name__, 'out_shape', out_shape, self.codec, size and size[::-1])
        self.predict_layers = nn.ModuleList(
            PredictHeatmap(unit_channels, out_channels, shape, use_prm, norm_cfg) for _ in range(num_stages * num_units)
        )

    def forward(self, feats: Sequence[Sequence[Tensor]]) -> list[Tensor]:  # type: ignore[override]
        """Heat maps ``(N, K, h, w)`` of all units of all stages.

        Raises:
            ValueError: The backbone has more stages or units than this head, or fewer.
        """
        if len(feats) != self.num_stages or any(len(stage) != self.num_units for stage in feats):
            raise ValueError(
                f'{type(self).__name__}: num_stages={self.num_stages} and num_units={self.num_units}, '
                f'but the backbone gives {len(feats)} stages with {[len(stage) for stage in feats]} units'
            )
        units = [x_nchw for stage in feats for x_nchw in stage]
        return [layer(x_nchw) for layer, x_nchw in zip(self.predict_layers, units, strict=True)]


@HEADS.register_module()
class TopdownHeatmapMSMUHead(UnitHead):
    """A heat map a joint from every unit, each with a target of its own; the last are decoded.

    "Rethinking on Multi-Stage Networks for Human Pose Estimation" (Li et al., 2019, arXiv:1901.00148); "Learning
    Delicate Local Representations for Multi-Person Pose Estimation" (Cai et al., 2020, arXiv:2003.04030).

    Args:
        out_shape: Height and width of the maps; the codec's if None.
        unit_channels: Channels of a unit.
        out_channels: K.
        num_stages: Stages of the backbone.
        num_units: Units of a stage.
        use_prm: Refine the maps by a :class:`PRM`.
        norm_cfg: Config of the normalizations.
        loss_keypoint: Node of LOSSES for all units, or one for each.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are more losses than units, or fewer; or the codec says something else.
    """

    loss_key = 'heatmap_loss'

    def __init__(
        self,
        out_shape: Sequence[int] | None = None,
        unit_channels: int = 256,
        out_channels: int = 17,
        num_stages: int = 4,
        num_units: int = 4,
        use_prm: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        loss_keypoint: Losses = None,
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            num_stages, num_units, unit_channels, out_channels, out_shape, use_prm, norm_cfg, loss_keypoint, codec,
            init_cfg,
        )  # fmt: skip

    def targets_of(self, count: int, target: Tensor, target_weight: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Sets of maps ``(N, L, K, h, w)`` with weights ``(N, L, K, 1)``, one for each unit.

        Raises:
            ValueError: There are not as many as units.
        """
        if target.shape[1] != count:
            raise ValueError(
                f'{type(self).__name__} has {count} outputs, but {target.shape[1]} sets of maps as targets'
            )
        return [(target[:, i], target_weight[:, i]) for i in range(count)]


@HEADS.register_module()
class MSPNHead(UnitHead):
    """A heat map a joint from every unit, the targets of some are alike; see :class:`TopdownHeatmapMSMUHead`.

    Args:
        num_stages: Stages of the backbone.
        num_units: Units of a stage.
        out_shape: Height and width of the maps; the codec's if None.
        unit_channels: Channels of a unit.
        out_channels: K.
        use_prm: Refine the maps by a :class:`PRM`.
        norm_cfg: Config of the normalizations.
        level_indices: Which set of maps is the target of each unit.
        loss: Node of LOSSES for all units, or one for each.
        codec: The codec of the model, or its node.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: There are more losses or indices than units, or fewer; or the codec says something else.
    """

    loss_attribute = 'loss_module'

    def __init__(
        self,
        num_stages: int = 4,
        num_units: int = 4,
        out_shape: Sequence[int] | None = None,
        unit_channels: int = 256,
        out_channels: int = 17,
        use_prm: bool = False,
        norm_cfg: Mapping[str, Any] = BN,
        level_indices: Sequence[int] = (),
        loss: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = dict(
            type='pose.KeypointMSELoss', use_target_weight=True
        ),
        codec: Codec | Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            num_stages, num_units, unit_channels, out_channels, out_shape, use_prm, norm_cfg, loss, codec, init_cfg
        )
        if len(level_indices) != num_stages * num_units:
            raise ValueError(f'MSPNHead has {num_stages * num_units} outputs, but {len(level_indices)} level_indices')
        self.level_indices = list(level_indices)

    def targets_of(self, count: int, target: Tensor, target_weight: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Sets of maps ``(N, L, K, h, w)`` with weights ``(N, L, K, 1)``, those that ``level_indices`` names."""
        return [(target[:, i], target_weight[:, i]) for i in self.level_indices]


class PredictHeatmap(nn.Module):
    """Heat maps of one unit: two convolutions, resized.

    Args:
        unit_channels: Channels of the unit.
        out_channels: K.
        out_shape: Height and width of the maps.
        use_prm: Refine them.
        norm_cfg: Config of the normalizations.
    """

    def __init__(
        self,
        unit_channels: int,
        out_channels: int,
        out_shape: tuple[int, int],
        use_prm: bool,
        norm_cfg: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.out_shape = out_shape
        self.conv_layers = nn.Sequential(
            ConvModule(unit_channels, unit_channels, 1, norm_cfg=norm_cfg, inplace=False),
            ConvModule(unit_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None, inplace=False),
        )
        self.prm = PRM(out_channels, norm_cfg) if use_prm else None

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, unit_channels, H, W)`` to ``(N, K, *out_shape)``."""
        maps = functional.interpolate(self.conv_layers(x_nchw), self.out_shape, mode='bilinear', align_corners=True)
        return maps if self.prm is None else self.prm(maps)


class PRM(nn.Module):
    """A pose refine machine: maps weighted by joint and by place (Cai et al., 2020, arXiv:2003.04030).

    Args:
        out_channels: K.
        norm_cfg: Config of the normalizations.
    """

    def __init__(self, out_channels: int, norm_cfg: Mapping[str, Any] = BN) -> None:
        super().__init__()
        k = out_channels
        self.conv_bn_relu_prm_1 = ConvModule(k, k, 3, padding=1, norm_cfg=norm_cfg, inplace=False)
        layers = [[nn.Linear(k, k), nn.BatchNorm1d(k), nn.ReLU()] for _ in range(2)]
        self.middle_path = nn.Sequential(*layers[0], *layers[1], nn.Sigmoid())
        self.bottom_path = nn.Sequential(
            ConvModule(k, k, 1, norm_cfg=norm_cfg, inplace=False),
            DepthwiseSeparableConvModule(k, 1, 9, padding=4, norm_cfg=norm_cfg, inplace=False),
            nn.Sigmoid(),
        )

    def forward(self, heatmap_nkhw: Tensor) -> Tensor:
        """Maps of the same shape."""
        maps = self.conv_bn_relu_prm_1(heatmap_nkhw)
        of_joint = self.middle_path(maps.mean((2, 3)))[:, :, None, None]
        return maps * (1 + of_joint * self.bottom_path(maps))
