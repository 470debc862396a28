# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Global and smooth corrections that all cells vote for.

Each cell has a likelihood over a few shifts, mostly vague or with several peaks. Expectation
maximisation finds the model that explains all of them: given the model, each cell says where near
the prediction its partner is most likely, and how sure that is (or that it is none of these, which
takes outliers out); given that, the model is a weighted least squares fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ivif_ros.registration.matching import Similarity
from ivif_ros.registration.robust import HomographySystem, apply
from ivif_ros.registration.smoothing import blurred
from ivif_ros.types import Array

_OUTLIERS = 0.3
"""Prior share of cells whose partner is elsewhere."""
_NOISE = 0.2
"""Variance in cells of a partner, however sharp its likelihood is."""
_CALM = 0.05
"""Weight of no displacement beyond the homography."""
_STIFFNESS = 1e-2
_LEAST = 1e-20


class Vote(NamedTuple):
    """A correction of a map.

    Attributes:
        homography: (3, 3) float64 working pixel -> working pixel.
        rest: (rows, columns, 2) float64 what is added, in working pixels, in the middle of each
            cell; zeros where only a homography was asked for.
    """

    homography: Array
    rest: Array


def vote_nearby(likelihood: Array, points: Array, cell: float, deviations: Sequence[float],
                smoothness: float = 0.0) -> Vote:
    """Correct a map by likelihoods of small shifts.

    Args:
        likelihood: (2 r + 1, 2 r + 1, rows, columns) float32 of shifts by whole cells, down first.
        points: (rows, columns, 2) float64 middle of the cells in working pixels.
        cell: working pixels per step of a shift.
        deviations: standard deviation in steps around the prediction within which partners are
            looked for, for each iteration.
        smoothness: standard deviation in cells of the window over which displacements beyond the
            homography are averaged; 0 for a homography only.

    Raises:
        LinAlgError: the cells agree on nothing.
    """
    side, _, rows, columns = likelihood.shape
    likely = likelihood.reshape(side, side, -1)
    steps = np.arange(side, dtype=np.float32)[:, None] - side // 2
    flat = points.reshape(-1, 2)
    system = HomographySystem(flat, _STIFFNESS)
    homography = np.eye(3)
    rest = np.zeros_like(flat)
    for deviation in deviations:
        predicted = (apply(homography, flat) + rest - flat) / cell
        mean, weight = _partners(likely, steps, steps, predicted, deviation, 1 / side ** 2)
        weight = weight * (np.abs(predicted).max(1) < side // 2)
        target = flat + cell * mean
        homography = system.solve(target, weight)
        if smoothness:
            left = (target - apply(homography, flat)) * weight[:, None]
            stack = np.concatenate([left, weight[:, None]], axis=1).reshape(rows, columns, 3)
            means = blurred(stack, smoothness)
            rest = (means[..., :2] / (means[..., 2:] + _CALM)).reshape(-1, 2)
    return Vote(homography, rest.reshape(rows, columns, 2))


def vote_anywhere(similarity: Similarity, start: Array, deviations: Sequence[float],
                  reach: int = 3) -> Array:
    """Sharpen a homography by the similarity of all cells with all cells.

    Args:
        similarity: of the cells.
        start: (3, 3) float64 working pixel -> working pixel.
        deviations: as in `vote_nearby`, in cells.
        reach: cells around the prediction that are looked at.

    Returns:
        (3, 3) float64.

    Raises:
        LinAlgError: the cells agree on nothing.
    """
    rows, columns = similarity.shape
    points = similarity.points
    steps = np.arange(-reach, reach + 1)[:, None]
    system = HomographySystem(points, _STIFFNESS)
    homography = start
    for deviation in deviations:
        predicted = similarity.cell_of(apply(homography, points))
        near = np.rint(predicted).astype(np.intp)
        x, y = near[:, 0] + steps, near[:, 1] + steps
        inside = ((y >= 0) & (y < rows))[:, None] & ((x >= 0) & (x < columns))
        index = (y.clip(0, rows - 1) * columns)[:, None] + x.clip(0, columns - 1)
        likely = similarity.of_thermal(index) * inside
        mean, weight = _partners(likely, x.astype(np.float32), y.astype(np.float32), predicted,
                                 deviation, 1 / (rows * columns))
        weight = weight * ((predicted > -0.5) & (predicted < (columns - 0.5, rows - 0.5))).all(1)
        homography = system.solve(similarity.pixel_of(mean), weight)
    return homography


def _partners(likely: Array, x: Array, y: Array, predicted: Array, deviation: float,
              chance: float) -> tuple[Array, Array]:
    """Mean place of the partners (n, 2) and its weight (n,), given where they are predicted.

    Args:
        likely: (j, k, n) float32 likelihood of the places (x[k], y[j]).
        x: (k, n) or (k, 1) float32.
        y: (j, n) or (j, 1) float32.
        predicted: (n, 2).
        deviation: standard deviation around the prediction.
        chance: likelihood of a place for an outlier.
    """
    centre = predicted.astype(np.float32)
    scale = np.float32(-0.5 / deviation ** 2)
    # The Gaussian around the prediction is a product of one per axis.
    across = np.exp(scale * np.square(x - centre[:, 0]))
    down = np.exp(scale * np.square(y - centre[:, 1]))
    joint = likely * down[:, None]
    joint *= across
    of_x, of_y = joint.sum(0), joint.sum(1)
    mass = of_x.sum(0)
    total = np.maximum(mass, _LEAST)
    mean = np.stack([(of_x * x).sum(0), (of_y * y).sum(0)], axis=1) / total[:, None]
    spread = ((of_x * x * x).sum(0) + (of_y * y * y).sum(0)) / total - np.square(mean).sum(1)
    outlier = np.float32(_OUTLIERS * chance) * across.sum(0) * down.sum(0)
    weight = mass / (mass + outlier + _LEAST) / (np.maximum(spread, 0) + _NOISE)
    return mean.astype(np.float64), weight.astype(np.float64)
