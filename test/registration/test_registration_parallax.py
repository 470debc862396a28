# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parallax of objects that move: measured, combined, carried along and faded."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ivif_ros.registration.maps import points_to_thermal
from ivif_ros.registration.motion import MotionFinder, small_image
from ivif_ros.registration.moving_parallax import MovingParallax
from ivif_ros.registration.parallax import Parallax, fused, laid_on, measured, rebased
from ivif_ros.registration.trust import confidence_of, error_of, reference_px
from ivif_ros.types import Deformation, DeformationSource

SIZE = (320, 240)
SHAPE = (30, 40)
RIG = replace(Deformation.stretch(SIZE, SIZE), confidence=0.7, residual_px=1.0,
              source=DeformationSource.ESTIMATED)
UNIT = reference_px(RIG)
MS = 1_000_000
OBJECT_PX = 8.0
"""Parallax of the object in pixels of an image 640 wide."""


def texture(seed, width, height):
    """Details of all sizes, as in real images."""
    white = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    noise = sum(sigma * cv2.GaussianBlur(white, (0, 0), sigma) for sigma in (2, 6, 18))
    return np.clip(127 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


BACKGROUND, OBJECT = texture(1, *SIZE), texture(2, 80, 120)


def scene(x):
    """An image with an object whose left edge stands at x, and where the object is."""
    image = BACKGROUND.copy()
    image[60:180, x:x + 80] = OBJECT
    mask = np.zeros(SIZE[::-1], bool)
    mask[60:180, x:x + 80] = True
    return image, mask


def estimate_of(mask, error=0.5):
    """What an estimator that is right says about such an image."""
    grid = np.zeros((*SHAPE, 2), np.float32)
    share = cv2.resize(mask.astype(np.float32), SHAPE[::-1], interpolation=cv2.INTER_AREA)
    grid[..., 0] = OBJECT_PX * UNIT * share
    trust = np.full(SHAPE, confidence_of(error), np.float32)
    return replace(RIG, grid=grid, confidence=float(confidence_of(error)), confidence_map=trust)


def shown_on(deformation, mask):
    """Mean parallax on the inner part of a mask, in pixels of an image 640 wide."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((31, 31)))
    y, x = np.nonzero(inner)
    points = np.stack([x, y], axis=1)
    apart = points_to_thermal(deformation, points) - points_to_thermal(RIG, points)
    return apart.mean(axis=0) / UNIT


def parallax_of(offset_px, error, stamp_ns=0):
    offset = np.zeros((*SHAPE, 2), np.float32)
    offset[..., 0] = offset_px * UNIT
    return Parallax(offset, np.full(SHAPE, error, np.float32), stamp_ns)


def test_flow_finds_where_content_was():
    before, _ = scene(100)
    now, _ = scene(124)
    motion = MotionFinder().find(small_image(now), small_image(before), SIZE, SHAPE)
    column, row = (124 + 40) * 39 / 319, 120 * 29 / 239
    j, i = round(column), round(row)
    moved = motion.before[i, j] - (j, i)
    np.testing.assert_allclose(moved * 319 / 39, (-24.0, 0.0), atol=2.0)
    # The background stays, and nothing was at its place where the object uncovers it.
    np.testing.assert_allclose(motion.before[2, 2], (2, 2), atol=0.1)
    assert motion.mismatch[2, 2] < 2


def test_images_too_small_for_flow_stand_still():
    small = np.zeros((20, 24), np.uint8)
    motion = MotionFinder().find(small, small, (24, 20), (4, 5))
    np.testing.assert_array_equal(motion.before[3, 4], (4, 3))


def test_parallax_moves_with_its_object():
    image, mask = scene(60)
    moving = MovingParallax()
    moving.show(image, 0)
    snapshot = moving.anchor()
    left_behind = laid_on(RIG, measured(estimate_of(mask), RIG, 0), 300 * MS)
    for k, x in enumerate(range(64, 100, 4)):
        image, mask = scene(x)
        moving.show(image, (k + 1) * 33 * MS)
        if k == 3:
            # The estimate takes effect late and is carried to where the object is by now.
            moving.take(snapshot, estimate_of(scene(60)[1]), RIG, RIG)
    shown = moving.laid_on(RIG, 300 * MS)
    assert shown_on(shown, mask)[0] == pytest.approx(OBJECT_PX, abs=1.0)
    assert shown_on(left_behind, mask)[0] < 6.0
    far = np.zeros_like(mask)
    far[:, 230:300] = True
    assert abs(shown_on(shown, far)[0]) < 0.3


def test_next_estimates_refine_what_was_carried():
    moving = MovingParallax()
    for k in range(5):
        image, mask = scene(60 + 12 * k)
        moving.show(image, k * 200 * MS)
        moving.take(moving.anchor(), estimate_of(mask, error=1.5), RIG, RIG)
    assert shown_on(moving.laid_on(RIG, 800 * MS), mask)[0] == pytest.approx(OBJECT_PX, abs=0.8)
    assert moving._now.error[15, 16] < 1.5


def test_what_is_not_believed_fades_to_the_rig():
    estimate = estimate_of(np.ones(SIZE[::-1], bool), error=1.0)
    trust = np.array(estimate.confidence_map)
    trust[:, :20] = confidence_of(18.0)
    shown = laid_on(RIG, measured(replace(estimate, confidence_map=trust), RIG, 0), 0)
    assert abs(shown.grid[15, 5, 0]) < 0.15 * OBJECT_PX * UNIT
    assert shown.grid[15, 35, 0] > 0.9 * OBJECT_PX * UNIT
    assert shown.confidence_map.shape == SHAPE


def test_parallax_beyond_reason_is_not_believed():
    grid = np.zeros((*SHAPE, 2), np.float32)
    grid[10, 10] = 80 * UNIT, 0
    estimate = replace(estimate_of(np.zeros(SIZE[::-1], bool)), grid=grid)
    assert np.abs(laid_on(RIG, measured(estimate, RIG, 0), 0).grid).max() < 4 * UNIT


def test_old_parallax_fades_to_the_rig():
    parallax = parallax_of(OBJECT_PX, 1.0)
    shown = [laid_on(RIG, parallax, round(s * 1e9)) for s in (0.0, 0.3, 1.0, 2.0)]
    sizes = [float(d.grid[0, 0, 0]) / UNIT for d in shown]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] > 0.9 * OBJECT_PX
    assert sizes[3] < 0.2 * OBJECT_PX
    assert [d.confidence for d in shown] == sorted((d.confidence for d in shown), reverse=True)
    assert laid_on(RIG, parallax, 10_000 * MS) is None


def test_a_single_contradiction_counts_little_and_a_second_is_followed():
    known, wrong = parallax_of(0.0, 1.0), parallax_of(15.0, 1.0)
    once = fused(known, wrong, UNIT)
    assert once.offset[0, 0, 0] < 3.0 * UNIT
    twice = fused(once, wrong, UNIT)
    assert twice.offset[0, 0, 0] > 12.0 * UNIT
    # What agrees is averaged and better known than before, but never as if it were independent.
    agreed = fused(known, parallax_of(1.0, 1.0), UNIT)
    assert agreed.offset[0, 0, 0] == pytest.approx(0.5 * UNIT, abs=0.01)
    assert 0.65 < agreed.error[0, 0] < 1.0


def test_another_rig_changes_no_map():
    homography = np.array(RIG.homography)
    homography[0, 2] += 3 * UNIT
    other = replace(RIG, homography=homography)
    parallax = parallax_of(5.0, 0.0)
    points = np.array([[10.0, 20.0], [300.0, 200.0]])
    for rig, same in ((RIG, parallax), (other, rebased(parallax, RIG, other))):
        np.testing.assert_allclose(
            points_to_thermal(laid_on(rig, same, 0), points) - points, [[5 * UNIT, 0]] * 2,
            atol=1e-3)


def test_confidence_and_error_are_inverse():
    errors = np.array([0.0, 1.0, 5.0, 20.0])
    np.testing.assert_allclose(error_of(confidence_of(errors)), errors, atol=1e-9)
    assert confidence_of(5.0) == pytest.approx(np.exp(-1))
    assert np.isfinite(error_of(0.0))
