# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lens models and the deformation of a calibrated rig, against OpenCV's own projection."""

import cv2
import numpy as np
import pytest

from ivif_ros.errors import CalibrationError
from ivif_ros.registration import Calibration, calibrated_deformation, points_to_thermal
from ivif_ros.registration.lens import distort, rays_to_pixels, undistort
from ivif_ros.types import CameraModel

LENSES = {
    'plumb_bob': [-0.32, 0.11, 0.001, -0.0007, 0.01],
    'rational_polynomial': [0.3, -0.05, 0.0005, -0.0003, 0.01, 0.6, 0.02, 0.005],
    'equidistant': [-0.02, 0.004, -0.001, 0.0002],
}


def camera(width, height, focal, model='plumb_bob', distortion=()):
    matrix = [[focal, 0, width / 2 - 2.5], [0, focal * 1.01, height / 2 + 3.5], [0, 0, 1]]
    return CameraModel(width, height, matrix, np.array(distortion, float), model)


def transform():
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
    matrix[:3, 3] = -0.12, 0.03, 0.02
    return matrix


def project(model, point):
    """One point in the camera frame to a pixel, from the definitions in the CameraInfo message."""
    x, y = point[0] / point[2], point[1] / point[2]
    d = model.distortion
    r = np.hypot(x, y)
    if not len(d):
        bent = x, y
    elif model.distortion_model == 'equidistant':
        theta = np.arctan(r)
        scale = theta * (1 + sum(k * theta ** (2 * i + 2) for i, k in enumerate(d))) / r
        bent = x * scale, y * scale
    else:
        k = [*list(d[:2]), d[4]]
        radial = 1 + k[0] * r**2 + k[1] * r**4 + k[2] * r**6
        if model.distortion_model == 'rational_polynomial':
            radial /= 1 + d[5] * r**2 + d[6] * r**4 + d[7] * r**6
        p1, p2 = d[2], d[3]
        bent = (x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x * x),
                y * radial + p1 * (r**2 + 2 * y * y) + 2 * p2 * x * y)
    k = model.matrix
    return k[0, 0] * bent[0] + k[0, 2], k[1, 1] * bent[1] + k[1, 2]


@pytest.mark.parametrize('model', LENSES)
def test_undistort_inverts_distort(model):
    lens = camera(640, 480, 500, model, LENSES[model])
    rays = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 2))
    np.testing.assert_allclose(undistort(lens, distort(lens, rays)), rays, atol=1e-6)


@pytest.mark.parametrize('model', LENSES)
def test_distort_follows_the_definition(model):
    lens = camera(640, 480, 500, model, LENSES[model])
    rays = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 2))
    pixels = rays_to_pixels(lens, rays)
    for ray, pixel in zip(rays, pixels, strict=True):
        np.testing.assert_allclose(pixel, project(lens, (*ray, 1.0)), atol=1e-6)


def test_rays_from_outside_do_not_fold_back_into_the_image():
    lens = camera(640, 480, 600, 'plumb_bob', [-0.35, 0.05, 0, 0, 0])
    # The polynomial itself turns back at r = 1.2.
    for angle in np.linspace(0, 2 * np.pi, 12):
        direction = np.array([[np.cos(angle), np.sin(angle)]])
        radii = [np.linalg.norm(rays_to_pixels(lens, r * direction)[0] - [317.5, 243.5])
                 for r in (0.5, 1.0, 1.7, 3.0, 8.0)]
        assert np.all(np.diff(radii) > 0)


@pytest.mark.parametrize('rgb_model', LENSES)
@pytest.mark.parametrize('thermal_model', ['plumb_bob', 'equidistant'])
def test_map_agrees_with_projecting_points_of_the_plane(rgb_model, thermal_model):
    rgb = camera(640, 480, 520, rgb_model, LENSES[rgb_model])
    thermal = camera(640, 512, 600, thermal_model, LENSES[thermal_model])
    calibration = Calibration(rgb, thermal, transform())
    distance = 7.0
    deformation = calibrated_deformation(calibration, (640, 480), (640, 512), distance)
    rng = np.random.default_rng(2)
    checked = 0
    for _ in range(300):
        point = np.array([rng.uniform(-3.5, 3.5), rng.uniform(-2.5, 2.5), distance])
        pixel = np.array(project(rgb, point))
        moved = transform()[:3, :3] @ point + transform()[:3, 3]
        expected = np.array(project(thermal, moved))
        if not (0 < pixel[0] < 639 and 0 < pixel[1] < 479
                and 0 < expected[0] < 639 and 0 < expected[1] < 511):
            continue
        checked += 1
        mapped = points_to_thermal(deformation, pixel[None])[0]
        assert np.linalg.norm(mapped - expected) < 0.1
    assert checked > 100
    # b = 0.125 m, f = 520 px: going from 7 m to 14 m moves things by about b f / 14 = 4.6 px.
    assert 3.0 < deformation.residual_px < 6.5


def test_other_image_sizes_are_resized_ones():
    rgb, thermal = camera(640, 480, 520, 'plumb_bob', LENSES['plumb_bob']), camera(640, 512, 600)
    calibration = Calibration(rgb, thermal, transform())
    full = calibrated_deformation(calibration, (640, 480), (640, 512), 10.0)
    half = calibrated_deformation(calibration, (320, 240), (320, 256), 10.0)
    points = np.random.default_rng(3).uniform(60, 400, (50, 2))
    # Pixel centres: full = 2 half + 1/2.
    expected = (points_to_thermal(full, points) - 0.5) / 2
    np.testing.assert_allclose(
        points_to_thermal(half, (points - 0.5) / 2), expected, atol=0.06)


def test_ideal_lenses_need_no_grid():
    calibration = Calibration(camera(640, 480, 520), camera(320, 256, 300), transform())
    deformation = calibrated_deformation(calibration, (640, 480), (320, 256), 5.0)
    assert deformation.grid is None
    point = np.array([0.4, -0.2, 5.0])
    pixel = np.array([project(calibration.rgb, point)])
    moved = transform()[:3, :3] @ point + transform()[:3, 3]
    np.testing.assert_allclose(
        points_to_thermal(deformation, pixel)[0], project(calibration.thermal, moved), atol=1e-6)


def test_without_extrinsics_the_fields_of_view_are_aligned():
    rgb, thermal = camera(640, 480, 520), camera(320, 256, 300)
    deformation = calibrated_deformation(Calibration(rgb, thermal), (640, 480), (320, 256), 5.0)
    pixel = np.array([project(rgb, (0.3, 0.1, 1.0))])
    np.testing.assert_allclose(
        points_to_thermal(deformation, pixel)[0], project(thermal, (0.3, 0.1, 1.0)), atol=1e-6)
    assert np.isnan(deformation.residual_px)
    known = calibrated_deformation(
        Calibration(rgb, thermal, np.eye(4)), (640, 480), (320, 256), 5.0)
    assert known.confidence > deformation.confidence


def test_cameras_that_look_apart_are_refused():
    away = np.eye(4)
    away[:3, :3] = cv2.Rodrigues(np.array([0, np.pi, 0.0]))[0]
    for matrix in (away, np.diag([1.0, 1, 1, 1]) + 900 * np.eye(4, k=3)):
        with pytest.raises(CalibrationError, match='does not see'):
            calibrated_deformation(
                Calibration(camera(640, 480, 520), camera(320, 256, 300), matrix),
                (640, 480), (320, 256), 5.0)


def test_missing_camera_bad_distance_and_hopeless_lens():
    rgb = camera(640, 480, 520)
    with pytest.raises(CalibrationError, match='thermal camera are missing'):
        calibrated_deformation(Calibration(rgb=rgb), (640, 480), (320, 256), 5.0)
    for distance in (0.0, -1.0, float('nan')):
        with pytest.raises(CalibrationError, match='distance'):
            calibrated_deformation(Calibration(rgb, rgb), (640, 480), (640, 480), distance)
    hopeless = camera(640, 480, 100, 'plumb_bob', [-5.0, 0, 0, 0, 0])
    with pytest.raises(CalibrationError, match='cannot be inverted'):
        calibrated_deformation(Calibration(rgb, hopeless), (640, 480), (640, 480), 5.0)
