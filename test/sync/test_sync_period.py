# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The estimate of period and jitter."""

import numpy as np

from ivif_ros.sync import PeriodEstimator


def fed(differences):
    estimator = PeriodEstimator()
    for difference in differences:
        estimator.add(int(difference))
    return estimator


def test_no_estimate_from_three_differences():
    assert fed([33, 33, 33]).period_ns is None
    assert fed([33, 33, 33, 33]).period_ns == 33


def test_gaps_and_bursts_do_not_move_the_period():
    estimator = fed([33_000] * 10 + [5_000_000, 66_000, 10] + [33_000])
    assert estimator.period_ns == 33_000
    assert estimator.margin_ns == 330


def test_what_is_not_positive_teaches_nothing():
    assert fed([33] * 4 + [0, -5] * 20).period_ns == 33


def test_follows_a_new_rate():
    assert fed([33] * 30 + [66] * 8).period_ns == 66


def test_margin_covers_nearly_all_of_the_jitter():
    generator = np.random.default_rng(3)
    early = total = 0
    for _ in range(100):
        stamps = np.cumsum(np.full(31, 33_000_000)) + generator.normal(0, 1_500_000, 31)
        differences = np.diff(stamps)
        estimator = PeriodEstimator()
        for k, difference in enumerate(differences):
            if k >= 15:
                total += 1
                early += difference < estimator.period_ns - estimator.margin_ns
            estimator.add(int(difference))
    assert early / total < 0.05


def test_two_alternating_differences_predict_the_shorter():
    for differences in ([20, 10] * 8, [10, 20] * 8):
        estimator = fed(differences)
        assert estimator.period_ns - estimator.margin_ns <= 10
