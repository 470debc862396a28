# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Estimates beside the pairs of a recording, with the results of estimates in place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


class AwaitedExecutor(Executor):
    """One thread whose results are waited for by whoever asks whether they are there.

    The tracker asks for an estimate at the stamp at which it takes effect, and goes on without one
    that is late. A recording is read faster than it was made, but must give what a robot in time
    gives: here the tracker waits instead. Until then the pairs go on, on another core.
    """

    def __init__(self, name: str) -> None:
        """Start the thread.

        Args:
            name: of the thread.
        """
        self._thread = ThreadPoolExecutor(1, name)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in the thread; `done()` of its future waits for it."""
        return _Awaited(self._thread.submit(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait, cancel_futures=cancel_futures)


class _Awaited(Future[Any]):
    """A future that is done whenever somebody asks."""

    def __init__(self, future: Future[Any]) -> None:
        super().__init__()
        self._future = future

    def done(self) -> bool:
        """Wait for the call; True."""
        self._future.exception()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the call and return what it returned, or raise what it raised."""
        return self._future.result(timeout)
