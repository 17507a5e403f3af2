"""C3D: eight convolutions of clips and two linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.init import normal_init
from intarsia.nn.module import InitCfg
from intarsia.nn.weights import find_weights, load_state_dict, read_state_dict

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Output channels of the convolutions between two poolings."""


@BACKBONES.register_module()
class C3D(Backbone):
    """The first network of 3 x 3 x 3 convolutions.

    "Learning Spatiotemporal Features with 3D Convolutional Networks" (Tran et al., 2014, arXiv:1412.0767). State keys:
    ``conv1a``, ``conv2a``, ``conv3a``, ``conv3b`` ... ``conv5b``, ``fc6``, ``fc7``.

    Args:
        pretrained: Weights to start from.
        style: Of no effect.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activations.
        out_dim: Length of the flattened output of the convolutions: 8192 for 16 frames of 112 x 112.
        dropout_ratio: After the first linear layer.
        init_std: Standard deviation of the first weights of the linear layers.
        init_cfg: How weights are initialized.
    """

    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv3d']},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm']},
    )
    out_channels, strides = (4096,), (0,)

    def __init__(
        self,
        pretrained: str | None = None,
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        out_dim: int = 8192,
        dropout_ratio: float = 0.5,
        init_std: float = 0.005,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained, self.init_std = pretrained, init_std
        cfgs: dict[str, Any] = {'conv_cfg': conv_cfg or {'type': 'Conv3d'}, 'norm_cfg': norm_cfg}
        channels = 3
        self.layers: list[str] = []
        for i, widths in enumerate(STAGES, start=1):
            for width, letter in zip(widths, 'ab', strict=False):
                layer = ConvModule(channels, width, 3, padding=1, act_cfg=act_cfg or {'type': 'ReLU'}, **cfgs)
                self._add(f'conv{i}{letter}', layer)
                channels = width
            t = 1 if i == 1 else 2
            self._add(f'pool{i}', nn.MaxPool3d((t, 2, 2), (t, 2, 2), (0, 1, 1) if i == len(STAGES) else 0))
        self.fc6, self.fc7 = nn.Linear(out_dim, 4096), nn.Linear(4096, 4096)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(dropout_ratio)

    def _add(self, name: str, layer: nn.Module) -> None:
        self.add_module(name, layer)
        self.layers.append(name)

    def init_weights(self) -> None:
        """From ``pretrained``, or as ``init_cfg`` says."""
        super().init_weights()
        for layer in (self.fc6, self.fc7):
            normal_init(layer, std=self.init_std)
        if self.pretrained is not None:
            load_state_dict(self, read_state_dict(find_weights(self.pretrained)), strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """A vector ``(N, 4096)`` for each clip ``(N, 3, T, H, W)``."""
        for name in self.layers:
            x = getattr(self, name)(x)
        return (self.relu(self.fc7(self.dropout(self.relu(self.fc6(x.flatten(1)))))),)
