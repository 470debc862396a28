# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Homographies from uncertain correspondences, with nothing drawn by chance twice.

`consensus` finds one among many false matches (random sampling, Fischler and Bolles 1981, scored
softly); `fit_homography` sharpens it by reweighted least squares (Geman and McClure's weights).
"""

from __future__ import annotations

import numpy as np

from ivif_ros.types import Array

_SAMPLES = 512
_SCORED = 200
"""Best matches by which samples are judged."""
_STEPS = 5
_LEAST_DETERMINANT, _LARGEST_DETERMINANT = 0.04, 16.0
_LARGEST_SKEW = 2.0
_SYMMETRIC = [[0, 1, 2], [1, 3, 4], [2, 4, 5]]


def apply(homography: Array, points: Array) -> Array:
    """Map points (..., 2) by a homography (3, 3)."""
    mapped = points @ homography[:, :2].T + homography[:, 2]
    return np.asarray(mapped[..., :2] / np.maximum(mapped[..., 2:], 1e-6))


def consensus(source: Array, target: Array, weight: Array, tolerance: float) -> Array:
    """Affine map that most of the matches agree with.

    Args:
        source: (n, 2) float64.
        target: (n, 2) float64.
        weight: (n,) float64, how far each match is to be trusted, 0 or more; not all 0.
        tolerance: distance that counts as agreement.

    Returns:
        (3, 3) float64. The same for the same input.

    Raises:
        LinAlgError: the points are not finite.
    """
    best = np.argsort(-weight, kind='stable')[:_SCORED]
    source, target, weight = source[best], target[best], weight[best]
    share = np.cumsum(weight) / weight.sum()
    drawn = np.random.default_rng(0).random((_SAMPLES, 3))
    # A match that is drawn twice gives no map, as three points on a line give none: a little of
    # the identity keeps the matrix regular, and the check of the shape throws the result away.
    chosen = np.minimum(np.searchsorted(share, drawn), len(source) - 1)
    corners = np.concatenate([source, np.ones((len(source), 1))], axis=1)[chosen]
    maps = np.linalg.solve(corners + 1e-6 * np.eye(3), target[chosen]).transpose(0, 2, 1)
    linear = maps[:, :, :2]
    determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    skew = np.square(linear).sum(1).max(1) / np.maximum(np.abs(determinant), 1e-9)
    plausible = ((determinant > _LEAST_DETERMINANT) & (determinant < _LARGEST_DETERMINANT)
                 & (skew < _LARGEST_SKEW))
    mapped = np.concatenate([source, np.ones((len(source), 1))], axis=1) @ maps.transpose(0, 2, 1)
    off = np.square(mapped - target) @ (1.0, 1.0)
    agreed = weight / (1 + off / tolerance ** 2)
    winner = maps[np.where(plausible, agreed.sum(1), -1.0).argmax()]
    return np.concatenate([winner, [[0.0, 0.0, 1.0]]])


def fit_homography(source: Array, target: Array, weight: Array, start: Array,
                   tolerance: float, stiffness: float = 1e-3) -> Array:
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

    Raises:
        LinAlgError: no homography explains the points.
    """
    system = HomographySystem(source, stiffness)
    found = start
    for step in range(_STEPS):
        off = np.square(apply(found, source) - target).sum(1)
        reach = (tolerance * max(1.0, 3.0 - step)) ** 2
        found = system.solve(target, weight * np.square(reach / (reach + off)))
    return found


class HomographySystem:
    """Normal equations for the eight entries of a homography, in coordinates of unit size.

    The rows of the linear system for a point (x, y) with target (u, v) are
    `(x, y, 1, 0, 0, 0, -u x, -u y) h = u` and likewise for v, so that all that the normal equations
    need are sums of products of 1, x, y with 1, u, v and u^2 + v^2.
    """

    def __init__(self, source: Array, stiffness: float) -> None:
        """Take the points (n, 2) float64 that stay the same, and the resistance to perspective."""
        self._stiffness = stiffness
        middle, size = source.mean(0), max(float(source.std()), 1e-6)
        self._normalise = np.array([[1 / size, 0, -middle[0] / size],
                                    [0, 1 / size, -middle[1] / size], [0, 0, 1.0]])
        x, y = ((source - middle) / size).T
        self._products = np.stack([x * x, x * y, x, y * y, y, np.ones_like(x)])

    def solve(self, target: Array, weight: Array) -> Array:
        """Solve them.

        Args:
            target: (n, 2) float64.
            weight: (n,) float64.

        Returns:
            (3, 3) float64, last entry 1.

        Raises:
            LinAlgError: no homography explains the points.
        """
        centre = target.mean(0)
        u, v = (target - centre).T
        length = u * u + v * v
        sums = self._products @ np.stack([weight, weight * u, weight * v, weight * length], axis=1)
        sums /= max(float(sums[5, 0]), 1e-12)
        # [[xx, xy, x], [xy, yy, y], [x, y, 1]], times 1, u, v and u^2 + v^2.
        plain, of_u, of_v, of_length = sums.T[:, _SYMMETRIC]
        normal = np.zeros((8, 8))
        normal[:3, :3] = normal[3:6, 3:6] = plain
        normal[:3, 6:] = -of_u[:, :2]
        normal[3:6, 6:] = -of_v[:, :2]
        normal[6:, :6] = normal[:6, 6:].T
        normal[6:, 6:] = of_length[:2, :2]
        normal.flat[::9] += 1e-9
        normal.flat[54::9] += self._stiffness * float(length.mean())
        moment = np.concatenate([of_u[2], of_v[2], -of_length[2, :2]])
        local = np.append(np.linalg.solve(normal, moment), 1.0).reshape(3, 3)
        local[:2] += centre[:, None] * local[2]
        found = local @ self._normalise
        return np.asarray(found / found[2, 2])
