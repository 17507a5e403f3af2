"""Convolutions that take in the batch norm behind them.

Shape suffixes: o, i output and input channels of a kernel, y, x its places.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def fused_kernel(kernel_oiyx: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """Kernel and bias of the one convolution that computes what a convolution and a batch norm do in evaluation.

    Args:
        kernel_oiyx: Kernel of a convolution without bias, ``(O, I, Y, X)``.
        norm: Batch norm of C channels; where C is less than O, each is that of ``O / C`` neighbouring outputs.

    Returns:
        Kernel ``(O, I, Y, X)`` and bias ``(O,)``.
    """
    repeats = len(kernel_oiyx) // len(norm.weight)
    scale_o = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias_o = norm.bias - norm.running_mean * scale_o
    scale_o, bias_o = scale_o.repeat_interleave(repeats), bias_o.repeat_interleave(repeats)
    return kernel_oiyx * scale_o[:, None, None, None], bias_o
