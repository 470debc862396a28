# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From a calibrated rig to a deformation: both cameras look at one plane."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.registration.calibration import Calibration
from ivif_ros.registration.lens import pixels_to_rays, rays_to_pixels
from ivif_ros.registration.maps import (
    NOWHERE,
    apply_homography,
    grid_nodes,
    points_to_thermal,
    thermal_scale,
)
from ivif_ros.types import Array, CameraModel, Deformation, DeformationSource, Size, same_aspect

_GRIDS = ((17, 13), (33, 25), (65, 49), (129, 97))
_LARGEST_ERROR_PX = 0.05
_KNOWN_EXTRINSICS = 0.8
_UNKNOWN_EXTRINSICS = 0.3


def calibrated_deformation(
        calibration: Calibration, rgb_size: Size, thermal_size: Size,
        distance_m: float) -> Deformation:
    """Map RGB to thermal pixels for everything on a plane in front of the RGB camera.

    Each RGB pixel is undistorted to a ray, the ray is cut with the plane `z = distance_m` of the
    RGB camera, the point is moved into the thermal camera (`X_thermal = T X_rgb`), projected and
    distorted. What a homography cannot express (the lenses) goes into the displacement grid,
    which is made as fine as 0.05 px need.

    Args:
        calibration: both cameras; without `thermal_from_rgb` they are taken to look the same way
            from the same place, so that only the fields of view are aligned.
        rgb_size: width, height of the RGB images; may differ from the calibration by resizing.
        thermal_size: width, height of the thermal images; likewise.
        distance_m: distance of the plane in metres, > 0.

    Returns:
        The deformation with source CALIBRATION. `residual_px` is the mean parallax (RGB pixels) of
        objects at twice the distance, NaN without extrinsics.

    Raises:
        CalibrationError: a camera is missing or is for images of another aspect ratio, the distance
            is not positive, a lens model cannot be inverted, or the thermal camera does not look at
            the plane.
    """
    if calibration.rgb is None or calibration.thermal is None:
        missing = 'rgb' if calibration.rgb is None else 'thermal'
        raise CalibrationError(
            f"intrinsics of the {missing} camera are missing, expected key '{missing}' in the "
            'calibration file or a camera_info message')
    if not (np.isfinite(distance_m) and distance_m > 0):
        raise CalibrationError(f'working distance is {distance_m} m, expected > 0')
    rgb = _fitted(calibration.rgb, 'RGB', rgb_size)
    thermal = _fitted(calibration.thermal, 'thermal', thermal_size)
    transform = (np.eye(4) if calibration.thermal_from_rgb is None
                 else np.asarray(calibration.thermal_from_rgb))
    homography = _fit_homography(rgb, thermal, transform, distance_m)
    grid = None
    for columns, rows in _GRIDS:
        if _is_ideal(rgb, thermal):
            break
        nodes = grid_nodes(rgb_size, columns, rows)
        grid = _residual(rgb, thermal, transform, distance_m, homography, nodes)
        if _representation_error(
                rgb, thermal, transform, distance_m, homography, grid) < _LARGEST_ERROR_PX:
            break
    known = calibration.thermal_from_rgb is not None
    deformation = Deformation(
        rgb_size, thermal_size, homography, grid,
        _KNOWN_EXTRINSICS if known else _UNKNOWN_EXTRINSICS, source=DeformationSource.CALIBRATION)
    if not known:
        return deformation
    nodes = grid_nodes(rgb_size, 9, 7).reshape(-1, 2)
    near = points_to_thermal(deformation, nodes)
    far = project(rgb, thermal, transform, 2.0 * distance_m, nodes)
    seen = _inside(near, thermal_size) & np.isfinite(far).all(axis=1)
    parallax = (float(np.linalg.norm(far - near, axis=1)[seen].mean()) / thermal_scale(deformation)
                if seen.any() else float('nan'))
    return Deformation(rgb_size, thermal_size, homography, grid, deformation.confidence, parallax,
                       DeformationSource.CALIBRATION)


def _fitted(camera: CameraModel, name: str, size: Size) -> CameraModel:
    """The camera for images of a size; another aspect ratio is another camera."""
    if not same_aspect(camera.size, size):
        raise CalibrationError(
            f'calibration has the {name} camera for images of {camera.width}x{camera.height}, '
            f'these are {size[0]}x{size[1]}: another aspect ratio is another camera or another '
            'crop; give the intrinsics of this camera mode')
    return camera.scaled_to(size)


def project(rgb: CameraModel, thermal: CameraModel, transform: Array, distance_m: float,
            pixels: Array) -> Array:
    """Exact thermal pixels of RGB pixels whose objects lie on the plane `z = distance_m`.

    Args:
        rgb: colour camera in the size of its images.
        thermal: thermal camera in the size of its images.
        transform: (4, 4) with `X_thermal = transform @ X_rgb`, metres.
        distance_m: distance of the plane in metres.
        pixels: (n, 2) RGB pixels.

    Returns:
        (n, 2) float64; NaN where the lens model of the RGB camera has no inverse or the point lies
        behind the thermal camera.
    """
    rays = pixels_to_rays(rgb, pixels)
    points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * distance_m
    points = points @ transform[:3, :3].T + transform[:3, 3]
    depth = points[:, 2:]
    # Rays that graze the thermal camera's own plane land at infinity; nothing is seen there.
    front = depth > 1e-3 * np.linalg.norm(points, axis=1, keepdims=True)
    ideal = np.where(front, points[:, :2] / np.where(front, depth, 1.0), np.nan)
    result = np.full(pixels.shape, np.nan)
    good = np.isfinite(ideal).all(axis=1)
    if good.any():
        result[good] = rays_to_pixels(thermal, ideal[good])
    return result


def _is_ideal(rgb: CameraModel, thermal: CameraModel) -> bool:
    """Say whether a homography alone is exact: no lens bends a ray."""
    return all(camera.distortion_model != 'equidistant' and not camera.distortion.any()
               for camera in (rgb, thermal))


def _fit_homography(rgb: CameraModel, thermal: CameraModel, transform: Array,
                    distance_m: float) -> Array:
    """Best homography where the thermal camera sees something, by the normalised DLT."""
    if _is_ideal(rgb, thermal):
        # The plane n^T X = d with n = (0, 0, 1) induces K_t (R + t n^T / d) K_r^-1 (Hartley and
        # Zisserman, 2004, section 13.1).
        plane = transform[:3, :3].copy()
        plane[:, 2] += transform[:3, 3] / distance_m
        homography = thermal.matrix @ plane @ np.linalg.inv(rgb.matrix)
        homography = homography / np.abs(homography).max()
        landed = apply_homography(homography, grid_nodes(rgb.size, 33, 25).reshape(-1, 2))
        landed[(landed <= NOWHERE).any(axis=1)] = np.nan
    else:
        nodes = grid_nodes(rgb.size, 33, 25).reshape(-1, 2)
        landed = project(rgb, thermal, transform, distance_m, nodes)
    with np.errstate(invalid='ignore'):
        seen = _inside(landed, thermal.size)
    if seen.mean() < 0.01:
        raise CalibrationError(
            f'the thermal camera does not see what the RGB camera sees at {distance_m:g} m, '
            'expected overlapping views: thermal_from_rgb may be inverted, in millimetres or of '
            'other frames')
    if _is_ideal(rgb, thermal):
        return np.asarray(homography)
    near = seen if seen.sum() >= 16 else np.isfinite(landed).all(axis=1)
    fitted, _ = cv2.findHomography(nodes[near], landed[near], 0)
    if fitted is None or not np.isfinite(fitted).all():
        raise CalibrationError('no homography fits the calibrated rig: check matrices and lenses')
    return np.asarray(fitted, np.float64)


def _residual(rgb: CameraModel, thermal: CameraModel, transform: Array, distance_m: float,
              homography: Array, nodes: Array) -> Array:
    """What the homography misses at the nodes, (rows, columns, 2); 0 where nothing is seen."""
    flat = nodes.reshape(-1, 2)
    base = apply_homography(homography, flat)
    missed = project(rgb, thermal, transform, distance_m, flat) - base
    missed[~np.isfinite(missed).all(axis=1) | (base <= NOWHERE).any(axis=1)] = 0.0
    return np.asarray(missed.reshape(nodes.shape))


def _representation_error(rgb: CameraModel, thermal: CameraModel, transform: Array,
                          distance_m: float, homography: Array, grid: Array) -> float:
    """Largest error of the bilinear grid between its nodes, in thermal pixels, where it is seen."""
    rows, columns = grid.shape[:2]
    nodes = grid_nodes(rgb.size, columns, rows)
    middle = (nodes[:-1, :-1] + nodes[1:, 1:]).reshape(-1, 2) / 2
    exact = project(rgb, thermal, transform, distance_m, middle)
    mapped = points_to_thermal(Deformation(rgb.size, thermal.size, homography, grid), middle)
    with np.errstate(invalid='ignore'):
        seen = _inside(exact, thermal.size)
    return float(np.linalg.norm(exact - mapped, axis=1)[seen].max()) if seen.any() else 0.0


def _inside(points: Array, size: Size) -> Array:
    return np.asarray(((points >= -0.5) & (points <= np.array(size) - 0.5)).all(axis=1))
