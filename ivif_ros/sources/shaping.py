# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sources that rest on another source; some shorten or repeat it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ivif_ros.errors import SourceError
from ivif_ros.frame_source import GAP_NS, FrameSource
from ivif_ros.types import Array, Frame, Sensor


class WrappedSource(FrameSource):
    """Another source as it is; what is to be different is overridden.

    Args:
        source: the frames; it is closed with this one.
    """

    def __init__(self, source: FrameSource) -> None:
        """Keep the source."""
        super().__init__()
        self.problems = source.problems
        self._source = source

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield the frames of the source."""
        return self._source.frames()

    def describe(self) -> str:
        """Describe the source."""
        return self._source.describe()

    def duration_ns(self) -> int | None:
        """Ask the source."""
        return self._source.duration_ns()

    def true_map(self, rgb_stamp_ns: int) -> Array | None:
        """Ask the source."""
        return self._source.true_map(rgb_stamp_ns)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class LimitedSource(WrappedSource):
    """The first seconds of another source.

    Args:
        source: what to shorten; it is closed with this one.
        seconds: how much of it, measured in `received_ns` from its first frame.

    Raises:
        SourceError: `seconds` is not positive.
    """

    def __init__(self, source: FrameSource, seconds: float) -> None:
        """Keep the source and the limit."""
        super().__init__(source)
        if not seconds > 0:
            raise SourceError(f'seconds is {seconds:g}, expected a positive number')
        self._limit_ns = round(seconds * 1e9)

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield frames until the time is up."""
        end_ns: int | None = None
        for sensor, frame in self._source.frames():
            if end_ns is None:
                end_ns = frame.received_ns + self._limit_ns
            if frame.received_ns >= end_ns:
                return
            yield sensor, frame

    def describe(self) -> str:
        """Describe the source and the limit."""
        return f'{self._source.describe()}, at most {self._limit_ns / 1e9:g} s'

    def duration_ns(self) -> int | None:
        """Return the shorter of the limit and the source."""
        duration = self._source.duration_ns()
        return self._limit_ns if duration is None else min(duration, self._limit_ns)


class LoopedSource(FrameSource):
    """Another source again and again, with stamps that keep growing.

    Each lap is later than the one before by the length of the source and a gap of one second. There
    is no true map: none of the sources that end knows one.

    Args:
        source: what to repeat; it is closed with this one.
    """

    def __init__(self, source: FrameSource) -> None:
        """Keep the source."""
        super().__init__()
        self.problems = source.problems
        self._source = source

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield the frames of all laps.

        Raises:
            SourceError: the source has no frame at all.
        """
        shift_ns = 0
        while True:
            first_ns: int | None = None
            last_ns = 0
            for sensor, frame in self._source.frames():
                if first_ns is None:
                    first_ns = frame.received_ns
                last_ns = frame.received_ns
                if shift_ns:
                    frame = replace(frame, stamp_ns=frame.stamp_ns + shift_ns,
                                    received_ns=frame.received_ns + shift_ns)
                yield sensor, frame
            if first_ns is None:
                raise SourceError(f'nothing to repeat: {self._source.describe()} has no frame')
            shift_ns += last_ns - first_ns + GAP_NS

    def describe(self) -> str:
        """Describe the source and the repetition."""
        return f'{self._source.describe()}, repeated with a gap of {GAP_NS / 1e9:g} s'

    def close(self) -> None:
        """Close the source."""
        self._source.close()
