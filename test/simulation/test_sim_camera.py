# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Projection against OpenCV, poses against plain matrices."""

import cv2
import numpy as np
import pytest

from ivif_ros.simulation.camera import Lens, Pose, camera_model, distort, rotation, undistort
from ivif_ros.types import CameraModel

LENSES = [(), (-0.2, 0.05, 0.001, -0.002), (-0.22, 0.06, -0.0005, 0.0006, 0.01)]


@pytest.mark.parametrize('coefficients', LENSES)
def test_distortion_equals_opencv(coefficients: tuple[float, ...]) -> None:
    model = camera_model((320, 256), 50.0, coefficients)
    points = np.random.default_rng(1).uniform((-2, -1.5, 5), (2, 1.5, 9), (200, 3))
    expected = cv2.projectPoints(
        points.reshape(-1, 1, 3),
        np.zeros(3),
        np.zeros(3),
        model.matrix,
        np.array(coefficients) if coefficients else None,
    )[0].reshape(-1, 2)
    np.testing.assert_allclose(distort(points[:, :2] / points[:, 2:], model), expected, atol=1e-9)


@pytest.mark.parametrize('coefficients', LENSES)
def test_undistortion_inverts_distortion(coefficients: tuple[float, ...]) -> None:
    model = camera_model((640, 480), 60.0, coefficients)
    pixels = np.random.default_rng(2).uniform((0, 0), (639, 479), (500, 2))
    np.testing.assert_allclose(distort(undistort(pixels, model), model), pixels, atol=1e-5)


def test_canvas_holds_every_raw_pixel_and_bends_straight_lines_as_opencv_does() -> None:
    model = camera_model((160, 128), 60.0, (-0.25, 0.05, 0.001, 0.0, 0.0))
    lens = Lens(model)
    width, height = lens.canvas_size
    assert lens.canvas_xy.min() >= 0
    assert (lens.canvas_xy < (width - 1, height - 1)).all()
    # Draw one dot on the canvas and look for it in the raw image.
    canvas = np.zeros((height, width), np.float32)
    canvas[30, 40] = 1.0
    canvas = cv2.GaussianBlur(canvas, (0, 0), 2.0)
    raw = lens.bend(canvas)
    rows, columns = np.mgrid[: raw.shape[0], : raw.shape[1]]
    found = np.array([(raw * columns).sum(), (raw * rows).sum()]) / raw.sum()
    ray = (np.array([40, 30]) - lens.canvas_matrix[:2, 2]) / lens.canvas_matrix[[0, 1], [0, 1]]
    expected = cv2.projectPoints(
        np.array([[[*ray, 1.0]]]), np.zeros(3), np.zeros(3), model.matrix, model.distortion
    )[0]
    np.testing.assert_allclose(found, expected.reshape(2), atol=0.15)


def test_sample_takes_the_nearest_canvas_pixel() -> None:
    lens = Lens(camera_model((64, 48), 60.0, (-0.2, 0.0, 0.0, 0.0, 0.0)))
    width, height = lens.canvas_size
    canvas = np.arange(width * height).reshape(height, width)
    got = lens.sample(canvas)
    for row, column in ((0, 0), (47, 63), (10, 50)):
        x, y = lens.canvas_xy[row, column]
        assert got[row, column] == canvas[round(float(y)), round(float(x))]


def test_mounted_camera_sees_points_where_the_transform_says() -> None:
    transform = np.eye(4)
    transform[:3, :3] = rotation((3.0, -5.0, 2.0))
    transform[:3, 3] = (0.1, -0.02, 0.03)
    first = Pose(rotation((1.0, 20.0, -4.0)), np.array([3.0, -1.5, 40.0]))
    point = np.array([5.0, -1.0, 60.0])
    seen = first.to_camera(point)
    np.testing.assert_allclose(
        first.moved(transform).to_camera(point), (transform @ [*seen, 1.0])[:3], atol=1e-12
    )


@pytest.mark.parametrize(
    ('angles', 'axis', 'expected'),
    [
        ((90, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, 90, 0), (0, 0, 1), (1, 0, 0)),
        ((0, 0, 90), (1, 0, 0), (0, 1, 0)),
    ],
)
def test_rotation_turns_right_handed(
    angles: tuple[float, float, float], axis: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    np.testing.assert_allclose(rotation(angles) @ axis, expected, atol=1e-12)


def test_field_of_view() -> None:
    model: CameraModel = camera_model((640, 480), 90.0, ())
    assert model.matrix[0, 0] == pytest.approx(320.0)
    assert model.matrix[1, 1] == pytest.approx(320.0)
