# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as a question that is asked at moments when nothing is half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes that the process is told to end (Ctrl-C, SIGTERM), while the block runs.

    A KeyboardInterrupt may come between any two steps, such as those that write one message of a
    recording. The second signal interrupts like that. Outside the main thread, which alone may
    handle signals, nothing is noted.

    Attributes:
        requested: True once the process was told to end.
    """

    def __init__(self) -> None:
        """Wait for the block."""
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def check(self) -> None:
        """Raise KeyboardInterrupt if the process was told to end."""
        if self.requested:
            raise KeyboardInterrupt

    def __enter__(self) -> Interruption:
        """Take the signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
