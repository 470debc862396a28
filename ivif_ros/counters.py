# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Counts of what happened and of what was lost, by reason."""

from __future__ import annotations

import threading


class Counters:
    """Named counters that any thread may add to.

    Names are `<subject>.<reason>` in lower case, for example `thermal.late`, `rgb.bad_encoding` or
    `pair.replaced`.
    """

    def __init__(self) -> None:
        """Start with no counter."""
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, name: str, n: int = 1) -> None:
        """Count n more of a name."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + n

    def snapshot(self) -> dict[str, int]:
        """Return a copy of all counts, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts.clear()
