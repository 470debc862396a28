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
    """Running median of differences, with the spread of those below it.

    Order statistics are not moved by single gaps (lost frames, a pause) or bursts, so one irregular
    frame does not spoil the prediction of the next.

    Attributes:
        period_ns: median difference in nanoseconds, or None before MIN_SAMPLES differences.
        margin_ns: how much earlier than the period the next frame may reasonably come: a
            hundredth of the period, or three times the distance from the median down to the 20th
            percentile (2.5 sigma of Gaussian jitter), whichever is more; 0 without a period.
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
        ordered = sorted(self._differences)
        self.period_ns = period = ordered[count // 2]
        self.margin_ns = max(period // 100, 3 * (period - ordered[count // 5]))
