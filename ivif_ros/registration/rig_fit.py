# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One deformation of the rig out of several estimates: homography and what it steadily leaves.

Scenes differ in their parallax, so the estimates of one rig differ as well. What they share is the
rig: a homography, and a smooth displacement (lenses) where several of them see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.registration.maps import (
    apply_homography,
    grid_nodes,
    points_to_thermal,
    sample_confidence,
    thermal_scale,
)
from ivif_ros.registration.trust import REFERENCE_WIDTH, confidence_of, error_of
from ivif_ros.types import Array, Deformation, DeformationSource

_COLUMNS, _ROWS = 17, 13
_STEPS = 8
_ERROR_FLOOR = 0.001
"""Smallest error of an estimate that is believed, as a share of the RGB width."""
_LEAST_TRUST = 0.02
_SHARED_BIAS = 0.5
"""Share of the error of one estimate that all have in common: it does not average out."""

# Prior of the steady displacement, as shares of the thermal width: how large it is, how much it
# bends from node to node, and what the mean of several pairs is believed to at best.
_GRID_SIZE = 0.01
_GRID_BEND = 0.001
_GRID_NOISE = 0.0005
_GRID_PAIRS = 4.0
"""Estimates that must see a place before anything is said of it beyond the homography."""
_GRID_LEAST_PX = 0.25
"""Largest displacement in RGB pixels below which the homography alone is enough."""


@dataclass(frozen=True, eq=False)
class RigFit:
    """A deformation of the rig and how well it is known.

    Attributes:
        deformation: the deformation with source ESTIMATED. Its `residual_px` is the error that a
            single pair has to expect, parallax included; its confidence says the same.
        corner_error_px: expected error of the rig itself at the corners of the RGB image, in RGB
            pixels, from the scatter of the estimates (jackknife) or, for a single one, from what
            it says of itself.
    """

    deformation: Deformation
    corner_error_px: float


def fit_rig(deformations: Sequence[Deformation]) -> RigFit:
    """Fit one rig to several estimates, each place weighted by what is known there.

    Args:
        deformations: estimates of one rig for images of the same sizes; some may be wrong in
            places, most of them must be right.

    Returns:
        The fit.

    Raises:
        CalibrationError: none given, or they do not determine a homography.
    """
    if not deformations:
        raise CalibrationError('no estimate of the rig, expected at least one')
    first = deformations[0]
    nodes = grid_nodes(first.rgb_size, _COLUMNS, _ROWS).reshape(-1, 2)
    seen = np.stack([apply_homography(found.homography, nodes) for found in deformations])
    weights = np.stack([_weights(found, nodes) for found in deformations])
    homography, robust = _fit_homography(nodes, seen, weights)
    whole = np.stack([points_to_thermal(found, nodes) for found in deformations])
    grid = _steady_grid(whole - apply_homography(homography, nodes), weights * robust,
                        first.thermal_size[0])
    result = Deformation(first.rgb_size, first.thermal_size, homography, grid)
    scale = thermal_scale(result)
    if grid is not None and np.linalg.norm(grid, axis=2).max() < _GRID_LEAST_PX * scale:
        result = Deformation(first.rgb_size, first.thermal_size, homography)
    own = _median_error(deformations)
    uncertain, corner_error = (
        _jackknife(nodes, seen, weights) if len(deformations) > 1 else
        (np.full(len(nodes), own * scale), own * scale))
    shared = _SHARED_BIAS * own
    apart = np.linalg.norm(whole - points_to_thermal(result, nodes), axis=2)
    scatter = _weighted_rms(apart, weights * robust) / scale
    local = np.sqrt(scatter ** 2 + (uncertain / scale) ** 2 + shared ** 2)
    expected = float(local.mean())
    to_reference = REFERENCE_WIDTH / first.rgb_size[0]
    return RigFit(
        Deformation(
            first.rgb_size, first.thermal_size, homography, result.grid,
            float(confidence_of(expected * to_reference)), expected, DeformationSource.ESTIMATED,
            confidence_of(local * to_reference).reshape(_ROWS, _COLUMNS)),
        float(np.hypot(corner_error / scale, shared)))


def _weights(found: Deformation, nodes: Array) -> Array:
    """(points,) weight of an estimate in each place: inverse variance of its expected error."""
    width = found.rgb_size[0]
    error = _expected_error(found) / width
    trust = (np.ones(len(nodes)) if found.confidence_map is None else
             np.maximum(sample_confidence(found.confidence_map, found.rgb_size, nodes),
                        _LEAST_TRUST))
    return np.asarray(trust / (error ** 2 + _ERROR_FLOOR ** 2)) * _ERROR_FLOOR ** 2


def _expected_error(found: Deformation) -> float:
    """Expected error of an estimate in RGB pixels, from its confidence."""
    return float(error_of(found.confidence)) * found.rgb_size[0] / REFERENCE_WIDTH


def _median_error(deformations: Sequence[Deformation]) -> float:
    return float(np.median([_expected_error(found) for found in deformations]))


def _fit_homography(nodes: Array, seen: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted DLT, repeated with Cauchy weights of what is left.

    Args:
        nodes: (points, 2) RGB pixels.
        seen: (n, points, 2) thermal pixels of each estimate.
        weights: (n, points).

    Returns:
        (3, 3) homography with a last entry of 1, and the (n, points) weights of the last step.
    """
    to_unit = _normalisation(nodes)
    from_unit = np.linalg.inv(_normalisation(seen.reshape(-1, 2)))
    source = apply_homography(to_unit, nodes)
    target = apply_homography(np.linalg.inv(from_unit), seen)
    robust = np.ones(weights.shape)
    homography = np.eye(3)
    denominator = np.ones(len(nodes))
    for _ in range(_STEPS):
        homography = _dlt(source, target, weights * robust / denominator ** 2)
        denominator = source @ homography[2, :2] + homography[2, 2]
        if denominator.min() <= 0.05 * denominator.max():
            raise CalibrationError('the estimates of the rig determine no homography')
        apart = np.linalg.norm(target - apply_homography(homography, source), axis=2)
        # Scale of the residuals from their weighted median (1.18 for two normal dimensions).
        scale = max(_weighted_median(apart, weights) / 1.18, 1e-3)
        robust = 1.0 / (1.0 + (apart / (2.4 * scale)) ** 2)
    fitted = from_unit @ homography @ to_unit
    return np.asarray(fitted / fitted[2, 2]), robust


def _dlt(source: Array, target: Array, weights: Array) -> Array:
    """Homography of least weighted algebraic error (Hartley and Zisserman, 2004, section 4.1).

    All estimates share their source points, so that sums over them are taken before anything else.
    """
    total = weights.sum(axis=0)
    first = (weights[..., None] * target).sum(axis=0)
    second = (weights[..., None] * target ** 2).sum(axis=0)
    points = np.concatenate([source, np.ones((len(source), 1))], axis=1)
    outer = points[:, :, None] * points[:, None, :]
    normal = np.zeros((9, 9))
    moment = np.einsum('p,pij->ij', total, outer)
    normal[:3, :3] = normal[3:6, 3:6] = moment
    normal[6:, 6:] = np.einsum('p,pij->ij', second.sum(axis=1), outer)
    for axis in range(2):
        part = -np.einsum('p,pij->ij', first[:, axis], outer)
        normal[3 * axis:3 * axis + 3, 6:] = part
        normal[6:, 3 * axis:3 * axis + 3] = part
    _, vectors = np.linalg.eigh(normal)
    homography = vectors[:, 0].reshape(3, 3)
    return np.asarray(homography * np.sign(homography[2, 2] or 1.0))


def _normalisation(points: Array) -> Array:
    """Similarity that centres points and scales them to unit size."""
    centre = np.median(points, axis=0)
    scale = 1.0 / max(float(np.median(np.linalg.norm(points - centre, axis=1))), 1e-9)
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1.0]])


def _jackknife(nodes: Array, seen: Array, weights: Array) -> tuple[Array, float]:
    """Uncertainty of the fit by leaving out one estimate at a time, in thermal pixels.

    Returns:
        (points,) standard error at the nodes, and its root mean square over the four corners.
    """
    count = len(seen)
    parts = []
    for left_out in range(count):
        kept = np.arange(count) != left_out
        homography, _ = _fit_homography(nodes, seen[kept], weights[kept])
        parts.append(apply_homography(homography, nodes))
    landed = np.stack(parts)
    variance = (count - 1) / count * ((landed - landed.mean(axis=0)) ** 2).sum(axis=(0, 2))
    outer = [0, _COLUMNS - 1, len(nodes) - 1, len(nodes) - _COLUMNS]
    return np.sqrt(variance), float(np.sqrt(variance[outer].mean()))


def _steady_grid(left: Array, weights: Array, thermal_width: int) -> Array | None:
    """Smooth displacement that the estimates share, towards zero where they do not.

    Maximum a posteriori: means of the estimates with their standard errors, a prior of no
    displacement, and a prior of no bend.

    Args:
        left: (n, points, 2) what the homography leaves of each estimate, thermal pixels.
        weights: (n, points).
        thermal_width: width of the thermal image in pixels.

    Returns:
        (rows, columns, 2) float64, or None where no place is seen well enough.
    """
    if not left.any():
        return None
    total = np.maximum(weights.sum(axis=0), 1e-12)
    mean = (weights[..., None] * left).sum(axis=0) / total[:, None]
    count = total ** 2 / np.maximum((weights ** 2).sum(axis=0), 1e-24)
    variance = ((weights ** 2)[..., None] * (left - mean) ** 2).sum(axis=(0, 2)) / total ** 2
    supported = count >= _GRID_PAIRS
    if not supported.any():
        return None
    noise = _GRID_NOISE * thermal_width
    precision = np.where(supported, 1.0 / (variance + noise ** 2), 0.0)
    bend = _bending() / (_GRID_BEND * thermal_width) ** 2
    prior = np.eye(len(mean)) / (_GRID_SIZE * thermal_width) ** 2
    solved = np.linalg.solve(np.diag(precision) + prior + bend, precision[:, None] * mean)
    return np.asarray(solved.reshape(_ROWS, _COLUMNS, 2))


def _bending() -> Array:
    """(points, points) sum of the squared second differences along rows and columns."""
    def second(count: int) -> Array:
        rows = np.diff(np.eye(count), 2, axis=0)
        return np.asarray(rows.T @ rows)
    return np.asarray(np.kron(np.eye(_ROWS), second(_COLUMNS))
                      + np.kron(second(_ROWS), np.eye(_COLUMNS)))


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, axis=None)
    total = np.cumsum(weights.ravel()[order])
    return float(values.ravel()[order][int(np.searchsorted(total, 0.5 * total[-1]))])


def _weighted_rms(values: Array, weights: Array) -> Array:
    """Root mean square over the estimates, (points,)."""
    return np.asarray(np.sqrt((weights * values ** 2).sum(axis=0) / np.maximum(
        weights.sum(axis=0), 1e-12)))
