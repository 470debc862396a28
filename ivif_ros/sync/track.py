# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Motion of one camera over the last seconds, at any rate that is asked for."""

from __future__ import annotations

import numpy as np

from ivif_ros.sync.stream import JUMP_NS
from ivif_ros.types import Array

WINDOW_NS = 20_000_000_000
"""How far back motion is remembered."""
MIN_STEP_NS = 24_000_000
"""Frames that follow faster are passed over: motion of robots needs no more than 40 Hz."""
_MAX_GAP_NS = 400_000_000  # a comparison over a longer time says nothing about when it moved
_ROOM = WINDOW_NS // MIN_STEP_NS + 2


class MotionTrack:
    """The last WINDOW_NS of a motion signal, in constant memory.

    Between two frames everything is taken to move steadily. The signal is therefore the
    derivative of a piecewise linear path through the stamps: irregular stamps, lost frames and
    frame rates that differ from the other camera's are all treated exactly.
    """

    def __init__(self, channels: int) -> None:
        """Start empty.

        Args:
            channels: values per frame.
        """
        self._stamps = np.zeros(_ROOM, np.int64)
        self._steps = np.zeros((_ROOM, channels), np.float32)
        self._count = 0

    def reset(self) -> None:
        """Forget everything."""
        self._count = 0

    def __len__(self) -> int:
        """Count the frames that are remembered."""
        return self._count

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest frame; there must be one."""
        return int(self._stamps[self._count - 1])

    @property
    def oldest_ns(self) -> int:
        """Stamp of the oldest frame; there must be one."""
        return int(self._stamps[0])

    @property
    def period_ns(self) -> int:
        """Median time between frames; there must be two."""
        return int(np.median(np.diff(self._stamps[:self._count])))

    def leaps_to(self, stamp_ns: int) -> bool:
        """Tell whether a stamp lies where the clock cannot have got to by itself."""
        return self._count > 0 and not (
            self.newest_ns - JUMP_NS <= stamp_ns <= self.newest_ns + WINDOW_NS)

    def wants(self, stamp_ns: int) -> bool:
        """Tell whether a frame with this stamp would add something."""
        return self._count == 0 or stamp_ns >= self.newest_ns + MIN_STEP_NS

    def add(self, stamp_ns: int, step: Array) -> None:
        """Append what moved since the frame before.

        Args:
            stamp_ns: stamp of the frame, later than all before.
            step: (channels,) motion since the frame before.
        """
        if self._count == _ROOM or (
                self._count and stamp_ns - self._stamps[0] > WINDOW_NS + 2_000_000_000):
            keep = int(np.searchsorted(self._stamps[:self._count], stamp_ns - WINDOW_NS))
            keep = max(keep, 1)
            self._stamps[:self._count - keep] = self._stamps[keep:self._count].copy()
            self._steps[:self._count - keep] = self._steps[keep:self._count].copy()
            self._count -= keep
        self._stamps[self._count], self._steps[self._count] = stamp_ns, step
        self._count += 1

    def sample(self, start_ns: int, step_ns: int, count: int) -> tuple[Array, Array]:
        """Mean motion in `count` equal intervals.

        Args:
            start_ns: begin of the first interval, in stamps of this camera.
            step_ns: length of an interval.
            count: number of intervals.

        Returns:
            (count, channels) float32 motion per second, and (count,) bool, True where it is known.
        """
        stamps, steps = self._stamps[:self._count], self._steps[:self._count]
        edges = np.arange(count + 1, dtype=np.int64) * step_ns + start_ns
        # Interval k of the track ends with stamp k.
        index = np.clip(np.searchsorted(stamps, edges, 'right'), 1, len(stamps) - 1)
        lengths = np.maximum(np.diff(stamps), 1)
        share = np.clip((edges - stamps[index - 1]) / lengths[index - 1], 0.0, 1.0)
        known = lengths <= _MAX_GAP_NS
        path = np.cumsum(np.where(known[:, None], steps[1:], np.float32(0)), axis=0)
        path = np.concatenate([np.zeros((1, path.shape[1]), path.dtype), path])
        at = path[index - 1] + share[:, None].astype(np.float32) * (path[index] - path[index - 1])
        inside = (edges >= stamps[0]) & (edges <= stamps[-1]) & known[index - 1]
        return np.diff(at, axis=0) * np.float32(1e9 / step_ns), inside[:-1] & inside[1:]
