"""Layers that old code builds by config, and what it does with whole networks, over ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core.registries import PLUGIN_LAYERS
from intarsia.nn.init import xavier_init
from intarsia.nn.module import BaseModule
from intarsia.nn.norm import BatchNorm

HSwish = nn.Hardswish

# ---------------------------------------------------------------------- single layers


def is_norm(layer: nn.Module, exclude: type | tuple[type, ...] | None = None) -> bool:
    """Whether a layer normalizes; classes in ``exclude`` do not count."""
    if exclude is not None and isinstance(layer, exclude):
        return False
    return isinstance(layer, (BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm))


class PixelShufflePack(BaseModule):
    """Enlarges maps by a convolution whose channels become pixels.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        scale_factor: How many times as large it is.
        upsample_kernel: Size of the convolution's kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_factor: int, upsample_kernel: int) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        padding = (upsample_kernel - 1) // 2
        self.upsample_conv = nn.Conv2d(in_channels, out_channels * scale_factor**2, upsample_kernel, padding=padding)
        self.init_own_weights()

    def init_own_weights(self) -> None:
        """Xavier, uniform."""
        xavier_init(self.upsample_conv, distribution='uniform')

    def forward(self, x_nchw: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, out_channels, H * scale_factor, W * scale_factor)``."""
        return F.pixel_shuffle(self.upsample_conv(x_nchw), self.scale_factor)


UPSAMPLE: dict[str, Callable[..., nn.Module]] = {
    'nearest': nn.Upsample,
    'bilinear': nn.Upsample,
    'deconv': nn.ConvTranspose2d,
    'deconv3d': nn.ConvTranspose3d,
    'pixel_shuffle': PixelShufflePack,
}
"""Type of a config of enlarging -> layer."""


def build_upsample_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Build a layer that enlarges maps.

    Args:
        cfg: ``type``, of :data:`UPSAMPLE` or of the registry UPSAMPLE_LAYERS, and arguments.
        args: Further arguments.
        kwargs: The same.
    """
    if not isinstance(cfg, Mapping):
        raise TypeError(f'cfg must be a dict, not {cfg!r}')
    if 'type' not in cfg:
        raise KeyError(f'the cfg dict must contain the key "type", but has {sorted(cfg)}')
    arguments = dict(cfg)
    kind = arguments.pop('type')
    layer = UPSAMPLE.get(kind) or PLUGIN_LAYERS.get(kind)
    if layer is nn.Upsample:
        arguments['mode'] = kind
    return layer(*args, **kwargs, **arguments)


# ---------------------------------------------------------------------- whole networks


@torch.no_grad()
def fuse_conv_bn(module: nn.Module) -> nn.Module:
    """Let convolutions do the work of the batch norms that follow them in the order of definition, for inference.

    Returns:
        ``module``, changed: each such norm is an identity from now on.
    """
    before: nn.Conv2d | None = None
    for name, child in module.named_children():
        if isinstance(child, BatchNorm):
            if before is not None:
                fused = torch.nn.utils.fusion.fuse_conv_bn_eval(before.eval(), child.eval())
                before.weight, before.bias = fused.weight, fused.bias
                module.add_module(name, nn.Identity())
            before = None
        elif isinstance(child, nn.Conv2d):
            before = child
        else:
            fuse_conv_bn(child)
    return module


def get_model_complexity_info(
    model: nn.Module,
    input_shape: tuple[int, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[int, ...]], Mapping[str, Any]] | None = None,
    flush: bool = False,
    ost: Any = None,
) -> tuple[Any, Any]:
    """Count the multiply-adds and the parameters of a model.

    Args:
        model: The model, called with a batch of one.
        input_shape: Its shape, without the batch axis.
        print_per_layer_stat: Whether the counts of modules are printed.
        as_strings: Whether the answers are texts.
        input_constructor: Makes the keyword arguments of the call; by default the batch is given.
        flush: As of :func:`print`.
        ost: Where it is printed; by default on standard output.

    Returns:
        Multiply-adds of matrix products and convolutions (half of what PyTorch counts), and parameters.
    """
    from torch.utils.flop_counter import FlopCounterMode

    first = next(model.parameters(), torch.zeros(()))
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if input_constructor is not None:
            model(**input_constructor(input_shape))
        else:
            model(torch.zeros((1, *input_shape), dtype=first.dtype, device=first.device))
    macs, params = counter.get_total_flops() / 2, sum(p.numel() for p in model.parameters() if p.requires_grad)
    if print_per_layer_stat:
        for name, counts in counter.get_flop_counts().items():
            print(f'{name}: {flops_to_string(sum(counts.values()) / 2, None)}', file=ost, flush=flush)
    return (flops_to_string(macs), params_to_string(params)) if as_strings else (macs, params)


def flops_to_string(flops: float, units: str | None = 'GFLOPs', precision: int = 2) -> str:
    """``'4.11 GFLOPs'``; the largest unit that fits (``MFLOPs``, ``KFLOPs``, ``FLOPs``) if none is given."""
    sizes = {'GFLOPs': 1e9, 'MFLOPs': 1e6, 'KFLOPs': 1e3}
    units = units or next((name for name, size in sizes.items() if flops >= size), 'FLOPs')
    return f'{round(flops / sizes[units], precision)} {units}' if units in sizes else f'{flops} FLOPs'


def params_to_string(num_params: float, units: str | None = None, precision: int = 2) -> str:
    """``'25.56 M'``; in ``M``, ``k`` or as it is, whichever fits, if ``units`` is None."""
    sizes = {'M': 1e6, 'K': 1e3}
    fitting = 'M' if num_params >= 1e6 else 'k' if num_params >= 1e3 else ''
    size = sizes.get((units or fitting).upper())
    return f'{round(num_params / size, precision)} {units or fitting}' if size else str(num_params)
