# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Period and jitter of a stream, from its last few differences."""

from __future__ import annotations

from collections import deque

WINDOW = 15
"""Differences that are remembered."""
MIN_SAMPLES = 4
"""Differences that must be known before there is an estimate."""


class PeriodEstimator:
    """Running median of differences, with the median absolute deviation as its spread.

    Medians are not moved by single gaps (lost frames, a pause) or bursts, so one irregular frame
    does not spoil the prediction of the next.

    Attributes:
        period_ns: median difference in nanoseconds, or None before MIN_SAMPLES differences.
        margin_ns: how much earlier than the period the next frame may reasonably come: a tenth of
            the period or four median absolute deviations (2.7 sigma of Gaussian jitter), whichever
            is more; 0 while the period is unknown.
    """

    def __init__(self) -> None:
        """Start without an estimate."""
        self.period_ns: int | None = None
        self.margin_ns = 0
        self._differences: deque[int] = deque(maxlen=WINDOW)

    def add(self, difference_ns: int) -> None:
        """Learn from one difference between neighbours; what is not positive teaches nothing."""
        if difference_ns <= 0:
            return
        self._differences.append(difference_ns)
        count = len(self._differences)
        if count < MIN_SAMPLES:
            return
        period = sorted(self._differences)[count // 2]
        spread = sorted([abs(value - period) for value in self._differences])[count // 2]
        self.period_ns = period
        self.margin_ns = max(period // 10, 4 * spread)
