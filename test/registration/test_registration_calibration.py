# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration files and rigid transforms."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_ros.errors import CalibrationError, OutputError
from ivif_ros.registration import (
    Calibration,
    fitted_deformation,
    load_calibration,
    points_to_thermal,
    save_calibration,
)
from ivif_ros.registration.extrinsics import (
    check_rigid,
    matrix_from_quaternion,
    quaternion_from_matrix,
)
from ivif_ros.registration.maps import grid_nodes
from ivif_ros.types import CameraModel, Deformation, DeformationSource

CAMERA = """
  image_width: 640
  image_height: 480
  camera_name: extra keys of camera_calibration are fine
  camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320, 0, 510, 240, 0, 0, 1]}
  distortion_model: plumb_bob
  distortion_coefficients: {rows: 1, cols: 5, data: [-0.3, 0.1, 1e-05, 0.0, 0.0]}
"""


def rigid(seed=0):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(rng.normal(0, 1.5, 3))[0]
    matrix[:3, 3] = rng.normal(0, 0.3, 3)
    return matrix


def test_round_trip_keeps_every_number(tmp_path):
    rgb = CameraModel(640, 480, [[500.1, 0, 321.7], [0, 511, 239.2], [0, 0, 1]],
                      [-0.31, 0.12, 1e-7, 2e-5, 0.0])
    thermal = CameraModel(640, 512, [[700, 0, 320], [0, 700, 256], [0, 0, 1]],
                          [0.01, -0.02, 0.003, 0.0004], 'equidistant')
    grid = np.random.default_rng(1).normal(0, 3, (4, 5, 2)).astype(np.float32)
    deformation = Deformation(
        (640, 480), (320, 256), [[0.5, 0.01, 2], [0, 0.53, 1], [1e-6, 2e-5, 1]], grid, 0.7, 1.5,
        DeformationSource.ESTIMATED)
    path = tmp_path / 'rig.yaml'
    save_calibration(path, Calibration(rgb, thermal, rigid(), deformation))
    loaded = load_calibration(path)
    for before, after in ((rgb, loaded.rgb), (thermal, loaded.thermal)):
        assert after.size == before.size
        assert after.distortion_model == before.distortion_model
        np.testing.assert_allclose(after.matrix, before.matrix, rtol=1e-12)
        np.testing.assert_allclose(after.distortion, before.distortion, rtol=1e-12)
    np.testing.assert_allclose(loaded.thermal_from_rgb, rigid(), atol=1e-12)
    np.testing.assert_allclose(loaded.deformation.homography, deformation.homography, rtol=1e-9)
    np.testing.assert_allclose(loaded.deformation.grid, grid, atol=0.0006)
    assert loaded.deformation.confidence == pytest.approx(0.7)
    assert loaded.deformation.residual_px == pytest.approx(1.5)
    assert loaded.deformation.source is DeformationSource.CALIBRATION
    assert 'X_thermal = R X_rgb + xyz' in path.read_text()


def measured(seed=0):
    """A deformation with everything that can be measured."""
    rng = np.random.default_rng(seed)
    return Deformation(
        (1280, 960), (640, 512), 3.0 * np.array(
            [[0.41234567890123, -0.01234567890123, 27.359], [0.0032428, 0.6, -16.32],
             [-7.522092e-06, -2.1272e-05, 1.0]]),
        rng.normal(0, 3, (4, 5, 2)) - [[[0, 0.0001]]], 0.777777777, 1.23456789,
        DeformationSource.ESTIMATED, rng.uniform(size=(3, 4)))


def test_what_is_loaded_and_saved_again_is_the_same(tmp_path):
    first, second = tmp_path / 'first.yaml', tmp_path / 'second.yaml'
    save_calibration(first, Calibration(deformation=measured()))
    loaded = load_calibration(first)
    save_calibration(second, loaded)
    assert first.read_text() == second.read_text()
    again = load_calibration(second).deformation
    for name in ('homography', 'grid', 'confidence_map'):
        np.testing.assert_array_equal(
            getattr(again, name), getattr(loaded.deformation, name), err_msg=name)
    assert again.residual_px == loaded.deformation.residual_px
    # Rounding moves no pixel by more than a thousandth.
    nodes = grid_nodes((1280, 960), 9, 7).reshape(-1, 2)
    np.testing.assert_allclose(
        points_to_thermal(again, nodes), points_to_thermal(measured(), nodes), atol=0.001)
    np.testing.assert_allclose(again.confidence_map, measured().confidence_map, atol=0.0051)


def test_people_can_read_the_file(tmp_path):
    path = tmp_path / 'rig.yaml'
    save_calibration(path, Calibration(deformation=measured()))
    lines = path.read_text().splitlines()
    text = '\n'.join(lines)
    assert max(map(len, lines)) <= 100
    assert re.search('thermal sees [0-9.]+ of the width', text)
    assert '-0.0,' not in text
    keys = [line.split(':')[0].strip() for line in lines if re.match('  [a-z_]+:', line)]
    assert keys == ['rgb_size', 'thermal_size', 'homography', 'confidence', 'residual_px', 'grid',
                    'confidence_map']
    for key in keys:
        # Each entry, or the group that it begins or belongs to, is explained above it.
        index = next(i for i, line in enumerate(lines) if line.strip().startswith(f'{key}:'))
        assert '#' in lines[index - 1] or key == 'thermal_size', key
    start = lines.index('  homography:')
    assert [line.count(',') for line in lines[start + 3:start + 6]] == [3, 3, 2]


@pytest.mark.parametrize(('text', 'words'), [
    ('{rows: 2, cols: 2, data: [0, 1, 0.5]}', ['deformation.confidence_map.data', '4']),
    ('{rows: 2, cols: 2, data: [0, 1, 0.5, 7]}', ['deformation', '0 to 1']),
    ('5', ['deformation.confidence_map']),
])
def test_a_wrong_confidence_map_is_named(tmp_path, text, words):
    path = tmp_path / 'rig.yaml'
    path.write_text(
        'deformation: {rgb_size: [4, 4], thermal_size: [4, 4], homography: {rows: 3, cols: 3, '
        f'data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}}, confidence_map: {text}}}')
    with pytest.raises(CalibrationError) as caught:
        load_calibration(path)
    for word in words:
        assert word in str(caught.value)


def test_a_measured_map_fits_resized_images_of_the_same_cameras():
    deformation = measured()
    assert fitted_deformation(deformation, (1280, 960), (640, 512)) is deformation
    half = fitted_deformation(deformation, (640, 480), (320, 256))
    assert half.residual_px == pytest.approx(deformation.residual_px / 2)
    # Pixel centres: pixel x of an image is 2 x + 0.5 of one that is twice as large.
    point = np.array([[300.0, 200.0]])
    np.testing.assert_allclose(
        2 * points_to_thermal(half, point) + 0.5, points_to_thermal(deformation, 2 * point + 0.5),
        atol=0.02)


@pytest.mark.parametrize(('rgb', 'thermal', 'words'), [
    ((1280, 720), (640, 512), ['RGB', '1280x960', '1280x720', 'ivif calibrate']),
    ((1280, 960), (640, 480), ['thermal', '640x512', '640x480']),
    ((960, 1280), (640, 512), ['RGB', '960x1280']),
])
def test_a_measured_map_of_other_cameras_is_refused(rgb, thermal, words):
    with pytest.raises(CalibrationError) as caught:
        fitted_deformation(measured(), rgb, thermal)
    for word in words:
        assert word in str(caught.value)


def test_deformation_without_cameras_can_be_stored(tmp_path):
    path = tmp_path / 'rig.yaml'
    save_calibration(path, Calibration(deformation=Deformation.stretch((64, 48), (32, 24))))
    loaded = load_calibration(path)
    assert not loaded.has_cameras
    assert loaded.deformation.grid is None
    assert np.isnan(loaded.deformation.residual_px)


def test_camera_calibration_style_is_read(tmp_path):
    path = tmp_path / 'rig.yaml'
    path.write_text(f'rgb:{CAMERA}\nthermal:{CAMERA}\nthermal_from_rgb:\n  xyz: [0.1, 0, 0]\n'
                    '  quaternion: [0, 0, 0.7071067811865476, 0.7071067811865476]\n')
    calibration = load_calibration(path)
    assert calibration.rgb.matrix[1, 1] == 510
    assert calibration.rgb.distortion[2] == 1e-5
    # A quarter turn about z takes x to y.
    np.testing.assert_allclose(
        calibration.thermal_from_rgb @ [1, 0, 0, 1], [0.1, 1, 0, 1], atol=1e-12)


@pytest.mark.parametrize('as_rows', [True, False])
def test_matrix_in_place_of_quaternion(tmp_path, as_rows):
    matrix = rigid(3)
    text = (matrix if as_rows else matrix.ravel()).tolist()
    path = tmp_path / 'rig.yaml'
    path.write_text(f'thermal_from_rgb:\n  matrix: {text}\n')
    np.testing.assert_allclose(load_calibration(path).thermal_from_rgb, matrix)


@pytest.mark.parametrize(('text', 'words'), [
    ('rgb: [', ['not YAML']),
    ('', ['the file']),
    ('- 1', ['list']),
    ('camera: {}', ['camera', 'thermal_from_rgb']),
    ('rgb: {image_width: 640}', ['rgb.camera_matrix', 'missing']),
    (f'rgb:{CAMERA}'.replace('image_width: 640', 'image_width: -1'), ['rgb.image_width', '-1']),
    (f'rgb:{CAMERA}'.replace('data: [500, 0,', 'data: [0, 0,'), ['rgb', 'focal']),
    (f'rgb:{CAMERA}'.replace('[500, 0, 320, 0,', '[500, 0, 320,'), ['rgb.camera_matrix.data', '9']),
    (f'rgb:{CAMERA}'.replace('plumb_bob', 'fish'), ['fish', 'equidistant']),
    (f'rgb:{CAMERA}'.replace('cols: 5', 'cols: 4'), ['distortion_coefficients.data', '4']),
    ('thermal_from_rgb: {xyz: [0, 0], quaternion: [0, 0, 0, 1]}', ['thermal_from_rgb.xyz', '3']),
    ('thermal_from_rgb: {xyz: [0, 0, 0]}', ['thermal_from_rgb.quaternion', 'missing']),
    ('thermal_from_rgb: {xyz: [0, 0, 0], quaternion: [0, 0, 0, 0]}', ['unit quaternion']),
    ('thermal_from_rgb: {matrix: [[1, 2], [3]]}', ['matrix', '4x4']),
    ('thermal_from_rgb: {matrix: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]}', ['rotation']),
    ('deformation: {rgb_size: [4, 4], thermal_size: [4, 4]}', ['deformation.homography']),
    ('deformation: {rgb_size: [0, 4], thermal_size: [4, 4], homography: 1}', ['rgb_size']),
])
def test_errors_name_file_and_key(tmp_path, text, words):
    path = tmp_path / 'rig.yaml'
    path.write_text(text)
    with pytest.raises(CalibrationError) as caught:
        load_calibration(path)
    assert 'rig.yaml' in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_missing_and_unwritable_files(tmp_path):
    with pytest.raises(CalibrationError, match=r'nowhere\.yaml'):
        load_calibration(tmp_path / 'nowhere.yaml')
    calibration = Calibration(thermal_from_rgb=np.eye(4))
    with pytest.raises(OutputError, match='cannot be written'):
        save_calibration(tmp_path / 'no' / 'rig.yaml', calibration)
    (tmp_path / 'folder').mkdir()
    with pytest.raises(OutputError):
        save_calibration(tmp_path / 'folder', calibration)
    assert [path.name for path in tmp_path.iterdir()] == ['folder']


def test_empty_calibration_is_refused():
    with pytest.raises(CalibrationError, match='empty'):
        Calibration()


def test_known_parts_win_over_camera_info():
    first = CameraModel(64, 48, [[50, 0, 32], [0, 50, 24], [0, 0, 1]])
    second = CameraModel(64, 48, [[60, 0, 32], [0, 60, 24], [0, 0, 1]])
    completed = Calibration(rgb=first).completed(second, second, np.eye(4))
    assert completed.rgb is first
    assert completed.thermal is second
    np.testing.assert_array_equal(completed.thermal_from_rgb, np.eye(4))


@pytest.mark.parametrize('seed', range(8))
def test_quaternion_round_trip(seed):
    matrix = rigid(seed)
    quaternion = quaternion_from_matrix(matrix)
    np.testing.assert_allclose(
        matrix_from_quaternion(matrix[:3, 3], quaternion), matrix, atol=1e-12)


def test_half_turns_have_quaternions():
    for axis in range(3):
        rotation = -np.eye(3)
        rotation[axis, axis] = 1
        expected = np.zeros(4)
        expected[axis] = 1
        np.testing.assert_allclose(np.abs(quaternion_from_matrix(rotation)), expected, atol=1e-12)


def test_mirrors_are_no_rotations():
    with pytest.raises(CalibrationError, match='mirrors'):
        check_rigid(np.diag([-1.0, 1, 1, 1]), 'T')


def test_the_example_is_the_rig_of_the_simulator():
    from ivif_ros.simulation.config import RigConfig
    from ivif_ros.simulation.rig import camera_model, rotation

    example = load_calibration(
        Path(__file__).resolve().parents[2] / 'config' / 'rig_example.yaml')
    config = RigConfig()
    for camera, size, fov, distortion in (
            (example.rgb, config.rgb_size, config.rgb_fov_deg, config.rgb_distortion),
            (example.thermal, config.thermal_size, config.thermal_fov_deg,
             config.thermal_distortion)):
        expected = camera_model(size, fov, distortion)
        assert camera.size == size
        np.testing.assert_allclose(camera.matrix, expected.matrix, rtol=1e-9)
        np.testing.assert_allclose(camera.distortion, distortion)
    turn = rotation(config.thermal_rotation_deg)
    # The thermal camera's own centre, baseline_m to the right of the RGB camera, is its origin.
    centre = np.array([config.baseline_m, 0, 0, 1])
    np.testing.assert_allclose(example.thermal_from_rgb @ centre, [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(example.thermal_from_rgb[:3, :3], turn, atol=1e-9)
