# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms between cameras: checks and quaternions."""

from __future__ import annotations

import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.types import Array


def check_rigid(matrix: object, name: str) -> Array:
    """Return a (4, 4) float64 copy of a rigid transform.

    Args:
        matrix: anything NumPy can make an array of.
        name: what to call it in the message.

    Raises:
        CalibrationError: wrong shape, not finite, a rotation that is none, wrong last row.
    """
    try:
        checked = np.array(matrix, np.float64)
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f'{name} is not a matrix of numbers, expected 4x4: {error}') from error
    if checked.shape != (4, 4) or not np.isfinite(checked).all():
        raise CalibrationError(
            f'{name} has shape {checked.shape} or is not finite, expected 4x4 numbers')
    if not np.allclose(checked[3], [0, 0, 0, 1], atol=1e-9):
        raise CalibrationError(f'{name} has last row {checked[3].tolist()}, expected [0, 0, 0, 1]')
    rotation = checked[:3, :3]
    if (not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
            or np.linalg.det(rotation) < 0):
        raise CalibrationError(
            f'{name} has no rotation in its upper left 3x3 (R R^T is not 1, or it mirrors): '
            'rotation and translation may be swapped, or the matrix scaled')
    return checked


def matrix_from_quaternion(xyz: Array, quaternion: Array) -> Array:
    """Rigid transform of a translation and a unit quaternion (x, y, z, w).

    `R = 1 + 2 w [v]x + 2 [v]x [v]x` with `v = (x, y, z)`.

    Args:
        xyz: (3,) translation in metres.
        quaternion: (4,) x, y, z, w; normalised here.

    Returns:
        (4, 4) float64.

    Raises:
        CalibrationError: a quaternion of length zero or far from one.
    """
    length = float(np.linalg.norm(quaternion))
    if not abs(length - 1.0) < 1e-2:
        raise CalibrationError(
            f'quaternion has length {length:g}, expected a unit quaternion x, y, z, w')
    x, y, z, w = np.asarray(quaternion, np.float64) / length
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += 2 * w * cross + 2 * cross @ cross
    matrix[:3, 3] = xyz
    return matrix


def quaternion_from_matrix(matrix: Array) -> Array:
    """Unit quaternion (x, y, z, w), w >= 0, of the rotation in a (3, 3) or (4, 4) matrix.

    The quaternion is the eigenvector of the largest eigenvalue of Bar-Itzhack's matrix (2000),
    which is stable for every angle.
    """
    r = np.asarray(matrix, np.float64)[:3, :3]
    k = np.array([
        [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
        [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
        [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
        [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]]]) / 3
    _, vectors = np.linalg.eigh(k)
    quaternion = vectors[:, -1]
    return np.asarray(-quaternion if quaternion[3] < 0 else quaternion)
