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

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.registration.robust import apply, least_squares_homography
from ivif_ros.registration.smoothing import blurred

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

    homography: Tensor
    rest: Tensor


def vote_nearby(likelihood: Tensor, points: Tensor, cell: float, deviations: Sequence[float],
                smoothness: float = 0.0) -> Vote:
    """Correct a map by likelihoods of small shifts.

    Args:
        likelihood: ((2 r + 1)^2, rows, columns) of shifts by whole cells, row by row.
        points: (rows, columns, 2) float64 middle of the cells in working pixels.
        cell: working pixels per step of a shift.
        deviations: standard deviation in steps around the prediction within which partners are
            looked for, for each iteration.
        smoothness: standard deviation in cells of the window over which displacements beyond the
            homography are averaged; 0 for a homography only.
    """
    count, rows, columns = likelihood.shape
    reach = (round(count ** 0.5) - 1) // 2
    steps = torch.arange(-reach, reach + 1, device=points.device, dtype=torch.float32)
    x, y = (part[:, None] for part in (steps.repeat(len(steps)),
                                       steps.repeat_interleave(len(steps))))
    likely = likelihood.flatten(1)
    flat = points.reshape(-1, 2)
    homography = torch.eye(3, dtype=torch.float64, device=points.device)
    rest = torch.zeros_like(flat)
    for deviation in deviations:
        predicted = (apply(homography, flat) + rest - flat) / cell
        mean, weight = _partners(likely, x, y, predicted, deviation, 1 / count)
        weight = weight * (predicted.abs().amax(1) < reach)
        target = flat + cell * mean
        homography = least_squares_homography(flat, target, weight, _STIFFNESS)
        if smoothness:
            left = (target - apply(homography, flat)) * weight[:, None]
            stack = torch.cat([left, weight[:, None]], dim=1).view(rows, columns, 3)
            means = blurred(stack.permute(2, 0, 1)[None].float(), smoothness)
            rest = (means[:, :2] / (means[:, 2:] + _CALM))[0].permute(1, 2, 0).reshape(-1, 2)
            rest = rest.double()
    return Vote(homography, rest.view(rows, columns, 2))


def vote_anywhere(logits: Tensor, shape: tuple[int, int] | torch.Size, cell: int, start: Tensor,
                  deviations: Sequence[float], reach: int = 3) -> Tensor:
    """Sharpen a homography by the similarity of all cells with all cells.

    Args:
        logits: (rows * columns, rows * columns) float32, RGB cell by thermal cell.
        shape: rows, columns.
        cell: working pixels per cell.
        start: (3, 3) float64 working pixel -> working pixel.
        deviations: as in `vote_nearby`, in cells.
        reach: cells around the prediction that are looked at.

    Returns:
        (3, 3) float64.
    """
    rows, columns = shape
    total = rows * columns
    total_share = logits.logsumexp(1)
    cells = torch.arange(total, device=logits.device)
    middle = (cell - 1) / 2
    points = torch.stack([cells % columns, cells // columns], dim=1).double() * cell + middle
    steps = torch.arange(-reach, reach + 1, device=logits.device)
    across, down = steps.repeat(len(steps))[:, None], steps.repeat_interleave(len(steps))[:, None]
    homography = start
    for deviation in deviations:
        predicted = (apply(homography, points) - middle) / cell
        near = predicted.float().round()
        x, y = near[:, 0] + across, near[:, 1] + down
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        index = (y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)).long()
        likely = (logits.gather(1, index.T).T - total_share).exp_().mul_(inside)
        mean, weight = _partners(likely, x, y, predicted, deviation, 1 / total)
        size = predicted.new_tensor([columns, rows])
        weight = weight * ((predicted > -0.5) & (predicted < size - 0.5)).all(1)
        homography = least_squares_homography(points, mean * cell + middle, weight, _STIFFNESS)
    return homography


def _partners(likely: Tensor, x: Tensor, y: Tensor, predicted: Tensor, deviation: float,
              chance: float) -> tuple[Tensor, Tensor]:
    """Mean place of the partners (n, 2) and its weight (n,), given where they are predicted.

    Args:
        likely: (k, n) float32 likelihood of k places.
        x: (k, n) or (k, 1) float32 the places.
        y: likewise.
        predicted: (n, 2).
        deviation: standard deviation around the prediction.
        chance: likelihood of a place for an outlier.
    """
    predicted = predicted.float()
    prior = ((x - predicted[:, 0]).square() + (y - predicted[:, 1]).square()).mul_(
        -0.5 / deviation ** 2).exp_()
    joint = likely * prior
    mass = joint.sum(0)
    total = mass.clamp_min(_LEAST)
    mean = torch.stack([(joint * x).sum(0), (joint * y).sum(0)], dim=1) / total[:, None]
    spread = (joint * (x.square() + y.square())).sum(0) / total - mean.square().sum(1)
    outlier = _OUTLIERS * chance * prior.sum(0)
    weight = mass / (mass + outlier + _LEAST) / (spread.clamp_min(0) + _NOISE)
    return mean.double(), weight.double()


def spread_over(rest: Tensor, shape: tuple[int, int] | torch.Size) -> Tensor:
    """Interpolate displacements (rows, columns, 2) of cells to more cells."""
    if rest.shape[:2] == torch.Size(shape):
        return rest
    larger = functional.interpolate(rest.permute(2, 0, 1)[None], size=tuple(shape),
                                    mode='bilinear', align_corners=False)
    return larger[0].permute(1, 2, 0)
