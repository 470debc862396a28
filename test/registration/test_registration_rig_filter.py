# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Homography and lens of a rig out of noisy estimates."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.registration.maps import distance_px, grid_nodes
from ivif_ros.registration.rig_filter import RigFilter
from ivif_ros.registration.trust import confidence_of
from ivif_ros.types import Deformation, DeformationSource

SIZE = (640, 480)
SHAPE = (12, 16)
H = np.array([[0.97, 0.01, 12.0], [-0.01, 0.98, -7.0], [2e-5, -1e-5, 1.0]])


def lens(amount=1.0):
    """A radial distortion in pixels on the nodes."""
    x, y = np.moveaxis(grid_nodes((2, 2), SHAPE[1], SHAPE[0]) * 2 - 1, -1, 0)
    square = x**2 + y**2
    return amount * np.stack([x * square, y * square], axis=-1)


def estimate(rng, noise_px=0.0, grid=None, error_px=2.0):
    homography = H.copy()
    homography[:2, 2] += noise_px * rng.normal(size=2)
    return Deformation(SIZE, SIZE, homography, grid, float(confidence_of(error_px)), error_px,
                       DeformationSource.ESTIMATED)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 3.0))
def test_many_noisy_estimates_give_a_better_rig(seed, noise_px):
    rng, known = np.random.default_rng(seed), RigFilter()
    for _ in range(30):
        known.add(estimate(rng, noise_px), 0.2, 5.0)
    truth = estimate(rng)
    assert distance_px(known.rig, truth) < 0.75 * noise_px
    assert known.count == 30


def test_estimates_count_by_their_confidence():
    rng, known = np.random.default_rng(0), RigFilter()
    known.add(estimate(rng, error_px=1.0), 0.2, 5.0)
    far = estimate(rng, error_px=8.0)
    homography = np.array(far.homography)
    homography[0, 2] += 20
    known.add(replace(far, homography=homography), 0.2, 5.0)
    assert distance_px(known.rig, estimate(rng)) < 0.6
    assert known.rig.residual_px > 1.0


def test_the_lens_is_learned_and_objects_are_not():
    rng, known = np.random.default_rng(1), RigFilter()
    steady = lens(4.0)
    for k in range(25):
        grid = steady + rng.normal(0, 0.5, size=steady.shape)
        grid[4:9, k % 12:k % 12 + 4, 0] += 12.0
        known.add(estimate(rng, grid=grid), 0.2, 5.0)
    assert np.abs(known.rig.grid - steady).mean() < 0.4
    assert np.abs(known.rig.grid - steady).max() < 1.5


def test_places_without_confidence_do_not_bend_the_lens():
    rng, known = np.random.default_rng(2), RigFilter()
    steady = lens(4.0)
    grid, trust = steady.copy(), np.full(SHAPE, 0.8, np.float32)
    grid[:, :6] += 10.0
    trust[:, :6] = 0.01
    for _ in range(5):
        known.add(replace(estimate(rng, grid=grid), confidence_map=trust), 0.2, 5.0)
    assert np.abs(known.rig.grid - steady)[:, 6:].mean() < 0.4


def test_an_ideal_lens_has_no_grid():
    known = RigFilter()
    assert known.rig is None
    known.add(estimate(np.random.default_rng(3), grid=np.zeros((*SHAPE, 2))), 0.2, 5.0)
    assert known.rig.grid is None
    assert known.rig is known.rig


def test_without_memory_the_newest_estimate_is_the_rig():
    rng, known = np.random.default_rng(4), RigFilter()
    for _ in range(3):
        newest = estimate(rng, 5.0)
        known.add(newest, 0.2, 0.0)
    assert distance_px(known.rig, newest) < 1e-3


def test_images_of_another_size():
    rng, known = np.random.default_rng(5), RigFilter()
    known.add(estimate(rng, grid=lens(6.0)), 0.2, 5.0)
    before = known.rig
    known.fit_sizes((320, 240), (1280, 960))
    assert known.rig.rgb_size == (320, 240)
    assert known.rig.thermal_size == (1280, 960)
    np.testing.assert_allclose(known.rig.grid, 2 * before.grid, atol=1e-3)
    assert known.rig.residual_px == pytest.approx(before.residual_px / 2)
