# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality of a fused image: the figures that the fusion literature quotes.

All functions take grey images, (H, W) uint8, of one size, and compute in float64. The definitions
are those of the evaluators that published tables use (8-bit grey, MI in nats, VIF and SSIM as means
over both sources). EN, SD, SF and AG look at the fused image alone and rise with noise: never read
them without the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.metrics import registration
from ivif_ros.metrics.registration import normalised_cross_correlation
from ivif_ros.types import Array


def entropy(image: Array) -> float:
    """EN: Shannon entropy of the grey levels, in bits."""
    p = np.bincount(image.reshape(-1), minlength=256) / image.size
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def standard_deviation(image: Array) -> float:
    """SD: standard deviation of the grey levels."""
    return float(image.astype(np.float64).std())


def spatial_frequency(image: Array) -> float:
    """SF: root of the mean squares of row and column first differences."""
    x = image.astype(np.float64)
    return float(np.sqrt((np.diff(x, axis=0) ** 2).mean() + (np.diff(x, axis=1) ** 2).mean()))


def average_gradient(image: Array) -> float:
    """AG: mean of sqrt((dx^2 + dy^2) / 2), central differences, one-sided at the border."""
    dy, dx = np.gradient(image.astype(np.float64))
    return float(np.sqrt((dx * dx + dy * dy) / 2).mean())


def mutual_information(fused: Array, source: Array) -> float:
    """MI of two images over 256 x 256 grey levels, in nats."""
    return registration.mutual_information(fused, source, bins=256) * math.log(2)


def sum_of_correlations_of_differences(fused: Array, thermal: Array, visible: Array) -> float:
    """SCD (Aslantas and Bendes 2015): does what one source lacks come from the other; at most 2."""
    f, a, b = (x.astype(np.float64) for x in (fused, thermal, visible))
    return normalised_cross_correlation(a, f - b) + normalised_cross_correlation(b, f - a)


def structural_similarity(fused: Array, source: Array) -> float:
    """SSIM (Wang et al. 2004) with a 7x7 uniform window and sample covariances, border excluded.

    Raises:
        ImageError: an image smaller than the window.
    """
    size = 7
    _check_side(fused, size)
    f, s = fused.astype(np.float64), source.astype(np.float64)

    def mean(x: Array) -> Array:
        return _inside(cv2.blur(x, (size, size)), size)

    mf, ms = mean(f), mean(s)
    unbiased = size * size / (size * size - 1)
    vf = unbiased * (mean(f * f) - mf * mf)
    vs = unbiased * (mean(s * s) - ms * ms)
    cov = unbiased * (mean(f * s) - mf * ms)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = (2 * mf * ms + c1) * (2 * cov + c2) / ((mf * mf + ms * ms + c1) * (vf + vs + c2))
    return float(ssim.mean())


def visual_information_fidelity(fused: Array, source: Array) -> float:
    """VIF in the pixel domain (Sheikh and Bovik 2006): four scales, noise variance 2.

    Raises:
        ImageError: an image too small for four scales.
    """
    _check_side(fused, 72)
    noise, tiny = 2.0, 1e-10
    ref, dist = source.astype(np.float64), fused.astype(np.float64)
    kept = total = 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        window = cv2.getGaussianKernel(size, size / 5.0, cv2.CV_64F)

        def mean(x: Array, window: Array = window, size: int = size) -> Array:
            return _inside(cv2.sepFilter2D(x, -1, window, window), size)

        if scale > 1:
            ref, dist = mean(ref)[::2, ::2], mean(dist)[::2, ::2]
        mr, md = mean(ref), mean(dist)
        vr = np.maximum(mean(ref * ref) - mr * mr, 0)
        vd = np.maximum(mean(dist * dist) - md * md, 0)
        cov = mean(ref * dist) - mr * md
        # Regress the distorted image on the source: gain times source plus a remainder. Where
        # either is flat, or the contrast is inverted, nothing of the source is left.
        gain = np.where((vr < tiny) | (vd < tiny), 0, cov / (vr + tiny))
        rest = np.where(vd < tiny, 0, vd - gain * cov)
        rest = np.maximum(np.where(gain < 0, vd, rest), tiny)
        gain = np.maximum(gain, 0)
        vr = np.where(vr < tiny, 0, vr)
        kept += np.log10(1 + gain * gain * vr / (rest + noise)).sum()
        total += np.log10(1 + vr / noise).sum()
    return float(kept / total) if total > 0 else 1.0


def edge_preservation(fused: Array, thermal: Array, visible: Array) -> float:
    """Qabf (Xydeas and Petrovic 2000): how far strength and orientation of edges are kept."""
    gf, af = _edges(fused)
    kept = total = 0.0
    for source in (thermal, visible):
        gs, angle = _edges(source)
        low, high = np.minimum(gs, gf), np.maximum(gs, gf)
        strength = np.divide(low, high, out=np.ones_like(low), where=high > 0)
        orientation = 1 - np.abs(angle - af) / (np.pi / 2)
        q = (0.9994 / (1 + np.exp(-15 * (strength - 0.5)))
             * 0.9879 / (1 + np.exp(-22 * (orientation - 0.8))))
        kept += (q * gs).sum()
        total += gs.sum()
    return float(kept / total) if total > 0 else 1.0


def evaluate(fused: Array, thermal: Array, visible: Array) -> dict[str, float]:
    """Compute all figures of one pair.

    Args:
        fused: (H, W) uint8 grey fused image.
        thermal: (H, W) uint8 thermal image on the same grid.
        visible: (H, W) uint8 grey RGB image.

    Returns:
        EN, SD, SF, AG, MI (sum over both sources), SCD, VIF, Qabf, SSIM and CC (means).

    Raises:
        ImageError: images that are not grey uint8 of one size, or are too small.
    """
    for name, image in (('fused', fused), ('thermal', thermal), ('visible', visible)):
        if image.ndim != 2 or image.dtype != np.uint8 or image.shape != fused.shape:
            raise ImageError(
                f'{name} image is {image.shape} {image.dtype}, expected (H, W) uint8 of the size '
                f'of the fused image {fused.shape[:2]}', 'bad_shape')

    def both(metric: Callable[[Array, Array], float]) -> float:
        return metric(fused, thermal) + metric(fused, visible)

    return {
        'EN': entropy(fused), 'SD': standard_deviation(fused), 'SF': spatial_frequency(fused),
        'AG': average_gradient(fused), 'MI': both(mutual_information),
        'SCD': sum_of_correlations_of_differences(fused, thermal, visible),
        'VIF': both(visual_information_fidelity) / 2,
        'Qabf': edge_preservation(fused, thermal, visible),
        'SSIM': both(structural_similarity) / 2, 'CC': both(normalised_cross_correlation) / 2}


def _inside(filtered: Array, size: int) -> Array:
    """Crop to the pixels whose window lies within the image."""
    r = size // 2
    return filtered[r:filtered.shape[0] - r, r:filtered.shape[1] - r]


def _edges(image: Array) -> tuple[Array, Array]:
    """Strength and orientation of the Sobel gradient, zeros outside the image.

    The orientation is mirrored, and +pi/2 where the gradient is vertical, as in the published
    evaluators: near the vertical the sign decides, so the other convention moves Qabf by 0.002.
    """
    x = image.astype(np.float64)
    gx = cv2.Sobel(x, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    gy = cv2.Sobel(x, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_CONSTANT)
    ratio = np.divide(-gy, gx, out=np.full_like(gx, np.inf), where=gx != 0)
    return np.hypot(gx, gy), np.arctan(ratio)


def _check_side(image: Array, least: int) -> None:
    if min(image.shape) < least:
        raise ImageError(
            f'image of {image.shape[1]}x{image.shape[0]} is too small for this figure, expected at '
            f'least {least} pixels a side', 'bad_shape')
