# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Counts of what happened and of what was lost, by reason."""

from __future__ import annotations

import threading

_SUBJECTS = ('rgb', 'thermal', 'pair', 'detection')
_EVENTS = frozenset({
    'clock_jump', 'zero_stamp', 'queue_full', 'bad_camera_info', 'contradictory_camera_info',
    'shared_camera_info', 'incompatible_qos', 'other_file'})


def is_loss(counter: str) -> bool:
    """Tell whether a counter counts frames or pairs that gave no output.

    The others (`rgb.clock_jump`, `registration.accepted`) count what happened beside it.
    """
    subject, _, reason = counter.partition('.')
    return subject in _SUBJECTS and reason not in _EVENTS


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

    def losses(self) -> dict[str, int]:
        """Return a copy of those counts that are losses, sorted by name."""
        return {name: n for name, n in self.snapshot().items() if is_loss(name)}

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts.clear()
