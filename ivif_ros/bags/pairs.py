# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The pairs of a recording as the robot would have made them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ivif_ros.frame_source import FrameSource
from ivif_ros.sync import Synchroniser
from ivif_ros.types import Frame, FramePair, Sensor


def paired(source: FrameSource, matcher: Synchroniser,
           on_frame: Callable[[Sensor, Frame], None] | None = None,
           ) -> Iterator[tuple[FramePair, int]]:
    """Pair the frames of a source, with their receive times as the clock.

    Waits end when they would have ended on the robot, so that the pairs depend on the source and
    the parameters of the matcher alone.

    Args:
        source: the frames.
        matcher: pairs them; it has seen none before.
        on_frame: told each frame, after its pairs.

    Yields:
        Each pair, and the time in nanoseconds of `received_ns` at which it was decided.

    Raises:
        SourceError: the source cannot be read to its end.
    """
    now_ns = 0
    for sensor, frame in source.frames():
        now_ns = frame.received_ns
        while (deadline := matcher.next_deadline_ns()) is not None and deadline < now_ns:
            pairs = matcher.poll(deadline)
            for pair in pairs:
                yield pair, deadline
            if not pairs:
                break
        for pair in matcher.add(sensor, frame):
            yield pair, now_ns
        for pair in matcher.observe(sensor, frame):
            yield pair, now_ns
        if on_frame is not None:
            on_frame(sensor, frame)
    for pair in matcher.flush():
        yield pair, now_ns
