"""The families of networks that are known, by library."""

from __future__ import annotations

from intarsia.models.conversion import convnets, transformers
from intarsia.models.conversion.layout import Layout

_RESNETS = (convnets.RESNEST, convnets.SE_RESNET, convnets.RESNET_D, convnets.RESNET_C, convnets.RESNET)

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    'torchvision': (
        convnets.RESNET, convnets.ALEXNET, convnets.VGG, convnets.MOBILENET_V2, convnets.SHUFFLENET_V2,
        transformers.CONVNEXT_TORCHVISION, transformers.SWIN_TORCHVISION, transformers.VIT_TORCHVISION,
    ),
    'timm': (
        convnets.HRNET, *_RESNETS, convnets.VGG_TIMM, convnets.MOBILENET_V2_TIMM, convnets.MOBILEONE, convnets.REPVGG,
        transformers.CONVNEXT_TIMM, transformers.SWIN_TIMM, transformers.VIT_TIMM, transformers.PVT_V2,
    ),
}  # fmt: skip
"""A state dict is of the family that leaves least of it over."""
