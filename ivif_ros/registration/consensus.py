# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of several estimates of one rig say the same.

Homographies are compared by where they put a grid of points, never by their entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivif_ros.registration.maps import (
    apply_homography,
    grid_nodes,
    sample_confidence,
    thermal_scale,
)
from ivif_ros.types import Array, Deformation

_COLUMNS, _ROWS = 9, 7
_LEAST_TRUST = 0.05
"""Weight of a place of which the images say nothing, so that a wild extrapolation still shows."""
_STEPS = 5


def distances(deformations: Sequence[Deformation], centre: Deformation) -> Array:
    """How far the homographies of several deformations lie from that of another one.

    Args:
        deformations: maps of one rig, for images of the sizes of `centre`.
        centre: what to compare with.

    Returns:
        (n,) float64 mean distance over the image in RGB pixels, places weighted by the confidence
        maps of the deformations.
    """
    points = _points(deformations)
    apart = np.linalg.norm(points - _points([centre]), axis=2)
    return np.asarray((apart * _trust(deformations)).sum(axis=1) / thermal_scale(centre))


def clusters(deformations: Sequence[Deformation], weights: Array, reach_px: float) -> list[Array]:
    """Group estimates that agree, the best supported group first.

    The member with most weight around it is the seed; the group is what lies within reach of the
    weighted mean of its members (mean shift with a flat kernel). What is left gives the next one.

    Args:
        deformations: estimates for images of the same sizes.
        weights: (n,) trust in each of them, > 0.
        reach_px: largest distance from the centre of a group in RGB pixels.

    Returns:
        Indices of the members of each group; every estimate is in exactly one.
    """
    if not deformations:
        return []
    points, trust = _points(deformations), _trust(deformations)
    scale = float(np.median([thermal_scale(deformation) for deformation in deformations]))
    reach = reach_px * scale
    both = np.sqrt(trust[:, None] * trust[None, :])
    both /= both.sum(axis=2, keepdims=True)
    apart = (np.linalg.norm(points[:, None] - points[None, :], axis=3) * both).sum(axis=2)
    left = np.arange(len(deformations))
    groups: list[Array] = []
    while len(left):
        near = np.maximum(1.0 - (apart[np.ix_(left, left)] / reach) ** 2, 0.0)
        members = left[near[int((near @ weights[left]).argmax())] > 0]
        for _ in range(_STEPS):
            share = weights[members, None, None] * trust[members][..., None]
            centre = (points[members] * share).sum(axis=0) / share.sum(axis=0)
            away = (np.linalg.norm(points[left] - centre, axis=2) * trust[left]).sum(axis=1)
            inside = left[away < reach]
            if len(inside) < len(members) or np.array_equal(inside, members):
                break
            members = inside
        groups.append(members)
        left = np.setdiff1d(left, members)
    groups.sort(key=lambda group: -float(weights[group].sum()))
    return groups


def _points(deformations: Sequence[Deformation]) -> Array:
    """(n, points, 2) thermal pixels of a grid of RGB pixels."""
    nodes = grid_nodes(deformations[0].rgb_size, _COLUMNS, _ROWS).reshape(-1, 2)
    return np.stack([apply_homography(found.homography, nodes) for found in deformations])


def _trust(deformations: Sequence[Deformation]) -> Array:
    """(n, points) weights of the places of each deformation; each row sums to 1."""
    nodes = grid_nodes(deformations[0].rgb_size, _COLUMNS, _ROWS).reshape(-1, 2)
    trust = np.stack([
        np.ones(len(nodes)) if found.confidence_map is None else
        np.maximum(sample_confidence(found.confidence_map, found.rgb_size, nodes), _LEAST_TRUST)
        for found in deformations])
    return np.asarray(trust / trust.sum(axis=1, keepdims=True))
