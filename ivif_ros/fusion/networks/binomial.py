# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable binomial filters of batches: the functions of `fusion.resample` for training.

All work on (n, c, H, W) tensors of any float type on any device and continue images beyond their
border with the outermost pixels.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional


def halve(x: Tensor) -> Tensor:
    """Filter with [1 3 3 1] / 8 in both directions and keep every other pixel; even sides."""
    return _convolve(x, (1.0, 3.0, 3.0, 1.0), 2)


def double(x: Tensor) -> Tensor:
    """Twice the size by bilinear interpolation."""
    return functional.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)


def smooth(x: Tensor) -> Tensor:
    """Filter with [1 2 1] / 4 in both directions."""
    return _convolve(x, (1.0, 2.0, 1.0), 1)


def _convolve(x: Tensor, taps: tuple[float, ...], stride: int) -> Tensor:
    channels = x.shape[1]
    # Made once: a copy from the host would break the capture of a CUDA graph. An exporter has to
    # see how it is made.
    make = _kernel if _compiling() else _kept_kernel
    kernel = make(taps, x.dtype, x.device).expand(channels, 1, -1, -1)
    return functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode='replicate'), kernel,
                             stride=stride, groups=channels)


def _compiling() -> bool:
    """Say whether an exporter looks on; old versions of PyTorch do not know and cannot export."""
    ask = getattr(getattr(torch, 'compiler', None), 'is_compiling', None)
    return ask is not None and bool(ask())


def _kernel(taps: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Separable filter as a (k, k) kernel with sum 1."""
    row = torch.tensor(taps, dtype=dtype, device=device)
    return torch.outer(row, row) / row.sum() ** 2


@functools.lru_cache
def _kept_kernel(taps: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return _kernel(taps, dtype, device)
