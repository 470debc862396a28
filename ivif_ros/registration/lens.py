# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lens models in normalised image coordinates: bend rays as the lens does, and straighten them.

The models are those of sensor_msgs/CameraInfo: `plumb_bob` and `rational_polynomial`
(Brown-Conrady with the extensions of OpenCV's calib3d documentation) and `equidistant` (Kannala
and Brandt, 2006).
"""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.types import Array, CameraModel

_STEEPEST = np.tan(np.radians(85.0))
_ITERATIONS = 20


def distort(camera: CameraModel, rays: Array) -> Array:
    """Bend ideal rays.

    `equidistant`: `theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)`.

    Args:
        camera: lens; its matrix is not used.
        rays: (n, 2) ideal x / z, y / z.

    Returns:
        (n, 2) float64 distorted normalised coordinates.
    """
    rays = np.asarray(rays, np.float64)
    if camera.distortion_model == 'equidistant':
        radius = np.linalg.norm(rays, axis=1, keepdims=True)
        bent = _equidistant(camera, np.arctan(radius))
        return np.asarray(rays * np.where(radius > 1e-9, bent / np.maximum(radius, 1e-9), 1.0))
    if not len(camera.distortion) or not len(rays):
        return np.array(rays)
    space = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)[:, None]
    bent, _ = cv2.projectPoints(space, np.zeros(3), np.zeros(3), np.eye(3), camera.distortion)
    return np.asarray(bent, np.float64).reshape(-1, 2)


def undistort(camera: CameraModel, bent: Array) -> Array:
    """Straighten rays: the inverse of `distort` by Newton's method.

    Args:
        camera: lens.
        bent: (n, 2) distorted normalised coordinates.

    Returns:
        (n, 2) float64 ideal x / z, y / z; NaN where the lens model has no inverse.
    """
    bent = np.asarray(bent, np.float64)
    if camera.distortion_model == 'equidistant':
        return _undistort_equidistant(camera, bent)
    rays = np.array(bent)
    if not len(camera.distortion):
        return np.asarray(rays)
    step = 1e-6
    dx, dy = np.array([step, 0.0]), np.array([0.0, step])
    for _ in range(_ITERATIONS):
        error = distort(camera, rays) - bent
        along_x = (distort(camera, rays + dx) - distort(camera, rays - dx)) / (2 * step)
        along_y = (distort(camera, rays + dy) - distort(camera, rays - dy)) / (2 * step)
        determinant = along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]
        # Past the fold of the polynomial the determinant changes its sign; a small positive value
        # keeps the iteration on the right side and the check below finds what did not converge.
        determinant = np.maximum(determinant, 0.05)
        change = np.stack([
            along_y[:, 1] * error[:, 0] - along_y[:, 0] * error[:, 1],
            along_x[:, 0] * error[:, 1] - along_x[:, 1] * error[:, 0]], axis=1)
        rays -= np.clip(change / determinant[:, None], -0.3, 0.3)
    wrong = np.linalg.norm(distort(camera, rays) - bent, axis=1) > 1e-4
    # Behind a fold of the polynomial there are solutions as well, but no lens.
    reached = np.zeros(len(rays))
    for share in (0.25, 0.5, 0.75, 1.0):
        outward = (distort(camera, share * rays) * bent).sum(axis=1)
        wrong |= outward < reached
        reached = outward
    rays[wrong] = np.nan
    return np.asarray(rays)


def _undistort_equidistant(camera: CameraModel, bent: Array) -> Array:
    k = _coefficients(camera)
    radius = np.linalg.norm(bent, axis=1)
    theta = radius.copy()
    for _ in range(_ITERATIONS):
        square = theta * theta
        slope = 1 + square * (
            3 * k[0] + square * (5 * k[1] + square * (7 * k[2] + square * 9 * k[3])))
        error = _equidistant(camera, theta) - radius
        theta -= np.clip(error / np.maximum(slope, 0.05), -0.3, 0.3)
    # Rays at and beyond 90 degrees never meet a plane in front of the camera.
    ideal = np.where(theta < np.arctan(_STEEPEST), np.tan(np.minimum(theta, 1.55)), _STEEPEST)
    rays = bent * np.where(radius > 1e-9, ideal / np.maximum(radius, 1e-9), 1.0)[:, None]
    rays[np.abs(_equidistant(camera, theta) - radius) > 1e-4] = np.nan
    return np.asarray(rays)


def _equidistant(camera: CameraModel, theta: Array) -> Array:
    """Distance from the centre, in focal lengths, at which a ray of an angle (radians) is seen."""
    k, square = _coefficients(camera), theta * theta
    return np.asarray(
        theta * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3])))))


def _coefficients(camera: CameraModel) -> Array:
    """(4,) coefficients of an equidistant lens."""
    return camera.distortion if len(camera.distortion) else np.zeros(4)


def pixels_to_rays(camera: CameraModel, pixels: Array) -> Array:
    """Ideal rays x / z, y / z of pixels, (n, 2); NaN where the lens model has no inverse."""
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    bent = homogeneous @ np.linalg.inv(camera.matrix).T
    return undistort(camera, bent[:, :2])


def rays_to_pixels(camera: CameraModel, rays: Array) -> Array:
    """Pixels of ideal rays; continued straight outside the field of view.

    Polynomials fold back outside the image that they were fitted to, so that a ray from far outside
    would land in its middle. Beyond the widest ray of the image the last scale is kept instead.

    Args:
        camera: matrix and lens.
        rays: (n, 2) ideal x / z, y / z.

    Returns:
        (n, 2) float64 pixels.

    Raises:
        CalibrationError: the lens model has no inverse anywhere on the border of its own image.
    """
    limit = 1.02 * _widest_ray(camera)
    radius = np.linalg.norm(rays, axis=1, keepdims=True)
    beyond = np.maximum(radius / limit, 1.0)
    bent = distort(camera, rays / beyond) * beyond
    homogeneous = np.concatenate([bent, np.ones((len(bent), 1))], axis=1)
    return np.asarray((homogeneous @ camera.matrix.T)[:, :2])


def _widest_ray(camera: CameraModel) -> float:
    x = np.linspace(-0.5, camera.width - 0.5, 9)
    y = np.linspace(-0.5, camera.height - 0.5, 9)
    border = np.concatenate([
        np.stack([x, np.full(9, y[0])], 1), np.stack([x, np.full(9, y[-1])], 1),
        np.stack([np.full(9, x[0]), y], 1), np.stack([np.full(9, x[-1]), y], 1)])
    radius = np.linalg.norm(pixels_to_rays(camera, border), axis=1)
    if not np.isfinite(radius).any():
        raise CalibrationError(
            f'{camera.distortion_model} coefficients {camera.distortion.tolist()} cannot be '
            'inverted inside the image, expected those of this camera: calibrate it again')
    return float(np.nanmax(radius))
