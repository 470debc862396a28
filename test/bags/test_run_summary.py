# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of a run and of the registration error, against figures by hand."""

import json

import numpy as np
import pytest

from ivif_ros.bags.summary import RunStatistics, percentiles
from ivif_ros.bags.truth import end_point_error
from ivif_ros.types import Mode


def grid(width, height):
    """(H, W, 2) pixel coordinates x, y."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)


def test_counts_and_percentiles():
    statistics = RunStatistics()
    for index in range(101):
        statistics.add_pair(Mode.FUSED, -index / 10, {'fusion': float(index), 'warp': 1.0})
    statistics.add_pair(Mode.RGB_ONLY, None, {'fusion': 50.0})
    statistics.add_pair(Mode.THERMAL_ONLY, 0.0, {})
    statistics.add_latency('end_to_end', 7.0)
    summary = statistics.summary(
        dropped={'thermal.late': 2, 'rgb.late': 0, 'registration.accepted': 7,
                 'rgb.clock_jump': 1, 'pair.bad_value': 3}, seconds=10.3, stream_seconds=5.0)
    assert (summary.pairs_in, summary.pairs_fused, summary.pairs_partial) == (103, 101, 2)
    assert summary.modes == {'fused': 101, 'rgb_only': 1, 'thermal_only': 1}
    assert summary.dropped == {'pair.bad_value': 3, 'thermal.late': 2}
    assert summary.events == {'registration.accepted': 7, 'rgb.clock_jump': 1}
    # 102 values of fusion: 0 to 100, and 50 twice.
    assert summary.latency_ms['fusion']['p50'] == 50.0
    assert summary.latency_ms['warp'] == {'p50': 1.0, 'p99': 1.0}
    assert summary.latency_ms['end_to_end'] == {'p50': 7.0, 'p99': 7.0}
    # 102 skews: 0, 0, 0.1, ... 10; rank 101 * 0.99 = 99.99 lies between 9.8 and 9.9 ms.
    assert summary.skew_ms['p99'] == pytest.approx(9.899)
    assert summary.fps == pytest.approx(10.0)
    assert summary.registration_error is None
    assert json.loads(json.dumps(summary.as_dict()))['pairs_in'] == 103


def test_empty_run():
    summary = RunStatistics().summary(dropped={}, seconds=0.0, stream_seconds=0.0)
    assert summary.pairs_in == 0
    assert summary.fps == 0
    assert summary.skew_ms == {}
    assert percentiles([]) == {}


def test_percentile_of_one_value():
    assert percentiles([3.5]) == {'p50': 3.5, 'p99': 3.5}


def test_end_point_error_of_a_shift():
    truth = grid(40, 30) * 0.5
    error = end_point_error(truth + np.float32([3, 4]), truth, (20, 15))
    assert error is not None
    assert error.pixels == int(((truth[..., 0] <= 19) & (truth[..., 1] <= 14)).sum())
    assert error.thermal_px.mean == pytest.approx(5)
    assert error.thermal_px.median == pytest.approx(5)
    # One thermal pixel is two RGB pixels here.
    assert error.rgb_px.mean == pytest.approx(10, rel=1e-5)


def test_only_pixels_with_a_partner_count():
    truth = grid(20, 10)
    truth[:, 12:] = np.nan
    estimated = truth.copy()
    estimated[:, :3] += np.float32([0, 2])
    error = end_point_error(estimated, truth, (6, 10))
    assert error is not None
    # Columns 0 to 5 lie in the thermal image, three of them are two pixels off.
    assert error.pixels == 60
    assert error.thermal_px.mean == pytest.approx(1.0)
    assert error.thermal_px.median == pytest.approx(1.0)


def test_nothing_to_compare():
    truth = np.full((5, 6, 2), np.nan, np.float32)
    assert end_point_error(grid(6, 5), truth, (6, 5)) is None
    with pytest.raises(ValueError, match=r'\(5, 6, 2\)'):
        end_point_error(grid(6, 5), grid(7, 5), (6, 5))


def test_scale_ignores_edges_of_objects():
    """A near object shifts its pixels against the background; the scale stays the same."""
    truth = grid(60, 40) * 0.5
    truth[10:30, 20:40, 0] += 8
    error = end_point_error(truth + np.float32([1, 0]), truth, (60, 40))
    assert error is not None
    assert error.rgb_px.median == pytest.approx(2.0, rel=1e-5)


def test_summary_weighs_pairs_by_pixels():
    statistics = RunStatistics()
    truth = grid(10, 10)
    small = truth.copy()
    small[:, 1:] = np.nan
    for shift, reference in ((1, truth), (5, small), (2, truth)):
        error = end_point_error(reference + np.float32([shift, 0]), reference, (10, 10))
        assert error is not None
        statistics.add_registration_error(error)
    result = statistics.summary(dropped={}, seconds=1.0, stream_seconds=1.0).registration_error
    assert result is not None
    assert result['pairs'] == 3
    # 100 pixels at 1, 10 at 5, 100 at 2; the medians are 1, 5 and 2.
    assert result['thermal_px']['mean'] == pytest.approx((100 + 50 + 200) / 210)
    assert result['thermal_px']['median'] == pytest.approx(2)
