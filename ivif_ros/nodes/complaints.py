# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Log lines of things that may happen with every message: each kind at most once in a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PERIOD_S = 5.0


class Complaints:
    """Throttles log lines by their kind.

    The throttle of rclpy goes by the line of the caller, so two kinds of trouble that are reported
    by the same line would hide each other.

    Args:
        log: takes a line, such as the `warning` of a logger.
        period_s: seconds between two lines of one kind.
        clock: seconds that only grow.
    """

    def __init__(self, log: Callable[[str], object], period_s: float = PERIOD_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing said."""
        self._log = log
        self._period_s = period_s
        self._clock = clock
        self._last: dict[str, float] = {}
        self._hidden: dict[str, int] = {}
        self._lock = threading.Lock()

    def say(self, kind: str, message: str) -> None:
        """Log a line unless one of its kind was logged a moment ago; any thread may call."""
        with self._lock:
            now = self._clock()
            last = self._last.get(kind)
            if last is not None and now - last < self._period_s:
                self._hidden[kind] = self._hidden.get(kind, 0) + 1
                return
            self._last[kind] = now
            hidden = self._hidden.pop(kind, 0)
        self._log(f'{message} ({hidden} more since the last time)' if hidden else message)
