# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Homographies from uncertain correspondences, on any device, with nothing drawn by chance twice.

`consensus` finds one among many false matches (random sampling, Fischler and Bolles 1981, scored
softly); `fit_homography` sharpens it by reweighted least squares (Geman and McClure's weights).
"""

from __future__ import annotations

import torch
from torch import Tensor

_SAMPLES = 256
_SCORED = 400
"""Best matches by which samples are judged."""
_STEPS = 5
_LEAST_DETERMINANT, _LARGEST_DETERMINANT = 0.04, 16.0
_LARGEST_SKEW = 2.0


def apply(homography: Tensor, points: Tensor) -> Tensor:
    """Map points (..., 2) by a homography (3, 3)."""
    mapped = points @ homography[:, :2].T + homography[:, 2]
    return mapped[..., :2] / mapped[..., 2:].clamp_min(1e-6)


def consensus(source: Tensor, target: Tensor, weight: Tensor, tolerance: float) -> Tensor:
    """Affine map that most of the matches agree with.

    Args:
        source: (n, 2) float64.
        target: (n, 2) float64.
        weight: (n,) float64, how far each match is to be trusted, 0 or more; not all 0.
        tolerance: distance that counts as agreement.

    Returns:
        (3, 3) float64, on the device of the points. The same for the same input.
    """
    if len(weight) > _SCORED:
        best = weight.topk(_SCORED).indices
        source, target, weight = source[best], target[best], weight[best]
    generator = torch.Generator(source.device).manual_seed(0)
    chosen = torch.multinomial(weight.clamp_min(1e-12).expand(_SAMPLES, -1), 3,
                               generator=generator)
    ones = torch.ones_like(source[:, :1])
    corners = torch.cat([source, ones], dim=1)[chosen]
    # Three points on a line give no map; a little of the identity keeps the matrix regular, and
    # the check of the shape throws the result away.
    regular = corners + 1e-6 * torch.eye(3, dtype=corners.dtype, device=corners.device)
    maps = torch.linalg.solve(regular, target[chosen]).transpose(1, 2)
    linear = maps[:, :, :2]
    determinant = torch.linalg.det(linear)
    lengths = linear.square().sum(1)
    skew = lengths.amax(1) / determinant.abs().clamp_min(1e-9)
    plausible = ((determinant > _LEAST_DETERMINANT) & (determinant < _LARGEST_DETERMINANT)
                 & (skew < _LARGEST_SKEW))
    off = source @ linear.transpose(1, 2) + maps[:, None, :, 2] - target
    agreed = weight / (1 + off.square().sum(2) / tolerance ** 2)
    score = torch.where(plausible, agreed.sum(1), -1.0)
    winner = maps[score.argmax()]
    return torch.cat([winner, winner.new_tensor([[0.0, 0.0, 1.0]])])


def least_squares_homography(source: Tensor, target: Tensor, weight: Tensor,
                             stiffness: float) -> Tensor:
    """Homography of least squared distance (to first order).

    Args:
        source: (n, 2) float64.
        target: (n, 2) float64.
        weight: (n,) float64.
        stiffness: resistance against perspective that few points speak for.

    Returns:
        (3, 3) float64, last entry 1.
    """
    return _System(source, target, stiffness).solve(weight)


def fit_homography(source: Tensor, target: Tensor, weight: Tensor, start: Tensor,
                   tolerance: float, stiffness: float = 1e-3) -> Tensor:
    """Least squares homography, false matches weighing less and less.

    Args:
        source: (n, 2) float64.
        target: (n, 2) float64.
        weight: (n,) float64.
        start: (3, 3) float64 to begin with.
        tolerance: distance at which a match weighs a quarter of one that fits.
        stiffness: resistance against perspective that few points speak for.

    Returns:
        (3, 3) float64, last entry 1.
    """
    system = _System(source, target, stiffness)
    found = start
    for step in range(_STEPS):
        off = (apply(found, source) - target).square().sum(1)
        reach = (tolerance * max(1.0, 3.0 - step)) ** 2
        found = system.solve(weight * (reach / (reach + off)).square())
    return found


class _System:
    """Linear equations for the eight entries of a homography, in coordinates of unit size."""

    def __init__(self, source: Tensor, target: Tensor, stiffness: float) -> None:
        middle, size = source.mean(0), source.std().clamp_min(1e-6)
        self._normalise = torch.eye(3, dtype=source.dtype, device=source.device)
        self._normalise[:2, :2] /= size
        self._normalise[:2, 2] = -middle / size
        self._back = torch.eye(3, dtype=source.dtype, device=source.device)
        self._back[:2, 2] = centre = target.mean(0)
        x, y = ((source - middle) / size).unbind(1)
        u, v = (target - centre).unbind(1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y])
        down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y])
        self._rows = torch.cat([across, down], dim=1)
        self._right = torch.cat([u, v])
        spread = (target - centre).square().sum(1).mean()
        self._resistance = torch.full((8,), 1e-9, dtype=source.dtype, device=source.device)
        self._resistance[6:] = stiffness * spread

    def solve(self, weight: Tensor) -> Tensor:
        """Solve them, each point with its weight."""
        weighted = self._rows * torch.cat([weight, weight])
        total = weight.sum().clamp_min(1e-12)
        normal = weighted @ self._rows.T / total
        moment = weighted @ self._right / total
        solved = torch.linalg.solve(normal + torch.diag(self._resistance), moment)
        local = torch.cat([solved, solved.new_ones(1)]).view(3, 3)
        found = self._back @ local @ self._normalise
        return found / found[2, 2]
