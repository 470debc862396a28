# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measures of registration: similarity of two images, and error of a map against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


def mean_squared_error(first: Array, second: Array, valid: Array | None = None) -> float:
    """Mean squared error, `MSE = 1/n sum (a - b)^2`.

    Args:
        first: (H, W) image.
        second: (H, W) image.
        valid: (H, W) bool, pixels that count, or None for all.

    Returns:
        The error in squared grey levels, NaN where no pixel counts.

    Raises:
        ValueError: different shapes.
    """
    a, b = _flat(first, second, valid)
    return float(np.mean((a - b) ** 2)) if len(a) else float('nan')


def normalised_cross_correlation(
        first: Array, second: Array, valid: Array | None = None) -> float:
    """Normalised cross-correlation.

    `NCC = sum (a - mean a)(b - mean b) / sqrt(sum (a - mean a)^2 sum (b - mean b)^2)`.

    Args:
        first: (H, W) image.
        second: (H, W) image.
        valid: (H, W) bool, pixels that count, or None for all.

    Returns:
        -1..1; 0 where one of them is constant, NaN where no pixel counts.

    Raises:
        ValueError: different shapes.
    """
    a, b = _flat(first, second, valid)
    if not len(a):
        return float('nan')
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def mutual_information(first: Array, second: Array, valid: Array | None = None,
                       bins: int = 64) -> float:
    """Mutual information of grey levels (Viola and Wells, 1997).

    `MI = sum p(a, b) log2(p(a, b) / (p(a) p(b)))` over the joint histogram.

    Args:
        first: (H, W) image, 0..255.
        second: (H, W) image, 0..255.
        valid: (H, W) bool, pixels that count, or None for all.
        bins: bins per image over 0..256.

    Returns:
        Information in bits, >= 0; NaN where no pixel counts.

    Raises:
        ValueError: different shapes.
    """
    a, b = _flat(first, second, valid)
    if not len(a):
        return float('nan')
    rows, columns = (np.clip(values * bins / 256.0, 0, bins - 1).astype(np.intp)
                     for values in (a, b))
    joint = np.bincount(rows * bins + columns, minlength=bins * bins).reshape(bins, bins) / len(a)
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float(np.sum(joint[seen] * np.log2(joint[seen] / product[seen])))


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
    counts = np.isfinite(truth).all(axis=2) & np.isfinite(estimate).all(axis=2)
    if valid is not None:
        counts &= valid
    apart = np.linalg.norm(
        estimate[counts].astype(np.float64) - truth[counts].astype(np.float64), axis=1)
    if not len(apart):
        return EndpointError(float('nan'), float('nan'), 0)
    return EndpointError(float(apart.mean()), float(np.median(apart)), len(apart))


def _flat(first: Array, second: Array, valid: Array | None) -> tuple[Array, Array]:
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f'images have shapes {first.shape} and {second.shape}, expected the same (H, W)')
    if valid is None:
        return (first.ravel().astype(np.float64), second.ravel().astype(np.float64))
    return first[valid].astype(np.float64), second[valid].astype(np.float64)
