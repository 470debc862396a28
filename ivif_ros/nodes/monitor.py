# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How often and how long ago something happened, for the diagnostics."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class RateMonitor:
    """Rate over the last seconds and age of the last event; any thread may call.

    Args:
        window_s: seconds over which the rate is taken.
        clock: seconds that only grow.
    """

    def __init__(self, window_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without events."""
        self._window_s = window_s
        self._clock = clock
        self._times: deque[float] = deque()
        self._last: float | None = None
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Note one event."""
        with self._lock:
            self._last = self._clock()
            self._times.append(self._last)
            self._forget(self._last)

    def rate(self) -> float:
        """Events per second between the oldest event of the window and now."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            if len(self._times) < 2:
                return 0.0
            return (len(self._times) - 1) / max(now - self._times[0], 1e-9)

    def age(self) -> float | None:
        """Seconds since the last event, None before the first."""
        with self._lock:
            return None if self._last is None else self._clock() - self._last

    def _forget(self, now: float) -> None:
        while self._times and self._times[0] < now - self._window_s:
            self._times.popleft()
