# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pin-hole cameras of the rig: intrinsics, pose, and the ideal canvas that the world is drawn on.

The world is x right, y down, z along the street, origin on the road: the axes of an optical frame
(REP-103) that looks down the street. Planes stay planes without lens distortion, so everything is
drawn on an undistorted canvas with the same focal length, which one fixed remap turns into the raw
image.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from ivif_ros.types import Array, CameraModel, Size


def camera_model(size: Size, fov_deg: float, distortion: tuple[float, ...]) -> CameraModel:
    """Build a camera with square pixels and a principal point close to the centre.

    Args:
        size: width, height in pixels.
        fov_deg: horizontal field of view without distortion in degrees.
        distortion: plumb_bob coefficients.
    """
    width, height = size
    focal = width / (2 * math.tan(math.radians(fov_deg) / 2))
    # No real sensor sits exactly behind its lens: shift it by about one percent of the width.
    matrix = np.array(
        [
            [focal, 0, (width - 1) / 2 + 0.006 * width],
            [0, focal, (height - 1) / 2 - 0.004 * width],
            [0, 0, 1],
        ]
    )
    return CameraModel(width, height, matrix, np.array(distortion))


def rotation(angles_deg: tuple[float, float, float]) -> Array:
    """Rotation matrix Rz Ry Rx about the optical axes x (right), y (down), z (forward).

    Args:
        angles_deg: pitch about x, yaw about y, roll about z in degrees.

    Returns:
        (3, 3) float64.
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(angles_deg)), np.sin(np.radians(angles_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    product: Array = about_z @ about_y @ about_x
    return product


def undistort(pixels: Array, model: CameraModel) -> Array:
    """Ray of each raw pixel: the inverse of the plumb_bob model by fixed-point iteration.

    Args:
        pixels: (..., 2) raw pixel x, y.
        model: intrinsics with none, four or five plumb_bob coefficients.

    Returns:
        (..., 2) float64 x/z and y/z; to about 1e-9 for the usual lenses.
    """
    k1, k2, p1, p2, k3 = np.resize(np.append(model.distortion, np.zeros(5)), 5)
    seen = (pixels - model.matrix[:2, 2]) / model.matrix[[0, 1], [0, 1]]
    seen_x, seen_y = seen[..., 0], seen[..., 1]
    x, y = seen_x, seen_y
    for _ in range(14 if len(model.distortion) else 0):
        square = x * x + y * y
        radial = 1 + square * (k1 + square * (k2 + square * k3))
        product = 2 * x * y
        x, y = (
            (seen_x - p1 * product - p2 * (square + 2 * x * x)) / radial,
            (seen_y - p2 * product - p1 * (square + 2 * y * y)) / radial,
        )
    return np.stack([x, y], -1)


def distort(rays: Array, model: CameraModel) -> Array:
    """Raw pixel of each ray: the plumb_bob model of OpenCV and sensor_msgs/CameraInfo.

    Args:
        rays: (..., 2) x/z and y/z.
        model: intrinsics with none, four or five plumb_bob coefficients.

    Returns:
        (..., 2) float64 raw pixel x, y.
    """
    k1, k2, p1, p2, k3 = np.resize(np.append(model.distortion, np.zeros(5)), 5)
    x, y = rays[..., 0], rays[..., 1]
    square, product = x * x + y * y, 2 * x * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    bent = np.stack(
        [
            x * radial + p1 * product + p2 * (square + 2 * x * x),
            y * radial + p2 * product + p1 * (square + 2 * y * y),
        ],
        -1,
    )
    pixels: Array = bent * model.matrix[[0, 1], [0, 1]] + model.matrix[:2, 2]
    return pixels


class Lens:
    """What a camera model means for drawing: the canvas, the remap, and the ray of each raw pixel.

    Attributes:
        model: intrinsics of the raw image.
        canvas_size: width, height of the undistorted canvas; it holds all that the raw image shows.
        canvas_matrix: (3, 3) camera matrix of the canvas.
        rays: (H, W, 2) float64, x/z and y/z of the ray through each raw pixel.
        canvas_xy: (H, W, 2) float32, canvas pixel of each raw pixel.
    """

    def __init__(self, model: CameraModel) -> None:
        """Invert the distortion once.

        Args:
            model: intrinsics, `plumb_bob`.
        """
        self.model = model
        width, height = model.size
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
        self.rays = undistort(grid, model)
        ideal = self.rays * model.matrix[[0, 1], [0, 1]] + model.matrix[:2, 2]
        # Two pixels of margin let the interpolation at the border see drawn pixels only.
        low = np.floor(ideal.min((0, 1))) - 2
        high = np.ceil(ideal.max((0, 1))) + 2
        self.canvas_matrix = model.matrix.copy()
        self.canvas_matrix[:2, 2] -= low
        self.canvas_size: Size = (int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1)
        self.canvas_xy = (ideal - low).astype(np.float32)
        self._fixed = cv2.convertMaps(
            np.ascontiguousarray(self.canvas_xy[..., 0]),
            np.ascontiguousarray(self.canvas_xy[..., 1]),
            cv2.CV_16SC2,
        )

    def bend(self, canvas: Array) -> Array:
        """Turn an undistorted canvas into the raw image, as the lens does."""
        raw: Array = cv2.remap(canvas, self._fixed[0], self._fixed[1], cv2.INTER_LINEAR)
        return raw

    def sample(self, canvas: Array) -> Array:
        """Value of the nearest canvas pixel for each raw pixel, whatever its type."""
        column, row = np.rint(self.canvas_xy).astype(np.intp).transpose(2, 0, 1)
        nearest: Array = canvas[row, column]
        return nearest

    def pixels(self, points: Array) -> Array:
        """Raw pixels of points in the frame of the camera.

        Args:
            points: (n, 3) metres, z > 0.

        Returns:
            (n, 2) float64 pixel x, y with distortion.
        """
        return distort(points[:, :2] / points[:, 2:], self.model)


class Pose:
    """Where a camera is: `X_camera = rotation @ (X_world - centre)`."""

    def __init__(self, rotation_cw: Array, centre: Array) -> None:
        """Keep rotation world -> camera (3, 3) and centre in the world (3,) in metres."""
        self.rotation = rotation_cw
        self.centre = centre

    def moved(self, camera_from_this: Array) -> Pose:
        """Pose of a second camera that is mounted on this one.

        Args:
            camera_from_this: (4, 4) transform, X_second = T @ X_this.
        """
        turn, shift = camera_from_this[:3, :3], camera_from_this[:3, 3]
        return Pose(turn @ self.rotation, self.centre - self.rotation.T @ turn.T @ shift)

    def to_camera(self, points: Array) -> Array:
        """World points (..., 3) in the frame of the camera."""
        seen: Array = (points - self.centre) @ self.rotation.T
        return seen
