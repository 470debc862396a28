# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A thread with a mailbox of depth 1: the newest item wins, so latency stays bounded."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

Item = TypeVar('Item')
Value = TypeVar('Value')


class Worker(Generic[Item]):
    """Handles items one after the other in a thread of its own; an item that waits is replaced.

    Args:
        name: name of the thread.
        handle: called in the thread with each item.
        on_error: called in the thread with any exception of `handle`; the thread goes on.
        niceness: how much the thread gives way to others, 0 to 19 (Linux; nothing elsewhere).
    """

    def __init__(self, name: str, handle: Callable[[Item], None],
                 on_error: Callable[[Exception], None], niceness: int = 0) -> None:
        """Start the thread."""
        self._niceness = niceness
        self._handle = handle
        self._on_error = on_error
        self._condition = threading.Condition()
        self._item: list[Item] = []
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Give the newest item; returns True where an older one had not been taken and is lost."""
        with self._condition:
            replaced = bool(self._item)
            self._item = [item]
            self._condition.notify()
        return replaced

    def call(self, function: Callable[[], Value]) -> Future[Value]:
        """Run a function in the thread before the next item.

        Returns:
            Its future; cancelled where the worker stops before.
        """
        future: Future[Value] = Future()
        with self._condition:
            if self._stopped:
                future.cancel()
            else:
                self._calls.append((function, future))
                self._condition.notify()
        return future

    def stop(self) -> None:
        """Finish the item in hand, forget the one that waits, and end the thread."""
        with self._condition:
            self._stopped = True
            self._item = []
            calls, self._calls = self._calls, deque()
            self._condition.notify()
        for _, future in calls:
            future.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        if self._niceness and sys.platform == 'linux':
            # There the priority is one of the thread, not of the process.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._item or self._calls or self._stopped)
                if self._stopped:
                    return
                call = self._calls.popleft() if self._calls else None
                item, self._item = (self._item, []) if call is None else ([], self._item)
            if call is not None:
                self._answer(*call)
            for value in item:
                try:
                    self._handle(value)
                except Exception as error:
                    self._on_error(error)

    @staticmethod
    def _answer(function: Callable[[], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
