# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measures of registration: similarity of two images, and error of a map against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ivif_ros.metrics import levels
from ivif_ros.metrics.planes import Figure, figure
from ivif_ros.types import Array


@dataclass(frozen=True)
class EndpointError:
    """Distances between mapped and true positions, in pixels of the target image.

    Attributes:
        mean: mean over the valid pixels; NaN without any.
        median: median over the valid pixels; NaN without any.
        pixels: number of valid pixels.
    """

    mean: float
    median: float
    pixels: int


def mean_squared_error(first: Array, second: Array, valid: Array | None = None) -> Figure:
    """Mean squared error, `MSE = 1/n sum (a - b)^2`.

    Agrees with `skimage.metrics.mean_squared_error`.

    Args:
        first: (H, W) image, or (n, H, W) images.
        second: the same.
        valid: pixels that count, bool of the shape of the images, or None for all.

    Returns:
        The error in squared grey levels, a number or (n,) float64; NaN where no pixel counts.

    Raises:
        ValueError: different shapes.
    """
    a, b, counts = _rows(first, second, valid)
    return figure(((a - b) ** 2).sum(1) / counts.sum(1), first)


def normalised_cross_correlation(
        first: Array, second: Array, valid: Array | None = None) -> Figure:
    """Normalised cross-correlation (Lewis, Fast Normalized Cross-Correlation, 1995).

    `NCC = sum (a - mean a)(b - mean b) / sqrt(sum (a - mean a)^2 sum (b - mean b)^2)`, the
    correlation coefficient of Pearson. Agrees with `numpy.corrcoef`.

    Args:
        first: (H, W) image, or (n, H, W) images.
        second: the same.
        valid: pixels that count, bool of the shape of the images, or None for all.

    Returns:
        -1..1, a number or (n,) float64; 0 where one of both is constant, NaN where no pixel counts.

    Raises:
        ValueError: different shapes.
    """
    a, b, counts = _rows(first, second, valid)
    pixels = counts.sum(1, keepdim=True)
    a, b = (torch.where(counts, x - x.sum(1, keepdim=True) / pixels, 0.0) for x in (a, b))
    scale = torch.sqrt((a * a).sum(1) * (b * b).sum(1))
    correlation = torch.where(scale > 0, (a * b).sum(1) / scale, 0.0)
    return figure(torch.where(pixels[:, 0] > 0, correlation, torch.nan), first)


def mutual_information(first: Array, second: Array, valid: Array | None = None,
                       bins: int = 64) -> Figure:
    """Mutual information of grey levels (Viola and Wells, 1997).

    `MI = sum p(a, b) log2(p(a, b) / (p(a) p(b)))` over the joint histogram. Agrees with
    `sklearn.metrics.mutual_info_score` of the bins, which is in nats.

    Args:
        first: (H, W) image, or (n, H, W) images, 0..255.
        second: the same.
        valid: pixels that count, bool of the shape of the images, or None for all.
        bins: bins per image over 0..256.

    Returns:
        Information in bits, 0 or more, a number or (n,) float64; NaN where no pixel counts.

    Raises:
        ValueError: different shapes.
    """
    a, b, counts = _rows(first, second, valid)
    a, b = ((x * bins / 256).clamp_(0, bins - 1).int() for x in (a, b))
    weights = None if valid is None else counts.double()
    return figure(levels.mutual_information(a, b, bins, weights) / math.log(2), first)


def endpoint_error(estimate: Array, truth: Array, valid: Array | None = None) -> EndpointError:
    """End-point error, `EPE(x) = |m(x) - m*(x)|` for the maps `m` and `m*`.

    The error of optical flow (Baker et al., A Database and Evaluation Methodology for Optical Flow,
    2011).

    Args:
        estimate: (H, W, 2) position that each pixel is mapped to.
        truth: (H, W, 2) true position. Pixels where one of both is not finite do not count.
        valid: (H, W) bool, pixels that count, or None for all.

    Returns:
        Mean and median over the pixels that count.

    Raises:
        ValueError: different shapes, or a map that is not (H, W, 2).
    """
    if estimate.shape != truth.shape or truth.ndim != 3 or truth.shape[2] != 2:
        raise ValueError(
            f'maps have shapes {estimate.shape} and {truth.shape}, expected the same (H, W, 2)')
    with np.errstate(invalid='ignore'):
        difference = estimate.astype(np.float64) - truth
        apart = np.sqrt(difference[..., 0] ** 2 + difference[..., 1] ** 2)
    counts = np.isfinite(apart)
    if valid is not None:
        counts &= valid
    apart = apart[counts]
    if not len(apart):
        return EndpointError(float('nan'), float('nan'), 0)
    return EndpointError(float(apart.mean()), float(np.median(apart)), len(apart))


def _rows(first: Array, second: Array, valid: Array | None) -> tuple[Tensor, Tensor, Tensor]:
    """Both images as (n, pixels) float64, zero where they do not count, and where they count."""
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise ValueError(f'images have shapes {first.shape} and {second.shape}, expected the same '
                         '(H, W) or (n, H, W)')
    if valid is None:
        valid = np.ones(first.shape, bool)
    elif valid.shape != first.shape:
        raise ValueError(f'the mask has shape {valid.shape}, expected that of the images '
                         f'{first.shape}')
    count = len(first) if first.ndim == 3 else 1
    a, b = (torch.from_numpy(np.where(valid, x, 0).astype(np.float64).reshape(count, -1))
            for x in (first, second))
    return a, b, torch.from_numpy(valid.astype(bool).reshape(count, -1))
