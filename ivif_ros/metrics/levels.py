# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of grey levels regardless of where they lie: information and correlation, on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDING = 1e-14


def entropy(values: Tensor, bins: int = 256) -> Tensor:
    """Shannon entropy in nats of each row.

    Args:
        values: (n, pixels) whole numbers, 0..bins - 1.
        bins: number of values.

    Returns:
        (n,) float64.
    """
    return _entropy(_histogram(values, bins))


def mutual_information(
        first: Tensor, second: Tensor, bins: int = 256, weights: Tensor | None = None) -> Tensor:
    """Mutual information in nats of each row, from the joint histogram.

    Args:
        first: (n, pixels) whole numbers, 0..bins - 1.
        second: (n, pixels) the same.
        bins: number of values.
        weights: (n, pixels) float64, what each pixel counts, or None for one.

    Returns:
        (n,) float64, 0 or more; NaN for rows without pixels.
    """
    joint = _histogram(first.int() * bins + second, bins * bins, weights)
    square = joint.view(-1, bins, bins)
    information = _entropy(square.sum(2)) + _entropy(square.sum(1)) - _entropy(joint)
    return information.clamp_min(0)  # rounding may leave -1e-16


def _histogram(values: Tensor, bins: int, weights: Tensor | None = None) -> Tensor:
    """Counts (n, bins) of whole numbers (n, pixels)."""
    n = len(values)
    if n > 1:
        values = values + torch.arange(0, n * bins, bins, device=values.device).view(n, 1)
    flat = None if weights is None else weights.reshape(-1)
    counts: Tensor = torch.bincount(values.reshape(-1), flat, n * bins).view(n, bins)
    return counts


def _entropy(counts: Tensor) -> Tensor:
    p = counts.double() / counts.sum(1, keepdim=True)
    result: Tensor = 0 - torch.special.xlogy(p, p).sum(1)  # 0 for one level, not -0
    return result


class PixelStatistics:
    """Means, variances and covariances of the images of one pair, over all pixels.

    Sums of 8-bit images and of their products are whole numbers, which float64 holds exactly.

    Attributes:
        mean: (n, c).
        covariance: (n, c, c) of the population.
    """

    def __init__(self, images: Tensor) -> None:
        """Measure (n, c, H, W) uint8."""
        x = images.flatten(2).double()
        pixels = x.shape[2]
        self._products = x @ x.transpose(1, 2) / pixels
        self.mean = x.sum(2) / pixels
        self.covariance = self._products - self.mean[:, :, None] * self.mean[:, None, :]

    def deviation(self, index: int) -> Tensor:
        """Standard deviation of one of the images, (n,)."""
        return self.covariance[:, index, index].clamp_min(0).sqrt()

    def squared_error(self, one: int, other: int) -> Tensor:
        """Mean squared difference of two of the images, (n,)."""
        p = self._products
        return p[:, one, one] + p[:, other, other] - 2 * p[:, one, other]

    def correlation(self, one: int, other: int, less: int | None = None) -> Tensor:
        """Pearson correlation of one image with another one, or with the other one less a third.

        Returns:
            (n,), 0 where either is constant.
        """
        c, p = self.covariance, self._products
        own, shared = c[:, one, one], c[:, one, other]
        variance, square = c[:, other, other], p[:, other, other]
        if less is not None:
            shared = shared - c[:, one, less]
            variance = variance + c[:, less, less] - 2 * c[:, other, less]
            square = square + p[:, less, less]
        # One pixel that differs by one level leaves more than this share, rounding less.
        constant = (own <= _ROUNDING * p[:, one, one]) | (variance <= _ROUNDING * square)
        return torch.where(constant, 0.0, shared / torch.sqrt(own * variance))
