# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which images of a stream are detected in."""

from ivif_ros.detection import DetectionPeriod

MS = 1_000_000


def test_one_image_per_period_counted_from_the_last_one_taken():
    period = DetectionPeriod()
    taken = [t for t in range(0, 400, 30) if period.due(t * MS, 100.0)]
    assert taken == [0, 120, 240, 360]


def test_period_of_zero_takes_every_image():
    period = DetectionPeriod()
    assert all(period.due(t, 0.0) for t in range(5))


def test_stamps_that_go_back_and_a_reset_are_due_at_once():
    period = DetectionPeriod()
    assert period.due(1000 * MS, 100.0)
    assert not period.due(1050 * MS, 100.0)
    assert period.due(10 * MS, 100.0)
    assert not period.due(20 * MS, 100.0)
    period.reset()
    assert period.due(30 * MS, 100.0)
