"""VGG.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.conv_module import ConvModule
from intarsia.nn.module import InitCfg

RELU: Mapping[str, Any] = {'type': 'ReLU'}
STAGE_CHANNELS = (64, 128, 256, 512, 512)


@BACKBONES.register_module()
class VGG(Backbone):
    """Network of 3 x 3 convolutions and pooling.

    "Very Deep Convolutional Networks for Large-Scale Image Recognition" (Simonyan & Zisserman, 2014, arXiv:1409.1556).

    State keys: ``features``, ``classifier``.

    Args:
        depth: 11, 13, 16 or 19, which counts the three linear layers.
        num_classes: Number of classes; with one or more the network ends in its classifier, and the last output is the
            logits ``(N, num_classes)``. Images must then be of 224 x 224 pixels.
        num_stages: 1 ... 5.
        dilations: Dilation of each stage.
        out_indices: Stages to output, from 0; the classifier is 5. By default the last.
        frozen_stages: Freeze so many stages.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the normalizations; None means none.
        act_cfg: Config of the activations.
        norm_eval: Keep batch norms in evaluation mode during training.
        ceil_mode: Whether pooling rounds sizes up.
        with_last_pool: Whether the last stage ends with its pooling.
        init_cfg: How weights are initialized.

    Raises:
        ValueError: The depth is unknown, or numbers do not fit ``num_stages``.
    """

    arch_settings: ClassVar[dict[int, tuple[int, ...]]] = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }
    default_init: ClassVar[InitCfg] = (
        {'type': 'Kaiming', 'layer': ['Conv2d']},
        {'type': 'Constant', 'val': 1.0, 'layer': ['_BatchNorm']},
        {'type': 'Normal', 'std': 0.01, 'layer': ['Linear']},
    )

    def __init__(
        self,
        depth: int,
        num_classes: int = -1,
        num_stages: int = 5,
        dilations: Sequence[int] = (1, 1, 1, 1, 1),
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] = RELU,
        norm_eval: bool = False,
        ceil_mode: bool = False,
        with_last_pool: bool = True,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in self.arch_settings:
            raise ValueError(f'VGG: depth must be one of {", ".join(map(str, self.arch_settings))}, not {depth}')
        if not 1 <= num_stages <= 5 or len(dilations) != num_stages:
            raise ValueError(f'VGG: num_stages={num_stages} must lie in 1 ... 5, with as many dilations: {dilations}')
        if out_indices is None:
            out_indices = (5,) if num_classes > 0 else (4,)
        if not all(0 <= i <= num_stages for i in out_indices):
            raise ValueError(f'VGG: out_indices={out_indices} must lie in 0 ... {num_stages}')
        self.num_classes, self.out_indices = num_classes, tuple(out_indices)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval

        options: dict[str, Any] = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        layers: list[nn.Module] = []
        self.stage_ends: list[int] = []
        widths = [3]
        for channels, num_convs, dilation in zip(
            STAGE_CHANNELS, self.arch_settings[depth][:num_stages], dilations, strict=False
        ):
            for _ in range(num_convs):
                conv = ConvModule(widths[-1], channels, 3, padding=dilation, dilation=dilation, bias=True, **options)
                layers.append(conv)
                widths.append(channels)
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=ceil_mode))
            self.stage_ends.append(len(layers))
        if not with_last_pool:
            layers.pop()
            self.stage_ends[-1] -= 1
        self.features = nn.Sequential(*layers)
        self.classifier = _classifier(num_classes) if num_classes > 0 else None
        self._declare_outputs(num_stages, with_last_pool)
        self._freeze_stages()

    def _declare_outputs(self, num_stages: int, with_last_pool: bool) -> None:
        strides = [2 ** (i + 1) for i in range(num_stages)]
        strides[-1] //= 1 if with_last_pool else 2
        maps = [i for i in range(num_stages) if i in self.out_indices]
        logits = [self.num_classes] if self.classifier is not None else []
        self.out_channels = (*[STAGE_CHANNELS[i] for i in maps], *logits)
        self.strides = (*[strides[i] for i in maps], *[0 for _ in logits])

    def _stages(self) -> list[list[nn.Module]]:
        layers = list(self.features)
        return [layers[start:end] for start, end in itertools.pairwise([0, *self.stage_ends])]

    def frozen_parts(self) -> Iterable[nn.Module]:
        """The first ``frozen_stages`` stages."""
        return itertools.chain(*self._stages()[: max(self.frozen_stages, 0)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the maps of the output stages, then the logits if there is a classifier."""
        outs = []
        for i, stage in enumerate(self._stages()):
            for layer in stage:
                x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        if self.classifier is not None:
            outs.append(self.classifier(x.flatten(1)))
        return tuple(outs)


def _classifier(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(4096, num_classes),
    )  # fmt: skip
