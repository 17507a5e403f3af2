"""ResNets with the defaults and the state keys of segmentation: the shared ones with four outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones import resnet, resnext
from intarsia.models.backbones.backbone import init_from
from intarsia.models.backbones.residual import ResidualBlock
from intarsia.nn.conv import build_conv_layer
from intarsia.nn.module import InitCfg
from intarsia.nn.norm import build_norm_layer


@BACKBONES.register_module()
class ResNet(resnet.ResNet):
    """Residual network that gives the maps of all stages.

    "Deep Residual Learning for Image Recognition" (He et al., 2015, arXiv:1512.03385). For an output stride of 8
    instead of 32: ``strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)``, usually with ``contract_dilation=True``, as in
    "Rethinking Atrous Convolution for Semantic Image Segmentation" (Chen et al., 2017, arXiv:1706.05587).

    State keys differ from the shared class in two places: the layers of a deep stem are numbered through, ``stem.0``
    ... ``stem.8``, and with ``avg_down`` the convolution is ``downsample.1`` in every stage.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_indices: Stages to output, from 0.
        pretrained: A checkpoint to load, the older word for ``init_cfg=dict(type='Pretrained', ...)``.
        init_cfg: How weights are initialized.
        **kwargs: Arguments of :class:`intarsia.models.backbones.resnet.ResNet`.
    """

    STATIC_OUT_INDICES: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    """Outputs where a config names none, for checks that build nothing."""

    def __init__(
        self,
        depth: int,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, out_indices=out_indices, init_cfg=init_from(pretrained, init_cfg), **kwargs)

    def make_deep_stem(self, in_channels: int, stem_channels: int) -> nn.Module:
        """Make three convolutions, of which the first halves the resolution, in one row with what follows each."""
        widths = (in_channels, stem_channels // 2, stem_channels // 2, stem_channels)
        layers: list[nn.Module] = []
        for i in range(3):
            before, after = widths[i], widths[i + 1]
            layers += [
                build_conv_layer(self.conv_cfg, before, after, 3, stride=1 if i else 2, padding=1, bias=False),
                build_norm_layer(self.norm_cfg, after)[1],
                nn.ReLU(inplace=True),
            ]
        return nn.Sequential(*layers)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage; see :class:`~intarsia.models.backbones.residual.ResLayer` for the arguments."""
        return super().make_res_layer(avg_always=True, **kwargs)


@BACKBONES.register_module()
class ResNetV1c(ResNet):
    """ResNet with three 3 x 3 convolutions in the stem.

    "Bag of Tricks for Image Classification with Convolutional Neural Networks" (He et al., 2018, arXiv:1812.01187).
    Arguments of :class:`ResNet` but ``deep_stem`` and ``avg_down``.
    """

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, deep_stem=True, avg_down=False, **kwargs)


@BACKBONES.register_module()
class ResNetV1d(ResNet):
    """ResNet with three 3 x 3 convolutions in the stem, and downsampling by averages (paper of :class:`ResNetV1c`).

    Arguments of :class:`ResNet` but ``deep_stem`` and ``avg_down``.
    """

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, deep_stem=True, avg_down=True, **kwargs)


@BACKBONES.register_module()
class ResNeXt(ResNet):
    """ResNet whose 3 x 3 convolutions are grouped.

    "Aggregated Residual Transformations for Deep Neural Networks" (Xie et al., 2016, arXiv:1611.05431).

    Args:
        depth: 50, 101 or 152.
        groups: Number of groups.
        base_width: Channels of each group in the first stage.
        **kwargs: Arguments of :class:`ResNet`.
    """

    arch_settings: ClassVar[dict[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = resnext.ResNeXt.arch_settings

    def __init__(self, depth: int, groups: int = 1, base_width: int = 4, **kwargs: Any) -> None:
        self.groups, self.base_width = groups, base_width
        super().__init__(depth, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Make one stage of grouped bottlenecks."""
        return super().make_res_layer(
            groups=self.groups, width_per_group=self.base_width, base_channels=self.base_channels, **kwargs
        )
