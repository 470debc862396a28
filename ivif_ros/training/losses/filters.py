# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Small linear filters that the losses share, fast forward and backward on a CPU.

All planes of a batch are filtered in one depthwise convolution: (n, c, h, w) is seen as n * c
channels of one image. That is ten times faster on a CPU than single-channel images, and on CUDA it
stays in float32 where TF32 is allowed, which differences of large moments need.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ivif_ros.errors import ImageError


def exact(x: Tensor) -> torch.autocast:
    """Context in which autocast is off: moments and logarithms need float32."""
    return torch.autocast(x.device.type, enabled=False)


def single(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 stay as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_planes(**images: Tensor) -> None:
    """Check that all images are (n, 1, h, w) floating point of one shape.

    Raises:
        ImageError: another shape or dtype, with the name of the image.
    """
    first = next(iter(images.values()))
    for name, image in images.items():
        if (image.ndim != 4 or image.shape[1] != 1 or image.shape != first.shape
                or not image.is_floating_point()):
            raise ImageError(
                f'{name} is {tuple(image.shape)} {image.dtype}, expected (n, 1, h, w) floating '
                f'point in 0..1, of the same shape as {next(iter(images))} '
                f'{tuple(first.shape)}', 'bad_shape')


def filter_valid(x: Tensor, rows: Tensor, columns: Tensor, stride: int = 1) -> Tensor:
    """Correlate each plane with a separable kernel, only where the window lies inside.

    Args:
        x: (n, c, h, w).
        rows: (k,) weights along y, dtype and device of `x`.
        columns: (m,) weights along x, dtype and device of `x`.
        stride: every how manieth position is computed.

    Returns:
        (n, c, (h - k) // stride + 1, (w - m) // stride + 1).
    """
    n, c, h, w = x.shape
    planes = n * c
    stacked = x.contiguous().view(1, planes, h, w)
    if planes == 1:  # a single group would leave the depthwise kernels
        stacked, planes = stacked.expand(1, 2, h, w), 2
    with exact(x):
        stacked = F.conv2d(stacked, columns.expand(planes, 1, 1, -1), stride=(1, stride),
                           groups=planes)
        stacked = F.conv2d(stacked, rows.view(-1, 1).expand(planes, 1, -1, 1),
                           stride=(stride, 1), groups=planes)
    return stacked[:, :n * c].reshape(n, c, *stacked.shape[2:])


def filter_same(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Correlate each plane with a separable odd kernel; the border pixels are repeated outside."""
    ry, rx = len(rows) // 2, len(columns) // 2
    return filter_valid(F.pad(x, (rx, rx, ry, ry), mode='replicate'), rows, columns)


@lru_cache(maxsize=256)
def gaussian(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Sampled Gaussian of `size` taps that sum to 1."""
    with torch.inference_mode(False), torch.no_grad():
        x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        window = torch.exp(-x * x / (2 * sigma * sigma))
        return (window / window.sum()).to(device, dtype)


@lru_cache(maxsize=256)
def box(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`size` equal taps that sum to 1."""
    with torch.inference_mode(False), torch.no_grad():
        return torch.full((size,), 1 / size, dtype=dtype, device=device)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of each plane, window of three sigma a side, borders repeated."""
    window = gaussian(2 * max(1, round(3 * sigma)) + 1, sigma, x.dtype, x.device)
    return filter_same(x, window, window)


def box_mean(x: Tensor, size: int) -> Tensor:
    """Mean of the odd `size` x `size` window around each pixel, borders repeated."""
    window = box(size, x.dtype, x.device)
    return filter_same(x, window, window)


def sobel(x: Tensor, border: str = 'replicate') -> tuple[Tensor, Tensor]:
    """Sobel gradient (gx, gy) of each plane, taps 1 2 1 and -1 0 1.

    Args:
        x: (n, c, h, w).
        border: what lies outside: `replicate` (no edge at the border) or `constant` (zeros, as
            the Qabf figure has it).

    Returns:
        Two (n, c, h, w); a ramp of one unit a pixel has gx = 8 units.
    """
    p = F.pad(x, (1, 1, 1, 1), mode=border)
    across = p[..., :-2, :] + 2 * p[..., 1:-1, :] + p[..., 2:, :]
    along = p[..., :-2] + 2 * p[..., 1:-1] + p[..., 2:]
    return across[..., 2:] - across[..., :-2], along[..., 2:, :] - along[..., :-2, :]


def gradient_magnitude(x: Tensor, smooth: float = 1e-6) -> Tensor:
    """Strength of the Sobel gradient, `sqrt(gx^2 + gy^2 + smooth^2) - smooth`.

    Args:
        x: (n, c, h, w) in 0..1.
        smooth: rounds the tip of the cone, so that the derivative at zero gradient is zero.

    Returns:
        (n, c, h, w), 0 or more.
    """
    gx, gy = sobel(x)
    return torch.sqrt(gx * gx + gy * gy + smooth * smooth) - smooth


def laplacian(x: Tensor) -> Tensor:
    """Four-neighbour Laplacian of each plane, borders repeated."""
    p = F.pad(x, (1, 1, 1, 1), mode='replicate')
    return (p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]
            - 4 * x)


def window_max(x: Tensor, size: int) -> Tensor:
    """Largest value of the odd `size` x `size` window around each pixel, cut at the border."""
    r = size // 2
    x = F.pad(x, (r, r, r, r), mode='replicate')
    for axis in (2, 3):
        reach = 1
        while reach < size:  # doubling the reach takes log2(size) passes
            step = min(reach, size - reach)
            length = x.shape[axis] - step
            x = torch.maximum(x.narrow(axis, 0, length), x.narrow(axis, step, length))
            reach += step
    return x
