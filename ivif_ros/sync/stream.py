# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is known about the timing of one camera, and what it says about the next frame."""

from __future__ import annotations

from collections import deque

from ivif_ros.sync.period import WINDOW, PeriodEstimator
from ivif_ros.types import Frame

JUMP_NS = 500_000_000
"""A stamp that is further back than this is a clock that was set back, not a frame out of order."""
PATIENCE_NS = 500_000_000
"""Stands for the period of a camera that has been heard too few times to know it."""


class StreamClock:
    """Stamps, arrival times and periods of one camera.

    Three clocks meet here. The *stamp* is the camera's. The *pairing time* is the stamp plus the
    offset of the parameters. The *receive time* is `Frame.received_ns`. Between stamp and receive
    time lies the lag, of which the smallest recent value tells when a frame with a given stamp can
    be here at best.

    Attributes:
        offset_ns: pairing time minus stamp.
        newest_ns: newest pairing time seen, or None.
        first_received_ns: receive time of the first frame, or None.
        received_ns: receive time of the last frame, or None.
    """

    def __init__(self, offset_ns: int) -> None:
        """Know nothing but the offset."""
        self.offset_ns = offset_ns
        self.newest_ns: int | None = None
        self.first_received_ns: int | None = None
        self.received_ns: int | None = None
        self._stamps = PeriodEstimator()
        self._arrivals = PeriodEstimator()
        self._lags: deque[int] = deque(maxlen=WINDOW)

    def pairing_time(self, frame: Frame, other: StreamClock) -> int:
        """Time at which the frame takes part in pairing, in nanoseconds.

        A frame without a stamp (zero) gets its receive time minus the lag of stamped frames, of
        this camera or else of the other one, so that it lands in the clock in which the others are
        stamped. Where nothing is stamped, the receive time itself has to do.

        Args:
            frame: the frame.
            other: timing of the other camera.
        """
        if frame.stamp_ns != 0:
            return frame.stamp_ns + self.offset_ns
        lags = self._lags or other._lags
        time_ns = frame.received_ns - (min(lags) if lags else 0) + self.offset_ns
        if self.newest_ns is not None and self.newest_ns - JUMP_NS < time_ns <= self.newest_ns:
            time_ns = self.newest_ns + 1
        return time_ns

    def observe(self, time_ns: int, frame: Frame) -> None:
        """Learn from a frame.

        Args:
            time_ns: its pairing time.
            frame: the frame; without a receive time (0) only its stamp is learned from.
        """
        if self.newest_ns is None:
            self.newest_ns = time_ns
        else:
            self._stamps.add(time_ns - self.newest_ns)
            self.newest_ns = max(self.newest_ns, time_ns)
        received = frame.received_ns
        if self.received_ns is not None:
            self._arrivals.add(received - self.received_ns)
        if self.first_received_ns is None:
            self.first_received_ns = received
        self.received_ns = received
        if received != 0 and frame.stamp_ns != 0:
            self._lags.append(received - frame.stamp_ns)

    def shift(self, by_ns: int) -> None:
        """Change the offset; what was learned still holds."""
        self.offset_ns += by_ns
        if self.newest_ns is not None:
            self.newest_ns += by_ns

    def restart(self) -> None:
        """Forget stamps and lags after the camera's clock was set back; the periods still hold."""
        self.newest_ns = None
        self._lags.clear()

    def earliest_next_ns(self) -> int | None:
        """Pairing time before which no further frame is expected; None before the first frame."""
        if self.newest_ns is None:
            return None
        period = self._stamps.period_ns
        if period is None:
            return self.newest_ns + 1
        return self.newest_ns + max(1, period - self._stamps.margin_ns)

    def latest_by_ns(self, deadline_ns: int) -> int | None:
        """Newest pairing time that can have arrived by a receive time; None where unknown."""
        if not self._lags or self._stamps.period_ns is None:
            return None
        return deadline_ns - min(self._lags) + self.offset_ns + self._stamps.margin_ns

    def silent_at_ns(self, wait_ns: int, other: StreamClock) -> int | None:
        """Receive time from which the camera counts as silent if nothing comes before.

        That is one period and the wait after its last frame, or the wait after the first frame of
        the other camera where this one has never been heard.

        Args:
            wait_ns: bounded wait of the parameters.
            other: timing of the other camera.
        """
        if self.received_ns is not None:
            return self.received_ns + (self._arrivals.period_ns or PATIENCE_NS) + wait_ns
        if other.first_received_ns is not None:
            return other.first_received_ns + wait_ns
        return None
