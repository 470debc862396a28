# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Filters on image planes: halving, doubling, smoothing, detail energies, dilation.

All functions work on contiguous (n, H, W) float32 tensors on any device. Coarse pixel (i, j) covers
fine pixels 2i, 2i+1 and 2j, 2j+1, so nothing shifts from level to level; beyond its border the
image continues with its outermost pixels.

On a CPU OpenCV does the work, on the tensors' own memory: for a few planes its filters are several
times faster than PyTorch's convolution and interpolation. On other devices `networks.binomial`
does the same.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.networks import binomial

_TAPS = np.array([0.25, 0.5, 0.25], np.float32)
_SQUARE = np.ones((3, 3), np.uint8)


def halve(x: Tensor, arena: Arena) -> Tensor:
    """Filter with [1 3 3 1] / 8 in both directions and keep every other pixel.

    Args:
        x: (n, H, W), H and W even.
        arena: memory of the result.

    Returns:
        (n, H / 2, W / 2).
    """
    if x.device.type != 'cpu':
        return binomial.halve(x[None])[0]
    n, height, width = x.shape
    out = arena.empty(n, height // 2, width // 2)
    with arena.scratch():
        # [1 3 3 1] is [1 2 1] followed by the mean of two.
        _resize(smooth(x, arena), out, cv2.INTER_AREA)
    return out


def halve_box(x: Tensor, arena: Arena) -> Tensor:
    """Mean of each 2x2 block: cheaper than `halve`, for what gets smoothed anyway.

    Args:
        x: (n, H, W), H and W even.
        arena: memory of the result.

    Returns:
        (n, H / 2, W / 2).
    """
    if x.device.type != 'cpu':
        return functional.avg_pool2d(x, 2)
    n, height, width = x.shape
    return _resize(x, arena.empty(n, height // 2, width // 2), cv2.INTER_AREA)


def double(x: Tensor, arena: Arena, out: Tensor | None = None) -> Tensor:
    """Twice the size by the filter of `halve`, which here is bilinear interpolation.

    Repeated doubling converges to quadratic splines (Chaikin's corner cutting), so that coarse
    levels leave no cells behind.

    Args:
        x: (n, H, W).
        arena: memory of the result.
        out: contiguous (n, 2 H, 2 W) that gets the result in place of the arena's memory.

    Returns:
        (n, 2 H, 2 W).
    """
    n, height, width = x.shape
    if x.device.type != 'cpu':
        doubled = binomial.double(x[None])[0]
        return doubled if out is None else out.copy_(doubled)
    if out is None:
        out = arena.empty(n, 2 * height, 2 * width)
    return _resize(x, out, cv2.INTER_LINEAR)


def smooth(x: Tensor, arena: Arena) -> Tensor:
    """Filter with [1 2 1] / 4 in both directions.

    Args:
        x: (n, H, W).
        arena: memory of the result.

    Returns:
        (n, H, W).
    """
    if x.device.type != 'cpu':
        return binomial.smooth(x[None])[0]
    out = arena.empty(*x.shape)
    for source, target in zip(x.numpy(), out.numpy(), strict=True):
        cv2.sepFilter2D(source, -1, _TAPS, _TAPS, target, borderType=cv2.BORDER_REPLICATE)
    return out


def dilate(x: Tensor, arena: Arena) -> Tensor:
    """Maximum of each pixel and its eight neighbours.

    Args:
        x: (n, H, W).
        arena: memory of the result.

    Returns:
        (n, H, W).
    """
    if x.device.type != 'cpu':
        return functional.max_pool2d(x, 3, 1, 1)
    out = arena.empty(*x.shape)
    for source, target in zip(x.numpy(), out.numpy(), strict=True):
        cv2.dilate(source, _SQUARE, target)
    return out


def detail_energies(detail: Tensor, arena: Arena, out: Tensor) -> None:
    """Measure how strong two images' details are and whether they are the same.

    Args:
        detail: (2, H, W), one level of both Laplacian pyramids, H and W even.
        arena: memory for intermediate results.
        out: (3, H / 2, W / 2), gets the local means of v^2, t^2 and v t.
    """
    _, height, width = detail.shape
    with arena.scratch():
        products = arena.empty(3, height, width)
        torch.mul(detail, detail, out=products[:2])
        torch.mul(detail[0], detail[1], out=products[2])
        out.copy_(smooth(halve_box(products, arena), arena))


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Continue the last row and column of (n, H, W) until both sides are multiples of a number."""
    height, width = x.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return x
    return functional.pad(x[None], (0, right, 0, down), mode='replicate')[0]


def _resize(x: Tensor, out: Tensor, interpolation: int) -> Tensor:
    """Fill `out` (n, h, w) with resized planes."""
    size = (out.shape[2], out.shape[1])
    for source, target in zip(x.numpy(), out.numpy(), strict=True):
        cv2.resize(source, size, target, interpolation=interpolation)
    return out
