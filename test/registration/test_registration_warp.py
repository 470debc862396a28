# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation, composition and resampling of deformations against plain loops."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import CalibrationError
from ivif_ros.registration import Warper, dense_map, points_to_thermal, rescaled
from ivif_ros.registration.maps import NOWHERE, map_planes, precomposed
from ivif_ros.registration.warp import FEATHER_PX, OpencvSampler, TorchSampler, covered_by
from ivif_ros.types import Deformation

H = np.array([[0.52, 0.02, 3.0], [-0.01, 0.5, 6.0], [1e-5, -3e-5, 1.0]])


def make(size=(64, 48), thermal=(36, 30), homography=H, nodes=(5, 7), seed=0, **more):
    grid = None
    if nodes:
        grid = np.random.default_rng(seed).normal(0, 1.0, (*nodes, 2)).astype(np.float32)
    return Deformation(size, thermal, homography, grid, **more)


def mapped(deformation, x, y):
    """The definition in the docstring of Deformation, for one pixel."""
    u, v, w = deformation.homography @ [x, y, 1.0]
    result = np.array([u / w, v / w])
    if deformation.grid is not None:
        gh, gw = deformation.grid.shape[:2]
        gx = x * (gw - 1) / (deformation.rgb_size[0] - 1)
        gy = y * (gh - 1) / (deformation.rgb_size[1] - 1)
        j, i = min(int(gx), gw - 2), min(int(gy), gh - 2)
        a, b = gx - j, gy - i
        g = deformation.grid.astype(float)
        result += ((1 - a) * (1 - b) * g[i, j] + a * (1 - b) * g[i, j + 1]
                   + (1 - a) * b * g[i + 1, j] + a * b * g[i + 1, j + 1])
    return result


@pytest.mark.parametrize('nodes', [None, (2, 2), (5, 7), (70, 90)])
def test_dense_map_is_the_definition(nodes):
    deformation = make(nodes=nodes)
    field = dense_map(deformation)
    assert field.shape == (48, 64, 2)
    assert field.dtype == np.float32
    for y in range(0, 48, 5):
        for x in range(0, 64, 3):
            np.testing.assert_allclose(field[y, x], mapped(deformation, x, y), atol=1e-4)
    points = np.array([[0, 0], [63, 47], [10.25, 3.75]])
    expected = [mapped(deformation, *point) for point in points]
    np.testing.assert_allclose(points_to_thermal(deformation, points), expected, atol=1e-5)


def test_affine_maps_with_any_scale_of_the_matrix():
    affine = np.array([[0.5, 0, 3], [0, 0.6, -1], [0, 0, 1.0]])
    np.testing.assert_allclose(
        dense_map(make(homography=4 * affine)), dense_map(make(homography=affine)), atol=1e-4)


def test_confidence_maps_move_with_their_nodes():
    trust = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    deformation = make(confidence_map=trust)
    twice = rescaled(deformation, (128, 96), (72, 60)).confidence_map
    np.testing.assert_allclose(twice, trust, atol=0.02)
    shift = np.array([[1.0, 0, 63 / 3], [0, 1, 0], [0, 0, 1]])
    moved = precomposed(deformation, shift).confidence_map
    np.testing.assert_allclose(moved[:, :3], trust[:, 1:], atol=1e-6)
    np.testing.assert_allclose(moved[:, 3], trust[:, 3], atol=1e-6)


def test_behind_the_camera_is_nowhere():
    turned = np.array([[1, 0, 0], [0, 1, 0], [-1 / 32, 0, 1.0]])
    field = dense_map(make(homography=turned, nodes=None))
    assert (field[:, 33:] == NOWHERE).all()
    assert np.isfinite(field).all()
    points = points_to_thermal(make(homography=turned, nodes=None), np.array([[50.0, 3.0]]))
    assert (points == NOWHERE).all()


def test_rescaled_moves_the_same_points_of_the_scene():
    deformation = make(residual_px=2.0)
    other = rescaled(deformation, (128, 96), (72, 60))
    assert other.residual_px == 4.0
    for x, y in ((5, 7), (31.5, 20), (60, 44)):
        # Pixel centres: new = 2 old + 1/2 in both images.
        expected = 2 * mapped(deformation, x, y) + 0.5
        got = points_to_thermal(other, np.array([[2 * x + 0.5, 2 * y + 0.5]]))[0]
        # Nodes stand elsewhere in the scene, so that only the interpolation differs.
        np.testing.assert_allclose(got, expected, atol=0.35)
    assert rescaled(deformation, (64, 48), (36, 30)) is deformation
    flat = make(nodes=None)
    got = points_to_thermal(rescaled(flat, (128, 96), (72, 60)), np.array([[20.5, 10.5]]))[0]
    np.testing.assert_allclose(got, 2 * mapped(flat, 10, 5) + 0.5, atol=1e-9)


def test_precomposed_moves_the_pixel_first():
    deformation = make(nodes=(25, 33))
    correction = np.array([[1.02, 0.01, 1.5], [-0.02, 0.99, -2.0], [0, 1e-4, 1.0]])
    composed = precomposed(deformation, correction)
    u, v, w = correction @ [30, 22, 1]
    np.testing.assert_allclose(
        points_to_thermal(composed, np.array([[30.0, 22.0]]))[0],
        mapped(deformation, u / w, v / w), atol=0.5)


def smooth(width, height):
    y, x = np.mgrid[:height, :width]
    return (127 + 60 * np.sin(x / 5) + 60 * np.cos(y / 4)).astype(np.uint8)


def test_warp_is_bilinear_sampling():
    deformation = make()
    thermal = smooth(36, 30)
    registered, weight = Warper('cpu').warp(torch.from_numpy(thermal), deformation)
    assert registered.shape == weight.shape == (48, 64)
    assert registered.dtype == torch.uint8
    assert weight.dtype == torch.float32
    checked = 0
    for y in range(48):
        for x in range(64):
            u, v = mapped(deformation, x, y)
            if not (0 <= u < 35 and 0 <= v < 29):
                if u < -0.6 or v < -0.6 or u > 35.6 or v > 29.6:
                    assert weight[y, x] == 0
                    assert registered[y, x] == 0
                continue
            i, j = int(v), int(u)
            a, b = u - j, v - i
            t = thermal.astype(float)
            expected = ((1 - a) * (1 - b) * t[i, j] + a * (1 - b) * t[i, j + 1]
                        + (1 - a) * b * t[i + 1, j] + a * b * t[i + 1, j + 1])
            # Fixed-point maps hold 1/32 of a pixel, the picture changes by up to 15 levels a pixel.
            assert abs(float(registered[y, x]) - expected) <= 1.5
            checked += 1
    assert checked > 500


def test_both_ways_to_warp_agree():
    deformation = make((320, 240), (160, 120), np.diag([0.45, 0.47, 1]), seed=3)
    thermal = torch.from_numpy(smooth(160, 120))
    x, y = map_planes(deformation)
    covered = covered_by(x, y, (160, 120))
    one = OpencvSampler(x, y, covered)(thermal)
    two = TorchSampler(x, y, covered, (160, 120), torch.device('cpu'))(thermal)
    # Fixed-point maps hold 1/32 of a pixel, the picture changes by up to 20 levels a pixel.
    assert int((one.int() - two.int()).abs().max()) <= 1


def test_full_cover_has_full_weight_up_to_the_edge():
    deformation = Deformation.stretch((64, 48), (32, 24))
    thermal = torch.full((24, 32), 200, dtype=torch.uint8)
    registered, weight = Warper('cpu').warp(thermal, deformation)
    assert (weight == 1).all()
    assert (registered == 200).all()


def test_weight_rises_from_the_border_of_the_thermal_image():
    shifted = Deformation((64, 48), (64, 48), [[1, 0, -20], [0, 1, 0], [0, 0, 1]])
    _, weight = Warper('cpu').warp(torch.zeros(48, 64, dtype=torch.uint8), shifted)
    row = weight[24].numpy()
    assert (row[:20] == 0).all()
    assert 0 < row[20] < 0.5
    assert (np.diff(row[19:20 + FEATHER_PX]) > 0).all()
    assert (row[20 + FEATHER_PX:] == 1).all()


def test_maps_are_rebuilt_only_for_other_arrays():
    warper, deformation = Warper('cpu'), make()
    before = warper.weight(deformation)
    assert warper.weight(replace(deformation, confidence=0.1)) is before
    assert warper.weight(replace(deformation, grid=None)) is not before


def test_images_are_not_overwritten_by_the_next():
    warper, deformation = Warper('cpu'), make()
    first, _ = warper.warp(torch.full((30, 36), 50, dtype=torch.uint8), deformation)
    kept = first.clone()
    warper.warp(torch.full((30, 36), 99, dtype=torch.uint8), deformation)
    assert torch.equal(first, kept)


def test_a_new_deformation_is_noticed():
    warper = Warper('cpu')
    thermal = torch.from_numpy(smooth(36, 30))
    one, _ = warper.warp(thermal, make())
    two, _ = warper.warp(thermal, make(seed=9))
    assert not torch.equal(one, two)


def test_wrong_size_is_refused():
    with pytest.raises(CalibrationError, match='36x30'):
        Warper('cpu').warp(torch.zeros(20, 20, dtype=torch.uint8), make())


def test_one_pixel_images():
    deformation = Deformation.stretch((1, 1), (1, 1))
    registered, weight = Warper('cpu').warp(torch.tensor([[7]], dtype=torch.uint8), deformation)
    assert registered.tolist() == [[7]]
    assert weight.tolist() == [[1]]
    assert cv2.countNonZero(registered.numpy()) == 1
