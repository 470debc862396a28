# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Time between two frames of a camera."""

from __future__ import annotations

UNSTAMPED_STEP_NS = 33_333_333
"""Time that passes between frames of a camera that does not stamp them (stamp zero)."""


def elapsed_ns(previous_ns: int, stamp_ns: int) -> int:
    """Nanoseconds from one stamp to the next; negative after a jump back."""
    if stamp_ns == 0 and previous_ns == 0:
        return UNSTAMPED_STEP_NS
    return stamp_ns - previous_ns
