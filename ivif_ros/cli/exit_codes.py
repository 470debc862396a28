# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Exit codes of the command `ivif`."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the caller of a command learns."""

    DONE = 0
    """Everything was done."""
    SOME_FAILED = 1
    """Some of the files could not be used, the others were done."""
    FAILED = 2
    """Failed: wrong arguments, unusable input or unwritable output."""
    THRESHOLD = 3
    """Everything was done, and a figure is beyond what --fail-if allows."""
    INTERRUPTED = 130
    """Stopped from the keyboard."""

    @classmethod
    def of(cls, done: int, failed: int) -> ExitCode:
        """Code for a number of files that were done and that could not be used."""
        if not failed:
            return cls.DONE
        return cls.SOME_FAILED if done else cls.FAILED
