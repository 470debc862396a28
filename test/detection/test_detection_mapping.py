# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Boxes on their way to the thermal image."""

import math
from dataclasses import replace

import numpy as np

from ivif_ros.detection import to_thermal
from ivif_ros.types import Deformation, Detections

NAMES = {0: 'person', 2: 'car'}


def found(*boxes):
    count = len(boxes)
    class_ids = np.arange(count) % 2 * 2
    return Detections(np.array(boxes), np.linspace(0.9, 0.3, count), class_ids, NAMES)


def test_a_stretch_scales_boxes_about_the_image_corner():
    mapped = to_thermal(found((0, 0, 640, 480), (64, 48, 128, 96)),
                        Deformation.stretch((640, 480), (320, 120)))
    np.testing.assert_allclose(mapped.boxes, [[0, 0, 320, 120], [32, 12, 64, 24]], atol=1e-3)
    assert mapped.names == NAMES
    np.testing.assert_allclose(mapped.scores, [0.9, 0.3])
    assert mapped.class_ids.tolist() == [0, 2]


def test_a_rotation_gives_the_box_around_the_turned_box():
    angle = math.radians(10)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s, 30.0], [s, c, 5.0], [0, 0, 1]])
    mapped = to_thermal(found((100, 100, 200, 160)), Deformation((400, 300), (400, 300), turn))
    corners = [(turn @ (x - 0.5, y - 0.5, 1))[:2] + 0.5
               for x in (100, 200) for y in (100, 160)]
    expected = [*np.min(corners, 0), *np.max(corners, 0)]
    np.testing.assert_allclose(mapped.boxes[0], expected, atol=1e-3)


def test_a_bulge_between_the_corners_counts():
    # Corners of the box stay where they are; only the middle of its lower side is pulled down.
    grid = np.zeros((3, 5, 2), np.float32)
    grid[2, 2, 1] = 7.0
    deformation = Deformation((101, 101), (200, 200), np.eye(3), grid)
    mapped = to_thermal(found((0.5, 20.5, 100.5, 100.5)), deformation)
    np.testing.assert_allclose(mapped.boxes[0], [0.5, 20.5, 100.5, 107.5], atol=1e-3)


def test_boxes_are_cut_at_the_border_and_dropped_beyond_it():
    shift = np.array([[1, 0, -50.0], [0, 1, 0], [0, 0, 1]])
    three = found((40, 10, 80, 30), (10, 10, 50.5, 30), (340, 20, 390, 50))
    mapped = to_thermal(replace(three, track_ids=[4, 8, -1]),
                        Deformation((400, 60), (320, 40), shift))
    assert mapped.track_ids.tolist() == [4, -1]
    assert mapped.class_ids.tolist() == [0, 0]
    np.testing.assert_allclose(mapped.boxes, [[0, 10, 30, 30], [290, 20, 320, 40]], atol=1e-3)
    np.testing.assert_allclose(mapped.scores, [0.9, 0.3])


def test_what_lies_behind_the_thermal_camera_has_no_box():
    # w = 1 - x / 200: pixels with x > 200 are behind the camera.
    homography = np.array([[1, 0, 0], [0, 1, 0], [-1 / 200, 0, 1]])
    deformation = Deformation((400, 100), (400, 100), homography)
    mapped = to_thermal(found((260, 10, 300, 30), (100, 10, 240, 30)), deformation)
    assert len(mapped) == 1
    # The left edge is in front: 99.5 / (1 - 99.5 / 200) = 198.01; the rest runs off to the right.
    np.testing.assert_allclose(mapped.boxes[0, [0, 2]], [198.51, 400], atol=0.02)


def test_nothing_stays_nothing():
    assert len(to_thermal(Detections([], [], [], NAMES), Deformation.stretch((8, 8), (4, 4)))) == 0
