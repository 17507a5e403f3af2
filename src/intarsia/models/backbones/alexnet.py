"""AlexNet.

Shape suffixes: n samples, c channels, h height, w width.
"""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core.registries import BACKBONES
from intarsia.models.backbones.backbone import Backbone
from intarsia.nn.module import InitCfg


@BACKBONES.register_module()
class AlexNet(Backbone):
    """Five convolutions, and three linear layers if there are classes.

    "One weird trick for parallelizing convolutional neural networks" (Krizhevsky, 2014, arXiv:1404.5997). The map is
    about 1/32 of the image; as its pooling leaves out borders, 224 pixels give 6 places, 64 give one.

    State keys: ``features``, ``classifier``.

    Args:
        num_classes: Number of classes; with one or more the output is the logits ``(N, num_classes)``. Images must then
            be of 224 x 224 pixels.
        init_cfg: How weights are initialized.
    """

    def __init__(self, num_classes: int = -1, init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
        )  # fmt: skip
        self.classifier = _classifier(num_classes) if num_classes > 0 else None
        self.out_channels = (num_classes if num_classes > 0 else 256,)
        self.strides = (0 if num_classes > 0 else 32,)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the map of the last convolution, or to logits if there is a classifier."""
        x_nchw = self.features(x)
        return (x_nchw if self.classifier is None else self.classifier(x_nchw.flatten(1)),)


def _classifier(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
        nn.Linear(4096, num_classes),
    )  # fmt: skip
