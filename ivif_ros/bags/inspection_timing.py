# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How regularly the images of one topic come, by their stamps and by when they were received."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ivif_ros.types import Array

GAP_PERIODS = 1.75
"""Time between two stamps, in periods, from which on an image is missing in between."""
_HEADER_BYTES = 12
"""Beginning of a serialised message that holds the stamp (CDR and ROS 1): it always differs."""


@dataclass(frozen=True)
class Timing:
    """What the messages that were looked at say about a topic.

    Attributes:
        messages: number that was looked at.
        rate_hz: one over the mean time between stamps, without gaps; NaN where there is none.
        jitter_ms: standard deviation of the time between stamps, without gaps; NaN likewise.
        largest_gap_ms: longest time between two stamps; NaN likewise.
        gaps: number of times between stamps of more than GAP_PERIODS medians of it.
        missing: images that would have been sent in them.
        backwards: stamps that are earlier than the one before.
        equal_stamps: stamps that equal the one before.
        zero_stamps: stamps of zero: the driver does not stamp.
        repeated: images that equal the one before in every byte.
        latency_ms: median of receive time minus stamp.
        latency_p99_ms: 99th percentile of it.
        bytes: mean size of a message.
        first_stamp_ns: smallest stamp that is not zero; 0 without.
        last_stamp_ns: largest stamp; 0 without.
    """

    messages: int
    rate_hz: float
    jitter_ms: float
    largest_gap_ms: float
    gaps: int
    missing: int
    backwards: int
    equal_stamps: int
    zero_stamps: int
    repeated: int
    latency_ms: float
    latency_p99_ms: float
    bytes: float
    first_stamp_ns: int
    last_stamp_ns: int

    @property
    def period_ms(self) -> float:
        """Mean time between stamps, without gaps; NaN where there is none."""
        return 1e3 / self.rate_hz


class TimingMeter:
    """Collects the times of one topic; about a hundred bytes per message."""

    def __init__(self) -> None:
        """Start without messages."""
        self.stamps: list[list[int]] = []
        self.received: list[list[int]] = []
        self._bytes = 0
        self._repeated = 0
        self._digest: int | None = None

    def new_window(self) -> None:
        """Begin another part of the recording: what comes next does not follow what came last."""
        self.stamps.append([])
        self.received.append([])
        self._digest = None

    def add(self, stamp_ns: int, received_ns: int, data: bytes | memoryview) -> None:
        """Take a message.

        Args:
            stamp_ns: stamp of its header.
            received_ns: when it was recorded.
            data: the serialised message.
        """
        self.stamps[-1].append(stamp_ns)
        self.received[-1].append(received_ns)
        self._bytes += len(data)
        digest = zlib.crc32(memoryview(data)[_HEADER_BYTES:])
        self._repeated += digest == self._digest
        self._digest = digest

    @property
    def messages(self) -> int:
        """Number of messages so far."""
        return sum(map(len, self.stamps))

    def timing(self) -> Timing:
        """Sum up."""
        steps = _joined([np.diff(np.array(part, np.int64)) for part in self.stamps]) / 1e6
        stamps = _joined([np.array(part, np.int64) for part in self.stamps])
        received = _joined([np.array(part, np.int64) for part in self.received])
        stamped = stamps[stamps > 0]
        forward = steps[steps > 0]
        period = float(np.median(forward)) if len(forward) else float('nan')
        long = forward[forward > GAP_PERIODS * period]
        usual = forward[forward <= GAP_PERIODS * period]
        latency = (received - stamps)[stamps > 0] / 1e6
        p50, p99 = (float(value) for value in np.percentile(latency, (50, 99))) if len(
            latency) else (float('nan'), float('nan'))
        return Timing(
            messages=len(stamps), rate_hz=1e3 / float(usual.mean()) if len(usual) else float('nan'),
            jitter_ms=float(usual.std()) if len(usual) else float('nan'),
            largest_gap_ms=float(forward.max()) if len(forward) else float('nan'),
            gaps=len(long), missing=int((np.rint(long / period) - 1).sum()),
            backwards=int((steps < 0).sum()),
            equal_stamps=int((steps == 0).sum()) if len(stamped) else 0,
            zero_stamps=int((stamps == 0).sum()), repeated=self._repeated,
            latency_ms=p50, latency_p99_ms=p99,
            bytes=self._bytes / len(stamps) if len(stamps) else 0.0,
            first_stamp_ns=int(stamped.min()) if len(stamped) else 0,
            last_stamp_ns=int(stamped.max()) if len(stamped) else 0)


def _joined(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
