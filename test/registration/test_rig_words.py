# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A rig in words."""

import numpy as np
import pytest

from ivif_ros.registration.rig_words import rig_view
from ivif_ros.types import Deformation

RGB, THERMAL = (640, 480), (320, 256)


def seen(width=1.0, height=1.0, right=0.0, down=0.0, clockwise_deg=0.0):
    """Deformation of a thermal camera that sees this part of the RGB image."""
    angle = np.radians(clockwise_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.array([width * 639 / 319, height * 479 / 255])
    to_rgb = np.eye(3)
    to_rgb[:2, :2] = turn * scale
    to_rgb[:2, 2] = [319.5 + right, 239.5 + down] - to_rgb[:2, :2] @ [159.5, 127.5]
    return Deformation(RGB, THERMAL, np.linalg.inv(to_rgb))


@pytest.mark.parametrize(('rig', 'words'), [
    ({}, ['1.00 of the width', '1.00 of the height', 'centred', 'not turned']),
    ({'width': 0.77, 'height': 0.9, 'right': 12, 'clockwise_deg': 0.4},
     ['0.77 of the width', '0.90 of the height', 'shifted 12 px right,', 'turned 0.4 deg clock']),
    ({'right': -30, 'down': -7, 'clockwise_deg': -2},
     ['30 px left and 7 px up', '2.0 deg counterclockwise']),
    ({'down': 5, 'clockwise_deg': 180}, ['5 px down', '180.0 deg']),
])
def test_words(rig, words):
    text = str(rig_view(seen(**rig)))
    for word in words:
        assert word in text


def test_numbers():
    view = rig_view(seen(0.5, 0.6, 20, -10, 3))
    assert view.width_share == pytest.approx(0.5)
    assert view.height_share == pytest.approx(0.6)
    assert view.shift_px == pytest.approx((20, -10))
    assert view.turn_deg == pytest.approx(3)
    assert view.corners.mean(axis=0) == pytest.approx((339.5, 229.5))
    # Clockwise from the top left: to the right first, then down.
    assert view.corners[1, 0] - view.corners[0, 0] > 300
    assert view.corners[2, 1] - view.corners[1, 1] > 250


def test_the_scale_and_sign_of_a_homography_mean_nothing():
    rig = seen(0.8, 0.8, 4, 2, 1)
    for factor in (-1.0, 7.0, -0.01):
        other = rig_view(Deformation(RGB, THERMAL, rig.homography * factor))
        np.testing.assert_allclose(other.corners, rig_view(rig).corners)
