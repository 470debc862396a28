# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From estimates of the time offset to the one to pair by, which changes seldom."""

from __future__ import annotations

from collections import deque
from statistics import median

from ivif_ros.sync.offset import OffsetEstimate

MIN_CHANGE_MS = 5.0
"""Smaller differences are left as they are."""

_WINDOW = 5
_MIN_ESTIMATES = 3
_MAX_STD_MS = 25.0
_AGREE_MS = 15.0
_SURE = 2.0  # standard deviations by which an estimate must differ from what is in use


class OffsetFilter:
    """Running median of the last estimates, and what of it is worth a change.

    Clocks drift slowly, so the median over a few seconds follows them, and single wrong estimates
    do not show. A change needs estimates that agree with each other and differ from what is in use
    by more than their error.
    """

    def __init__(self) -> None:
        """Start without estimates."""
        self._recent: deque[OffsetEstimate] = deque(maxlen=_WINDOW)
        self._newest = OffsetEstimate()

    def add(self, estimate: OffsetEstimate) -> None:
        """Take an estimate; one without an offset leaves the others as they are."""
        self._newest = estimate
        if estimate.known:
            self._recent.append(estimate)

    def reset(self) -> None:
        """Forget all estimates."""
        self._recent.clear()
        self._newest = OffsetEstimate()

    @property
    def estimate(self) -> OffsetEstimate:
        """Median of the last estimates, or the newest one with its reason where it has none."""
        if not self._newest.known:
            return self._newest
        return OffsetEstimate(median(item.offset_ms for item in self._recent),
                              self._newest.std_ms, self._newest.confidence, '')

    def change(self, in_use_ms: float) -> float | None:
        """Offset to use in place of another one; None where that may stay.

        Args:
            in_use_ms: offset in use.
        """
        if len(self._recent) < _MIN_ESTIMATES or not self._newest.known:
            return None
        offsets = [item.offset_ms for item in self._recent]
        best = median(offsets)
        agreeing = sum(abs(offset - best) <= _AGREE_MS for offset in offsets)
        std = median(item.std_ms for item in self._recent)
        if std > _MAX_STD_MS or agreeing < _MIN_ESTIMATES or 2 * agreeing <= len(offsets):
            return None
        return best if abs(best - in_use_ms) > max(MIN_CHANGE_MS, _SURE * std) else None
